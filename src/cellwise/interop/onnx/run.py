"""From a finished run to ONNX files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cellwise.errors import CellwiseError
from cellwise.interop.onnx.export import export_onnx
from cellwise.training.trained import load_trained


def export_run(folder: Path, path: Path) -> Iterator[str]:
    """Write the recurrent layers of a finished run, with the weights that validation selected.

    Args:
        folder: the run's.
        path: the file; of a network with several layers of its own, numbered before the suffix.

    Yields:
        What to tell the user: each file with its inputs and outputs.

    Raises:
        CellwiseError: as `load_trained` and `export_onnx`.
    """
    if path.is_dir():
        raise CellwiseError(f"{path} is a folder; give a file, for example --onnx {path / 'layer.onnx'}")
    task, network = load_trained(folder)
    layers = task.recurrent_layers(network)
    for number, layer in enumerate(layers):
        target = path if len(layers) == 1 else path.with_stem(f"{path.stem}-{number}")
        export_onnx(layer, target)
        yield f"{target}: {type(layer.cell).__name__}, {layer.input_size} to {layer.hidden_size}"
        yield from _signature(target)
    yield "Without the optional inputs the layer starts as it started in training; give h_n as h_0 to go on."


def _signature(path: Path) -> list[str]:
    import onnx

    graph = onnx.load(path).graph
    return [
        f"  {way:6} {value.name:10} {_shape(value):20}  {value.doc_string}"
        for way, values in (("input", graph.input), ("output", graph.output))
        for value in values
    ]


def _shape(value: Any) -> str:
    return "(" + ", ".join(axis.dim_param or str(axis.dim_value) for axis in value.type.tensor_type.shape.dim) + ")"
