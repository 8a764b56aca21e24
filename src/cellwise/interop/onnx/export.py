"""From a layer to an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.recurrent.layer import ConvRecurrent, Recurrent

# Not the newest, so that older runtimes read it; Gelu needs opset 20.
_OPSET, _IR = 22, 10


def export_onnx(
    layer: Recurrent | ConvRecurrent, path: str | Path, *, lengths: bool = True, state: bool = True
) -> None:
    """Write a layer as an ONNX model that computes what `layer(x, state, lengths)` computes in evaluation.

    Time and batch are dynamic, 1 or more: onnxruntime's kernels take neither empty. ONNX's own RNN, GRU and LSTM (with
    peepholes, with coupled gates) stand where they compute the cell exactly; elsewhere one `Scan` for each layer and
    direction, its body the cell's own step.

    Inputs are `x` (time, batch, input); `lengths` (batch,) int64; and by state, as `h_0` and `c_0`, (layers *
    directions, batch or 1, hidden). Outputs are `output` (time, batch, hidden * directions), and `h_n`, `c_n`, each
    (layers * directions, batch, hidden). With `batch_first` x and output are (batch, time, ...). Numbers are float32
    whatever the layer's are, because onnxruntime's LSTM knows nothing wider.

    A state to start from may be left out: the file holds the layer's own start, learned or the cell's, as its default
    (an initializer of the input's name; onnxruntime lists it under `get_overridable_initializers` and remarks that it
    will not treat it as a constant). Give it to go on where an earlier call ended: `h_n` as `h_0`.

    Args:
        layer: on vectors; any cell, any options: dropout is off and zoneout its expectation, as in evaluation.
        path: the file, replaced as a whole; its folder is made.
        lengths: whether the model has the input `lengths`; without it all rows are full.
        state: whether the model has initial states as inputs, which may be left out; without them it always starts
            from the layer's own, for runtimes that know no such defaults.

    Raises:
        CellwiseError: onnx is not installed; a layer on images; a step with an operation that has no translation.
    """
    if isinstance(layer, ConvRecurrent):
        raise CellwiseError("export_onnx takes layers on vectors (Recurrent); a layer on images can't be exported")
    if not isinstance(layer, Recurrent):
        raise CellwiseError(
            f"export_onnx takes a Recurrent layer, not {type(layer).__name__}; give it the recurrent layer inside"
        )
    try:
        import onnx
    except ImportError as error:
        raise CellwiseError("export_onnx needs the package onnx; type pip install 'cellwise[onnx]'") from error
    model = _model(onnx, layer, lengths=lengths, state=state)
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), model.SerializeToString())
    except OSError as error:
        raise CellwiseError(f"can't write {path}: {error.strerror}; give another path") from error


def _model(onnx: Any, layer: Recurrent, *, lengths: bool, state: bool) -> Any:
    import cellwise
    from cellwise.interop.onnx.layer import layer_graph

    model = onnx.helper.make_model(
        layer_graph(layer, lengths=lengths, state=state),
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="cellwise",
        producer_version=cellwise.__version__,
    )
    onnx.checker.check_model(model, full_check=True)
    return model
