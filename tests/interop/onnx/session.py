"""An exported layer beside the layer itself: onnxruntime's results against `Recurrent.forward`'s."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch

import cellwise as cw
from cellwise.testing.layers import assert_close, numbers, reached_state

ALLOWED = 1e-5  # of the largest number


def exported(layer: cw.Recurrent, path: Path, **options: bool) -> Any:
    """Export a layer and return the model, checked."""
    cw.export_onnx(layer, path, **options)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    return model


def operators(model: Any) -> list[str]:
    """The recurrent operators and scans of a model, in order."""
    return [node.op_type for node in model.graph.node if node.op_type in ("RNN", "GRU", "LSTM", "Scan", "Loop", "If")]


def assert_same(
    layer: cw.Recurrent,
    model: Any,
    time: int,
    lengths: list[int],
    *,
    with_lengths: bool = True,
    with_state: bool = True,
    poison: bool = False,
) -> None:
    """Run both at a number of steps and a batch and compare all outputs.

    Args:
        layer: ours.
        model: exported from it.
        time: steps.
        lengths: one a row.
        with_lengths: whether the model has them as an input.
        with_state: start both from a state that the cell has reached; else from the layer's own.
        poison: put NaN into the padding.
    """
    batch, dtype = len(lengths), next(layer.parameters()).dtype
    x = numbers(time, batch, layer.input_size, dtype=torch.float32, seed=time)
    if poison:
        for row, length in enumerate(lengths):
            x[length:, row] = float("nan")
    x = x.transpose(0, 1).contiguous() if layer.batch_first else x
    state = reached_state(layer, batch) if with_state else None
    steps = torch.tensor(lengths) if with_lengths else None
    with torch.no_grad():
        output, last = layer(x.to(dtype), state, steps)
    feeds = {"x": x.numpy()} | ({} if steps is None else {"lengths": steps.numpy()})
    feeds |= {f"{name}_0": value.float().numpy() for name, value in (state or {}).items()}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [found.name for found in session.get_outputs()]
    assert names == ["output", *(f"{name}_n" for name in layer.cell.states)]
    found = dict(zip(names, session.run(None, feeds), strict=True))
    assert_close("output", torch.from_numpy(found["output"]), output.float(), ALLOWED)
    for name, value in last.items():
        assert_close(f"state {name}", torch.from_numpy(found[f"{name}_n"]), value.float(), ALLOWED)
        for row, length in enumerate(lengths):
            if state is not None and with_lengths and not length:
                assert found[f"{name}_n"][:, row].tolist() == state[name][:, row].float().tolist()
