"""The pointwise graphs of a layer's step, forward and backward, traced from the cut step; nothing is written per cell.

With k products, between them, on the way forward,

    stage 0       -> operand of product 1 (no graph where that is a state as it is)
    stage j < k   results 1 .. j -> operand of product j + 1
    stage k       all results    -> new state and output

and on the way back, last product first, from the derivatives of new state, output and the operands known so far,

    stage k .. 1  -> derivative of the result of product j
    stage 0       -> derivatives of the old state, of the input's shares that the step reads itself, of the parameters

where stages 1 and 0 are one graph if the first operand is a state as it is. A graph returns nothing: it writes into
what it is given. So the input's share becomes the pre-activation (or, see `saving`, the gate), and on the way back that
becomes its derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cellwise.recurrent.engines.fused.cut import operand, whole
from cellwise.recurrent.engines.fused.form import Form, Ingredients

Compute = Callable[[dict[str, Tensor]], dict[str, Tensor]]
"""From what a graph is given, by name, to what it writes, by the name of the buffer."""


@dataclass(frozen=True)
class Stage:
    """A graph to be: the names of what it takes, in order, and what it computes of it.

    `names` lie in buffers that are there before the loop over time begins; `late` are results of products.
    """

    names: tuple[str, ...]
    late: tuple[str, ...]
    compute: Compute

    def __call__(self, *tensors: Tensor) -> tuple[()]:
        """Compute and write; nothing is written before all is computed."""
        given = dict(zip((*self.names, *self.late), tensors, strict=True))
        found = self.compute(given)
        for name, value in [(name, _moved(name, value, given, found)) for name, value in found.items()]:
            given[name].copy_(value)
        return ()


def _moved(name: str, value: Tensor, given: Mapping[str, Tensor], written: Iterable[str]) -> Tensor:
    """A value that lies in a buffer which another one is written into, out of its way: `{"a": s["b"], "b": s["a"]}`."""
    overlap: Callable[[Tensor, Tensor], bool] = torch._C._is_alias_of  # type: ignore[attr-defined]
    taken = any(overlap(value, given[other]) for other in written if other != name)
    return value.clone() if taken else value


def forward_stages(form: Form) -> tuple[int, ...]:
    """Return the stages of the forward in their order."""
    return tuple(range(0 if form.start is None else 1, len(form.products) + 1))


def forward(form: Form, stage: int) -> Stage:
    """Return a stage of the forward."""
    products, k = form.products, len(form.products)
    own = products[stage - 1] if stage and form.arrival(products[stage - 1]) != "written" else None
    shown = ("output",) if form.lengths else ()
    writes = (f"operand:{products[stage]}",) if stage < k else (*(f"new:{name}" for name in form.cell.states), *shown)

    def compute(given: dict[str, Tensor]) -> dict[str, Tensor]:
        arrived = _arrived(form, given, own)
        given = given | arrived
        if stage < k:
            return {**arrived, f"operand:{products[stage]}": operand(form, given, stage, given)}
        stepped = whole(form, given, given)
        assert stepped.state is not None and stepped.output is not None
        found = arrived | {f"new:{name}": value for name, value in stepped.state.items()}
        return found | ({"output": stepped.output} if form.lengths else {})

    return Stage((*form.names, *writes), () if own is None else (f"product:{own}",), compute)


def backward_stages(form: Form) -> tuple[int, ...]:
    """Return the stages of the way back in their order."""
    return tuple(range(len(form.products), -1 if form.start is None else 0, -1))


def backward(form: Form, stage: int) -> Stage:
    """Return a stage of the way back.

    `d_new` are the derivatives of the state after the step; the last stage makes of them those of the state before it.
    `later` is what the state that is the first operand gets through the product of the step after this one.
    """
    products, states = form.products, form.cell.states
    ends = stage == backward_stages(form)[-1]
    wanted = _wanted(form, stage, ends=ends)
    results = [
        piece for name in (products[stage:] if ends else products[stage - 1 : stage]) for piece in form.pieces(name)
    ]
    names = (
        *form.names,
        "d_output",
        *(f"d_new:{name}" for name in states),
        *(f"d_{piece}" for piece in results),
        *((f"d_{name}" for name in form.learned_names) if ends else ()),
    )
    late = (*(() if form.start is None else ("later",)), *(f"d_operand:{name}" for name in products[stage:]))

    def compute(given: dict[str, Tensor]) -> dict[str, Tensor]:
        def step(*values: Tensor) -> tuple[Tensor, ...]:
            changed = given | dict(zip(wanted, values, strict=True))
            stepped = whole(form, changed, changed)
            assert stepped.state is not None and stepped.output is not None
            return (stepped.output, *(stepped.state[name] for name in states), *stepped.operands[stage:])

        d_new = {name: given[f"d_new:{name}"] for name in states}
        if form.start is not None:
            d_new[form.start] = d_new[form.start] + given["later"]
        pull = torch.func.vjp(step, *(given[name] for name in wanted))[1]
        cotangents = (given["d_output"], *d_new.values(), *(given[f"d_operand:{name}"] for name in products[stage:]))
        gradients = dict(zip(wanted, pull(cotangents), strict=True))
        if not ends:
            return {f"d_{piece}": gradients[piece] for piece in results}
        found = {f"d_new:{name}": gradients.pop(f"state:{name}") for name in states}
        found |= {f"d_{name}": given[f"d_{name}"] + gradients.pop(name) for name in form.learned_names}
        return found | gradients | {piece: given[f"d_{piece}"] for piece in results}

    return Stage(names, late, compute)


def _arrived(form: Form, given: Ingredients, product: str | None) -> dict[str, Tensor]:
    """What a product's result makes of its places, by piece; nothing where it lies there already."""
    if product is None:
        return {}
    pieces = form.pieces(product)
    values = given[f"product:{product}"].chunk(len(pieces), dim=-1)
    alone = form.merges(product) and form.arrival(product) == "alone"
    return {piece: given[piece] + value if alone else value for piece, value in zip(pieces, values, strict=True)}


def _wanted(form: Form, stage: int, *, ends: bool) -> tuple[str, ...]:
    """The names whose derivatives a stage of the way back finds."""
    own = form.pieces(form.products[stage - 1]) if stage else ()
    if not ends:
        return own
    return (*own, *form.direct_names, *(f"state:{name}" for name in form.cell.states), *form.learned_names)
