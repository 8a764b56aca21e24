"""Writes `conf/cell/` from the registry: `python -m cellwise.sweep.vocabulary` (`make generate`).

A cell's options and defaults stand in its constructor and nowhere else; the YAML is a copy to read, and a test holds it
against the registry.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from cellwise.cells.registry import cell_info, cell_names
from cellwise.resources import resource_folder
from cellwise.sweep.compose import cell_node


def cell_yaml(name: str) -> str:
    """Return the configuration file of a registered cell: its options with their defaults and what else is allowed."""
    info = cell_info(name)
    lines = [f"# {info.paper}" if info.paper else "# no paper given", "# Generated from the registry: make generate"]
    allowed = {
        o.name: " | ".join(yaml.safe_dump(a).split("\n")[0] for a in o.allowed) for o in info.options if o.allowed
    }
    for key, value in cell_node(name).items():
        line = yaml.safe_dump({key: value}).strip()
        lines.append(f"{line:25} # {allowed[key]}" if key in allowed else line)
    return "\n".join(lines) + "\n"


def write_cells(folder: Path) -> None:
    """Write one file a registered cell, and remove those of cells that are gone."""
    for path in folder.glob("*.yaml"):
        path.unlink()
    for name in cell_names():
        (folder / f"{name}.yaml").write_text(cell_yaml(name), encoding="utf-8")


if __name__ == "__main__":
    write_cells(resource_folder("conf") / "cell")
