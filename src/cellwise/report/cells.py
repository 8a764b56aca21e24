"""A cell told in text, for `cellwise cells`."""

from __future__ import annotations

from cellwise.budget import recurrent_flops, recurrent_parameters
from cellwise.cells.registry import build_cell, cell_info, cell_names

_EXAMPLE = 100  # input and hidden size of the example counts


def listing() -> str:
    """Return one line a registered cell: name and paper."""
    width = max(map(len, cell_names()))
    return "\n".join(f"{name:{width}}  {cell_info(name).paper}" for name in cell_names())


def describe(name: str) -> str:
    """Return everything the registry knows of a cell.

    Raises:
        CellwiseError: unknown cell.
    """
    info = cell_info(name)
    lines = [name, f"  paper        {info.paper or 'not given'}", "  equations"]
    lines += [f"    {equation}" for equation in info.equations] or ["    not given"]
    lines += [f"  gates        {', '.join(info.gates)}"]
    lines += [
        f"  product      {product}: operand of {width} hidden(s), feeds {', '.join(feeds)}"
        for product, (feeds, width) in info.products.items()
    ]
    lines += [f"  states       {', '.join(info.states)} (the first is the output)"]
    if info.extras:
        lines.append(f"  per unit     {', '.join(info.extras)}")
    for option in info.options:
        allowed = f"; allowed: {', '.join(map(str, option.allowed))}" if option.allowed else ""
        lines.append(f"  option       cell.{option.name}={option.default}{allowed}")
    lines += [f"  differs      {difference}" for difference in info.differences] or ["  differs      nothing noted"]
    cell, n = build_cell(name), _EXAMPLE
    lines.append(
        f"  cost         {recurrent_parameters(cell, n, n):,} parameters and {recurrent_flops(cell, n, n):,} FLOPs "
        f"a step at input {n}, hidden {n}"
    )
    return "\n".join(lines)
