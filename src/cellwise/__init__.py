"""Which recurrent cell is better for this task, by how much, at what cost, and why?

The public names, loaded when first used: importing cellwise imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellwise.cells.contract import Cell
    from cellwise.cells.registry import cell_info, cell_names, register_cell
    from cellwise.errors import CellwiseError
    from cellwise.interop.onnx.export import export_onnx
    from cellwise.interop.torch import from_torch, to_torch
    from cellwise.recurrent.layer import ConvRecurrent, Recurrent
    from cellwise.recurrent.replicas import Replicas

__version__ = "0.1.0"

_PUBLIC = {
    "Cell": "cellwise.cells.contract",
    "CellwiseError": "cellwise.errors",
    "ConvRecurrent": "cellwise.recurrent.layer",
    "Recurrent": "cellwise.recurrent.layer",
    "Replicas": "cellwise.recurrent.replicas",
    "cell_info": "cellwise.cells.registry",
    "cell_names": "cellwise.cells.registry",
    "export_onnx": "cellwise.interop.onnx.export",
    "from_torch": "cellwise.interop.torch",
    "register_cell": "cellwise.cells.registry",
    "to_torch": "cellwise.interop.torch",
}

__all__ = [
    "Cell",
    "CellwiseError",
    "ConvRecurrent",
    "Recurrent",
    "Replicas",
    "cell_info",
    "cell_names",
    "export_onnx",
    "from_torch",
    "register_cell",
    "to_torch",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'cellwise' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
