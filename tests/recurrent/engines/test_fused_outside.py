"""The fused engine meets what others bring: cells with steps of their own, odd calls, torch's modes, threads."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from cellwise.cells.activations import sigmoid, tanh
from cellwise.cells.contract import Cell
from cellwise.recurrent.engines import fused, resolve
from cellwise.recurrent.engines.fused import compiled
from cellwise.recurrent.engines.fused.compiled import compiling
from cellwise.recurrent.engines.fused.form import kind_of
from cellwise.recurrent.engines.fused.tangent import without_tanh
from cellwise.recurrent.layer import Recurrent
from cellwise.recurrent.maps import Dense
from cellwise.recurrent.options import LayerOptions
from cellwise.recurrent.replicas import Replicas
from cellwise.testing.layers import assert_all_close, numbers

TIME, BATCH, INPUT, HIDDEN = 4, 3, 5, 4


@pytest.fixture(autouse=True)
def uncompiled() -> Iterator[None]:
    with compiling(False):
        yield


def pair(cell: str | Cell, dtype: torch.dtype = torch.float64, **options: Any) -> list[Recurrent]:
    """The same layer on the fused engine and on the reference."""
    found = []
    for engine in ("fused", "reference"):
        torch.manual_seed(1)
        found.append(Recurrent(cell, INPUT, HIDDEN, engine=engine, **options).to(dtype))
    return found


def gradients(layer: Recurrent, **call: Any) -> dict[str, Tensor]:
    """Output and state, and the gradient of a random sum of them by state, input and parameters."""
    dtype = next(layer.parameters()).dtype
    x = numbers(*((BATCH, TIME) if layer.batch_first else (TIME, BATCH)), INPUT, dtype=dtype).requires_grad_()
    start = {
        name: numbers(layer.num_layers * layer.directions, BATCH, HIDDEN, dtype=dtype, seed=20 + n).requires_grad_()
        for n, name in enumerate(layer.cell.states)
    }
    output, state = layer(x, start, **call)
    values = {"output": output} | {f"state {name}": value for name, value in state.items()}
    total = sum(
        ((value * numbers(*value.shape, dtype=dtype, seed=30)).sum() for value in values.values()), x.new_zeros(())
    )
    leaves = {"input": x} | start | dict(layer.named_parameters())
    found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True, materialize_grads=True)
    return values | {f"gradient of {name}": value for name, value in zip(leaves, found, strict=True)}


class Delays(Cell):
    """States handed on as they are, in an order in which each writes over the next one's derivative."""

    gates = ("candidate",)
    states = ("h", "before_that", "before", "longer")
    products = {"hidden": (gates, 1)}  # noqa: RUF012 - a cell's data, never written to

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        n = tanh(U("hidden", s["longer"])["candidate"])
        state = {"h": n, "before_that": s["before"], "before": s["h"], "longer": s["before_that"]}
        return state, {"candidate": n}


class Adds(Cell):
    """A share of the input and a product's result whose derivative is that of a state as it is."""

    gates = ("content", "forget", "output")
    states = ("h", "c", "o")
    products = {"hidden": (("forget", "output"), 1)}  # noqa: RUF012

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        u = U("hidden", s["h"])
        f = sigmoid(u["forget"])
        state = {"h": tanh(s["o"]) * s["c"], "c": f * s["c"] + x["content"], "o": u["output"]}
        return state, {"content": x["content"], "forget": f, "output": u["output"]}


class Reads(Cell):
    """Reads a share of the input, to which a product is added, too, by itself and not by its name in brackets."""

    gates = ("update", "candidate")
    products = {"hidden": (gates, 1)}  # noqa: RUF012

    def __init__(self, how: Callable[[Any], Tensor]):
        self.how = how

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        u = U("hidden", s["h"])
        return {"h": tanh(u["candidate"]) * sigmoid(u["update"]) + self.how(x)}, dict(u)


READS = {
    "get": lambda x: x.get("candidate"),
    "spread": lambda x: {**x}["candidate"],
    "values": lambda x: [*x.values()][1],
    "copied": lambda x: dict(x)["candidate"],
}


@dataclasses.dataclass
class Data(Cell):
    """Has an equality and no hash."""

    gain: float = 2.0

    gates = ("candidate",)
    products = {"hidden": (gates, 1)}  # noqa: RUF012

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        n = tanh(self.gain * U("hidden", s["h"])["candidate"])
        return {"h": n}, {"candidate": n}


