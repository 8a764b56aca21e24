"""Every registered cell as an ONNX model: onnxruntime computes what the layer computes, at sizes not seen at export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import cellwise as cw
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.testing.contract import option_variants
from cellwise.testing.layers import dense
from tests.cells.reference.layer import case_id
from tests.cells.variants import variants
from tests.interop.onnx.session import assert_same, exported, operators

NATIVE = {"rnn": "RNN", "lstm": "LSTM", "peephole_lstm": "LSTM", "coupled_lstm": "LSTM", "gru": "GRU"}
CELLS = [(name, options) for name in cw.cell_names() for options in option_variants(name)]
SCANNED = "mgu"  # any cell without an operator of its own


def layer_of(name: str, options: dict[str, Any] | None = None, **layer_options: Any) -> cw.Recurrent:
    return dense(lambda: build_cell(name, options or {}), dtype=torch.float32, **layer_options).eval()


def node_count(graph: Any) -> int:
    inside = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return len(graph.node) + sum(node_count(body) for body in inside)


@pytest.mark.parametrize(("name", "options"), CELLS, ids=case_id)
def test_a_cell_is_its_operator_or_one_scan_and_runs_at_any_time_and_batch(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    layer = layer_of(name, options)
    model = exported(layer, tmp_path / "cell.onnx")
    assert operators(model) == [NATIVE.get(name, "Scan")]
    assert_same(layer, model, 7, [4, 0, 7, 1], poison=True)
    assert_same(layer, model, 31, [31, 12])
    assert_same(layer, model, 1, [1])


@pytest.mark.parametrize(("name", "options"), variants(1))
def test_both_directions_of_two_layers_are_right_for_every_cell(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    layer = layer_of(name, options, num_layers=2, bidirectional=True, batch_first=True)
    model = exported(layer, tmp_path / "cell.onnx")
    assert operators(model) == ([NATIVE[name]] * 2 if name in NATIVE else ["Scan"] * 4)
    assert_same(layer, model, 6, [6, 0, 2], poison=True)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", SCANNED])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_lengths_and_states_are_inputs_only_where_they_are_asked_for(
    name: str, bidirectional: bool, tmp_path: Path
) -> None:
    layer = layer_of(name, num_layers=2, bidirectional=bidirectional)
    states = [f"{state}_0" for state in layer.cell.states]
    for lengths in (False, True):
        for state in (False, True):
            model = exported(layer, tmp_path / "cell.onnx", lengths=lengths, state=state)
            expected = ["x", *["lengths"] * lengths, *states * state]
            assert [given.name for given in model.graph.input] == expected
            assert_same(layer, model, 5, [5, 2 if lengths else 5], with_lengths=lengths, with_state=state)


@pytest.mark.parametrize("name", ["lstm", "gru", SCANNED])
@pytest.mark.parametrize(
    "options",
    [
        {"connections": "residual"},
        {"connections": "skip"},
        {"layer_norm": True},
        {"connections": "residual", "layer_norm": True, "learned_state": True},
        {"learned_state": True},
        {"zoneout": 0.3},
        {"dropout": 0.5},
        {"locked_dropout": 0.5},
        {"recurrent_dropout": 0.5},
        {"weight_drop": 0.5},
        {"recurrent_bias": True},
        {"bias": False},
    ],
    ids=lambda options: "-".join(options),
)
@pytest.mark.parametrize("state", [False, True])
def test_every_option_of_a_layer_is_exported_as_evaluation_has_it(
    name: str, options: dict[str, Any], state: bool, tmp_path: Path
) -> None:
    layer = layer_of(name, num_layers=3, bidirectional=True, **options)
    layer.train()  # export is of evaluation whatever the layer is in
    model = exported(layer, tmp_path / "cell.onnx", state=state)
    assert layer.training
    layer.eval()
    assert_same(layer, model, 6, [6, 0, 3], with_state=state, poison=True)


@pytest.mark.parametrize("name", ["lstm", "gru", "slstm", SCANNED])
@pytest.mark.parametrize("learned", [False, True])
def test_a_start_that_is_left_out_is_the_layers_own(name: str, learned: bool, tmp_path: Path) -> None:
    layer = layer_of(name, num_layers=2, bidirectional=True, learned_state=learned)
    model = exported(layer, tmp_path / "cell.onnx")
    for time, lengths in ((6, [6, 0, 3]), (2, [1])):
        assert_same(layer, model, time, lengths, with_state=False)
        assert_same(layer, model, time, lengths, with_state=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == ["x", "lengths"]
    optional = [given.name for given in session.get_overridable_initializers()]
    assert sorted(optional) == sorted(f"{state}_0" for state in layer.cell.states)


def test_a_learned_start_that_matters_is_in_the_file(tmp_path: Path) -> None:
    """The comparison above has teeth: zeros in the place of the learned start give other numbers."""
    layer = layer_of("gru", learned_state=True)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "initial" in name or "state" in name:
                parameter.fill_(0.7)
    assert layer.initial_state(1)["h"].eq(0.7).all()
    model = exported(layer, tmp_path / "cell.onnx")
    x, lengths = torch.ones(3, 2, layer.input_size).numpy(), torch.tensor([3, 0]).numpy()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [own] = session.run(["h_n"], {"x": x, "lengths": lengths})
    [zeros] = session.run(["h_n"], {"x": x, "lengths": lengths, "h_0": torch.zeros(1, 1, layer.hidden_size).numpy()})
    assert (own[0, 1] == torch.tensor(0.7).item()).all()
    assert (zeros[0, 1] == 0).all()
    assert abs(own[0, 0] - zeros[0, 0]).max() > 1e-3


def test_one_state_may_start_every_row_and_one_may_be_left_out(tmp_path: Path) -> None:
    layer = layer_of("lstm", learned_state=True)
    model = exported(layer, tmp_path / "cell.onnx")
    x, lengths = torch.ones(3, 4, layer.input_size), torch.tensor([3, 3, 1, 2])
    h = torch.full((1, 1, layer.hidden_size), 0.3)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [found] = session.run(["output"], {"x": x.numpy(), "lengths": lengths.numpy(), "h_0": h.numpy()})
    with torch.no_grad():
        expected, _ = layer(x, {"h": h.expand(1, 4, -1), "c": layer.initial_state(4)["c"]}, lengths)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "told"), [("slstm", "-30000 everywhere"), ("lstm", "0 everywhere")])
def test_an_optional_input_says_what_it_is_when_left_out(name: str, told: str, tmp_path: Path) -> None:
    last = exported(layer_of(name), tmp_path / "cell.onnx").graph.input[-1]
    assert last.doc_string == f"optional: state {last.name[0]} to start from; left out, {told}"
    learned = layer_of("gru", learned_state=True)
    with torch.no_grad():
        for parameter_name, parameter in learned.named_parameters():
            if "initial" in parameter_name or "state" in parameter_name:
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))
    last = exported(learned, tmp_path / "cell.onnx").graph.input[-1]
    assert last.doc_string == "optional: state h to start from; left out, the layer's own, learned start"


def test_zoneout_is_between_the_old_and_the_new_state_so_no_operator_has_it(tmp_path: Path) -> None:
    assert operators(exported(layer_of("lstm", zoneout=0.3), tmp_path / "cell.onnx")) == ["Scan"]


@pytest.mark.parametrize("name", ["lstm", SCANNED])
def test_a_layer_in_float64_is_exported_in_float32(name: str, tmp_path: Path) -> None:
    layer = layer_of(name).double()
    model = exported(layer, tmp_path / "cell.onnx")
    kinds = {value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert_same(layer, model, 6, [6, 0, 3])


@pytest.mark.parametrize("name", ["lstm", SCANNED])
def test_inputs_and_outputs_have_the_documented_shapes(name: str, tmp_path: Path) -> None:
    layer = layer_of(name, num_layers=2, bidirectional=True)
    graph = exported(layer, tmp_path / "cell.onnx").graph
    shapes = {
        value.name: [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "x": ["time", "batch", layer.input_size],
        "lengths": ["batch"],
        **{f"{name}_0": [4, "batch_or_1", layer.hidden_size] for name in layer.cell.states},
        "output": ["time", "batch", 2 * layer.hidden_size],
        **{f"{name}_n": [4, "batch", layer.hidden_size] for name in layer.cell.states},
    }
    batch_first = exported(layer_of(name, batch_first=True), tmp_path / "cell.onnx").graph.input[0]
    assert [axis.dim_param for axis in batch_first.type.tensor_type.shape.dim][:2] == ["batch", "time"]


def test_the_graph_is_small_and_its_loop_multiplies_once(tmp_path: Path) -> None:
    model = exported(layer_of("janet"), tmp_path / "cell.onnx")
    [scan] = [node for node in model.graph.node if node.op_type == "Scan"]
    [body] = [attribute.g for attribute in scan.attribute if attribute.name == "body"]
    assert [node.op_type for node in body.node].count("MatMul") == 1  # U h; W x + b is one outside
    assert [node.op_type for node in model.graph.node].count("MatMul") == 1
    assert node_count(model.graph) < 40


def test_what_depends_on_parameters_alone_is_not_in_the_loop(tmp_path: Path) -> None:
    class Slow(cw.Cell):
        gates = ("candidate",)
        extras = {"log_time": 0.3}  # noqa: RUF012
        products = {"hidden": (("candidate",), 1)}  # noqa: RUF012

        def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
            n = U("hidden", s["h"])["candidate"].tanh()
            return {"h": s["h"] + p["log_time"].exp().reciprocal() * (n - s["h"])}, {"candidate": n}

    layer = dense(Slow, dtype=torch.float32)
    model = exported(layer, tmp_path / "cell.onnx")
    names = [node.op_type for node in model.graph.node]
    assert names.count("Exp") == names.count("Reciprocal") == 1
    assert_same(layer, model, 5, [5, 0])


def test_an_output_that_looks_at_the_old_cell_state_would_be_seen(tmp_path: Path) -> None:
    """The comparison has teeth: another layer's model is not this layer's."""
    layer = layer_of("peephole_lstm")
    model = exported(layer, tmp_path / "cell.onnx")
    with torch.no_grad():
        layer.extra_weights()["peephole_output"].add_(0.1)
    with pytest.raises(AssertionError, match="output differs by"):
        assert_same(layer, model, 5, [5, 3])


def test_onnxruntime_alone_would_lose_the_state_of_a_row_of_length_0(tmp_path: Path) -> None:
    """Why the model chooses there; if this fails, that choice can go."""
    layer = layer_of("lstm")
    model = exported(layer, tmp_path / "cell.onnx")
    [lstm] = [node for node in model.graph.node if node.op_type == "LSTM"]
    model.graph.output.append(onnx.helper.make_tensor_value_info(lstm.output[1], onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ones = torch.ones(1, 2, layer.hidden_size).numpy()
    found = session.run(
        ["h_n", lstm.output[1]],
        {
            "x": torch.ones(3, 2, layer.input_size).numpy(),
            "lengths": torch.tensor([0, 3]).numpy(),
            "h_0": ones,
            "c_0": ones,
        },
    )
    assert (found[0][0, 0] == 1).all()
    assert (found[1][0, 0] == 0).all()


def test_a_step_that_decides_by_values_is_refused(tmp_path: Path) -> None:
    class Deciding(cw.Cell):
        gates = ("candidate",)

        def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
            n = x["candidate"] if bool(s["h"].sum() > 0) else -x["candidate"]
            return {"h": n}, {"candidate": n}

    with pytest.raises(
        CellwiseError, match=r"can't trace a step of Deciding: .*; a step must not decide by the values"
    ):
        cw.export_onnx(cw.Recurrent(Deciding(), 3, 4), tmp_path / "cell.onnx")
    assert not (tmp_path / "cell.onnx").exists()


def test_an_operation_without_translation_is_refused_by_its_name(tmp_path: Path) -> None:
    class Strange(cw.Cell):
        gates = ("candidate",)

        def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
            n = x["candidate"].lgamma() + 0 * s["h"]
            return {"h": n}, {"candidate": n}

    with pytest.raises(CellwiseError, match=r"no translation of torch's 'lgamma', which Strange.step uses"):
        cw.export_onnx(cw.Recurrent(Strange(), 3, 4), tmp_path / "cell.onnx")


def test_what_is_no_layer_on_vectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CellwiseError, match=r"takes layers on vectors \(Recurrent\); a layer on images can't"):
        cw.export_onnx(cw.ConvRecurrent("lstm", 2, 3, 3), tmp_path / "cell.onnx")
    given: Any = nn.LSTM(2, 3)
    with pytest.raises(CellwiseError, match="takes a Recurrent layer, not LSTM"):
        cw.export_onnx(given, tmp_path / "cell.onnx")


def test_without_the_package_the_error_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CellwiseError, match=r"type pip install 'cellwise\[onnx\]'"):
        cw.export_onnx(cw.Recurrent("lstm", 3, 4), tmp_path / "cell.onnx")


def test_a_folder_is_made_and_a_path_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    layer = cw.Recurrent("lstm", 3, 4)
    cw.export_onnx(layer, str(tmp_path / "new" / "cell.onnx"))
    assert (tmp_path / "new" / "cell.onnx").is_file()
    (tmp_path / "file").write_text("")
    with pytest.raises(CellwiseError, match=r"can't write .*; give another path"):
        cw.export_onnx(layer, tmp_path / "file" / "cell.onnx")