CELLS = {"delays": Delays(), "adds": Adds(), "data": Data()} | {name: Reads(how) for name, how in READS.items()}


@pytest.mark.parametrize("name", CELLS)
def test_cells_from_outside_give_what_the_reference_gives(name: str) -> None:
    layer, reference = pair(CELLS[name])
    assert_all_close(name, gradients(layer), gradients(reference), 1e-12)


class Applies(Cell):
    """A step that applies a function."""

    gates = ("candidate",)
    states = ("h", "n")
    products = {"hidden": (gates, 1)}  # noqa: RUF012

    def __init__(self, function: Callable[[Tensor], Tensor]):
        self.function = function

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        u = U("hidden", s["h"])["candidate"]
        return {"h": tanh(u) * s["n"], "n": self.function(u)}, {"candidate": u}


class Surrogate(torch.autograd.Function):
    """In the old style, which `torch.func` refuses."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        return (v > 0).to(v.dtype)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> Tensor:
        return d


SCALE = torch.tensor(0.5, dtype=torch.float64)
UNCUTTABLE: dict[str, Callable[[Tensor], Tensor]] = {
    "random": lambda v: v + torch.randn_like(v),
    "dropout": lambda v: torch.nn.functional.dropout(v, 0.5),
    "bool": lambda v: v > 0,
    "surrogate": lambda v: Surrogate.apply(v),  # type: ignore[no-untyped-call]
    "tensor": lambda v: v * SCALE,
}


@pytest.mark.parametrize("name", UNCUTTABLE)
def test_a_step_that_cannot_be_cut_stays_on_the_reference(name: str) -> None:
    """Random numbers would be others on the way back; the rest can't be traced."""
    cell = Applies(UNCUTTABLE[name])
    assert not fused.expressible(cell, Dense())
    assert resolve("fastest", cell, Dense(), LayerOptions()) == "reference"


def test_two_steps_of_one_name_are_told_apart() -> None:
    """What a cell holds may say the same of itself and be another."""
    one, other = torch.tensor(0.500001), torch.tensor(0.500002)
    assert repr(one) == repr(other)
    kinds = [kind_of(Applies(lambda v, by=by: v * by)) for by in (one, other)]  # type: ignore[misc]
    assert len({*kinds, kind_of(Data(1.0)), kind_of(Data(2.0))}) == 4 and kind_of(Data(2.0)) == kind_of(Data(2.0))


def test_many_gradients_at_once_are_the_references() -> None:
    x = numbers(TIME, 2, INPUT)
    found = [
        jacobian(lambda x, of=of: of(x)[0].sum((0, 1)), x, vectorize=True)  # type: ignore[no-untyped-call]
        for of in pair("gru")
    ]
    torch.testing.assert_close(*found)


def test_a_backward_under_autocast_computes_in_the_dtype_of_the_forward() -> None:
    layer, _ = pair("gru", torch.float32)
    found = []
    for enabled in (False, True):
        output, _ = layer(numbers(TIME, BATCH, INPUT, dtype=torch.float32))
        with torch.autocast("cpu", enabled=enabled):
            found.append(torch.autograd.grad(output.sum(), list(layer.parameters())))
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_resets_written_into_before_the_backward_are_refused() -> None:
    layer, _ = pair("gru")
    resets = torch.zeros(TIME, BATCH, dtype=torch.bool)
    output, _ = layer(numbers(TIME, BATCH, INPUT), resets=resets)
    resets[1] = True
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_tracers_and_tensors_without_numbers_see_every_operation() -> None:
    layer, _ = pair("gru")
    traced = torch.jit.trace(layer, numbers(TIME, BATCH, INPUT), strict=False)  # type: ignore[no-untyped-call]
    x = numbers(TIME, BATCH, INPUT, seed=7)
    torch.testing.assert_close(traced(x)[0], layer(x)[0])
    output, _ = layer.to("meta")(torch.empty(TIME, BATCH, INPUT, dtype=torch.float64, device="meta"))
    assert output.shape == (TIME, BATCH, HIDDEN)


def test_threads_may_call_one_layer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_made", {})
    layer, reference = pair("mgu")
    found: dict[int, Tensor] = {}

    def call(batch: int) -> None:
        found[batch] = layer(numbers(TIME, batch, INPUT))[0]

    threads = [threading.Thread(target=call, args=(batch,)) for batch in range(2, 6)]  # each has graphs to trace
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for batch in range(2, 6):
        torch.testing.assert_close(found[batch], reference(numbers(TIME, batch, INPUT))[0])


def test_anomaly_detection_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_made", {})
    with torch.autograd.set_detect_anomaly(True):
        layer, reference = pair("mgu")
        assert_all_close("anomaly", gradients(layer), gradients(reference), 1e-12)


def test_compiled_under_zoneout_and_resets_evaluated_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluation (a rate of zoneout for all rows) in inference mode makes the graphs; resets batch first lie turned."""
    monkeypatch.setattr(compiled, "_made", {})
    layer, reference = pair("rnn", zoneout=0.3, batch_first=True)
    resets = numbers(BATCH, TIME) > 0.5
    layer.eval(), reference.eval()
    with compiling(True):
        with torch.inference_mode():
            layer(numbers(BATCH, TIME, INPUT), resets=resets)
        found = gradients(layer, resets=resets)
    assert_all_close("compiled", found, gradients(reference, resets=resets), 1e-10)
    assert len(compiled._made) == 1


def test_replicas_with_lengths_compile_for_any_number_of_rows() -> None:
    layers = pair("rnn")
    replicas = Replicas(layers)
    with compiling(True):
        output, _ = replicas(numbers(TIME, BATCH, INPUT), lengths=[TIME, 0, 2])
    alone = [layers[1](numbers(TIME, BATCH, INPUT), lengths=[TIME, 0, 2])[0]] * 2  # the two are equal
    torch.testing.assert_close(output, torch.stack(alone, 1))
    assert replicas(numbers(TIME, 0, INPUT))[0].shape == (TIME, 2, 0, HIDDEN)


def test_tanh_of_what_is_large_is_exactly_one() -> None:
    """So a saturated unit has no derivative, whatever it is multiplied by."""
    graph = torch.fx.experimental.proxy_tensor.make_fx(torch.tanh, tracing_mode="fake")(torch.zeros(3))
    without_tanh(graph)
    infinite = torch.tensor([10.0, 1e30, torch.inf])
    assert graph(infinite).tolist() == [1.0] * 3 and graph(-infinite).tolist() == [-1.0] * 3
    assert graph(torch.tensor([torch.nan] * 3)).isnan().all()


@pytest.mark.parametrize("cell", ["gru", "mut1"])
def test_frozen_matrices_get_no_gradient_and_the_others_keep_theirs(cell: str) -> None:
    layer, other = pair(cell)
    for each in (layer, other):
        next(iter(each.weights()[0].matrices().values())).requires_grad_(False)
    frozen = next(name for name, value in layer.named_parameters() if not value.requires_grad)
    x = numbers(TIME, BATCH, INPUT).requires_grad_()
    found = []
    for each in (layer, other):
        each(x)[0].pow(2).sum().backward()
        found.append({name: value.grad for name, value in each.named_parameters()})
    assert found[0][frozen] is None
    for name, expected in found[1].items():
        if expected is not None:
            torch.testing.assert_close(found[0][name], expected, rtol=1e-10, atol=1e-12)


class AsksForRows(Cell):
    """A step that asks how many rows there are, as a number."""

    gates = ("candidate",)
    products = {"hidden": (gates, 1)}  # noqa: RUF012

    def __init__(self, how: Callable[[Tensor, int], Tensor]):
        self.how = how

    def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
        u = U("hidden", s["h"])["candidate"]
        return {"h": self.how(tanh(u), u.shape[0])}, {"candidate": u}


@pytest.mark.parametrize(
    "how", [lambda u, rows: u / math.sqrt(rows), lambda u, rows: -u if rows > 3 else u], ids=["number", "branch"]
)
def test_a_step_that_asks_for_the_number_of_rows_is_traced_for_each(
    how: Callable[[Tensor, int], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_by_inductor", lambda of: of.graph)
    layer, reference = pair(AsksForRows(how))
    with compiling(True):
        for batch in (5, 2, 5):
            x = numbers(TIME, batch, INPUT)
            torch.testing.assert_close(layer(x)[0], reference(x)[0], rtol=1e-12, atol=1e-12)
