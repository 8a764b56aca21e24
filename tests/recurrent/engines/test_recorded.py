"""A recorded loop gives what the loop gives, with a stand-in for CUDA graphs: no GPU is needed, and none is tested."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cellwise.cells.registry import build_cell
from cellwise.recurrent.engines.fused import compiled, recorded, replayed
from cellwise.recurrent.engines.fused.compiled import compiling
from cellwise.recurrent.engines.fused.cuda_graphs import CudaGraphs
from cellwise.recurrent.engines.fused.form import Form
from cellwise.recurrent.engines.fused.recorded import recording
from cellwise.recurrent.engines.fused.tracing import traced
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.recurrent.replicas import Replicas
from cellwise.testing.layers import assert_all_close, numbers

TIME, BATCH, INPUT, HIDDEN = 15, 3, 5, 4  # chunks of 8, 4 and 3 steps, the last too short to be recorded


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(replayed, "LONGEST", 8)
    with compiling(False):
        yield


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps every operator with the tensors that it was given and those that it gave."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.done: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.done.append((func, args, kwargs or {}, found))
        return found


class StandIn:
    """Does again what a CUDA graph would: the same operators on the same memory, and no Python between them.

    What a replay reads of memory that is not the recorded loop's own is what lay there when it was recorded.
    """

    made = 0

    def __init__(self, device: torch.device):
        assert device.type == "cpu"

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        StandIn.made += 1
        run()
        with Operators() as operators:
            run()

        def replay() -> None:
            for func, args, kwargs, found in operators.done:
                given = {value.untyped_storage().data_ptr() for value in _tensors((args, kwargs))}
                again = func(*args, **kwargs)
                for old, new in zip(_tensors(found), _tensors(again), strict=True):
                    if old.untyped_storage().data_ptr() not in given:  # no view, and nothing written in place
                        old.copy_(new)

        return replay

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    def wait(self) -> None:
        return None


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


class Mixed:
    """Calls of one kind in the order in which training may make them: two layers forward, an evaluation, both back."""

    def __init__(self, cell: str, kernel: int = 0, call: dict[str, Any] | None = None, **options: Any):
        self._kernel, self._call = kernel, call or {}
        torch.manual_seed(1)
        # Drawn anew for each, so a recording that reads the first one's weights is seen.
        self._layers = [self._layer(cell, options) for _ in range(2)]

    def _layer(self, cell: str, options: dict[str, Any]) -> Any:
        if self._kernel:
            return ConvRecurrent(build_cell(cell), INPUT, HIDDEN, self._kernel, engine="fused", **options).double()
        return Recurrent(build_cell(cell), INPUT, HIDDEN, engine="fused", **options).double()

    def results(self) -> dict[str, Tensor]:
        torch.manual_seed(2)  # the same masks
        image = (3, 2) if self._kernel else ()
        xs = [numbers(TIME, BATCH, INPUT, *image, dtype=torch.float64, seed=n) for n in range(3)]
        with torch.inference_mode():  # first, because what is made there can't be written into elsewhere
            found = {"first evaluation": self._layers[0](xs[2], **self._call)[0].clone()}
        calls = []
        for layer, x in zip(self._layers, xs[:2], strict=True):
            x.requires_grad_()
            output, state = layer(x, **self._call)
            calls.append(([output, *state.values()], [x, *layer.parameters()]))
        with torch.no_grad():
            found["evaluation"] = self._layers[1](xs[2], **self._call)[0]
        for number, (values, leaves) in enumerate(calls):
            seeds = [numbers(*v.shape, dtype=torch.float64, seed=30 + n) for n, v in enumerate(values)]
            gradients = torch.autograd.grad(values, leaves, seeds, allow_unused=True)
            found |= {f"{number} value {n}": value.detach() for n, value in enumerate(values)}
            found |= {f"{number} gradient {n}": g for n, g in enumerate(gradients) if g is not None}
        return found


LENGTHS = [TIME, 0, 9]
RESETS = torch.arange(TIME * BATCH).view(TIME, BATCH) % 5 == 2
ALL = {"learned_state": True, "zoneout": 0.3, "recurrent_dropout": 0.3, "weight_drop": 0.2}
CASES: dict[str, tuple[str, int, dict[str, Any], dict[str, Any]]] = {
    "first operand a state, parameters of the step": ("peephole_lstm", 0, {}, {}),
    "a result that is not added to the input's share": ("gru", 0, {}, {"lengths": LENGTHS}),
    "an operand that is computed": ("full_gate_recurrence_lstm", 0, {}, {}),
    "no product": ("indrnn", 0, {"learned_state": True}, {"resets": RESETS}),
    "all conditions": ("peephole_lstm", 0, ALL, {"resets": RESETS, "lengths": LENGTHS}),
    "a matrix made of what is stored": ("antisymmetric_rnn", 0, {}, {}),
    "images": ("peephole_lstm", 3, ALL, {"resets": RESETS, "lengths": LENGTHS}),
    "images, even kernel": ("gru", 2, {}, {}),
    "layers and directions": ("lstm", 0, {"num_layers": 2, "bidirectional": True}, {}),
    "states kept every 9 steps": ("peephole_lstm", 0, {"recompute": 9}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_replayed_calls_give_what_launched_calls_give(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, kernel, options, call = CASES[case]
    mixed = Mixed(cell, kernel, call, **options)
    with recording(None):
        expected = mixed.results()
    monkeypatch.setattr(StandIn, "made", 0)
    with recording(StandIn):
        for _ in range(2):  # the second time, nothing is recorded any more
            assert_all_close(case, mixed.results(), expected, 1e-12)
            assert StandIn.made == 4  # of 8 steps and of 4, forward and back


def test_replicas_are_replayed() -> None:
    torch.manual_seed(1)
    layers = [Recurrent("gru", INPUT, HIDDEN, engine="fused").double() for _ in range(2)]
    x = numbers(TIME, 2, BATCH, INPUT, dtype=torch.float64).requires_grad_()

    def results() -> dict[str, Tensor]:
        output, _ = Replicas(layers)(x, lengths=LENGTHS)
        leaves = {"x": x} | dict(Replicas(layers).named_parameters())
        found = torch.autograd.grad(output.square().sum(), list(leaves.values()))
        return {"output": output.detach()} | dict(zip(leaves, found, strict=True))

    with recording(None):
        expected = results()
    with recording(StandIn):
        assert_all_close("replicas", results(), expected, 1e-12)
        assert_all_close("replicas, again", results(), expected, 1e-12)


def lstm(**options: Any) -> Recurrent:
    torch.manual_seed(1)
    return Recurrent("lstm", INPUT, HIDDEN, engine="fused", **options).double()


def run(layer: Recurrent, time: int = TIME, batch: int = BATCH) -> Tensor:
    output: Tensor = layer(numbers(time, batch, INPUT, dtype=torch.float64))[0]
    return output.detach()


def test_the_stand_in_sees_a_recording_that_reads_what_is_not_its_own() -> None:
    """Else the tests above would show nothing."""
    x, y = torch.ones(2), torch.zeros(2)
    replay = StandIn(x.device).record(lambda: y.copy_(x * 2))  # type: ignore[arg-type]
    x = torch.full((2,), 5.0)
    y.zero_()
    replay()
    assert y.tolist() == [2.0, 2.0]


def test_any_number_of_steps_needs_as_many_recordings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "made", 0)
    layer = lstm()
    with recording(StandIn):
        for time in (1, 3, 4, 7, 8, 20, 63, 100):
            run(layer, time)
    assert StandIn.made == 2  # of 8 steps, and of 4


def test_where_recording_fails_steps_are_launched_and_that_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(StandIn):
        def record(self, run: Callable[[], None]) -> Callable[[], None]:
            run()
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(recorded, "_said", False)
    mixed = Mixed("peephole_lstm")
    with recording(None):
        expected = mixed.results()
    with recording(Broken):
        with pytest.warns(UserWarning, match=r"can't be recorded here \(RuntimeError: operation not .*capturing\): "):
            found = mixed.results()
        assert_all_close("launched", found, expected, 0.0)
        run(lstm(), batch=7)  # of another kind: no second warning, which would be an error


def test_memory_is_bounded_and_kinds_that_take_turns_are_not_recorded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "made", 0)
    monkeypatch.setattr(recorded, "_ROOM_BYTES", 40_000)
    monkeypatch.setattr(recorded, "_IDLE_RUNS", 10)
    layer = lstm()
    with recording(StandIn):
        for _, batch in itertools.product(range(3), (3, 4, 5, 6, 7)):
            run(layer, 8, batch)
            assert sum(one.loop.bytes for one in recorded._loops.values() if one.loop) <= 40_000
        assert StandIn.made == len(recorded._loops) == 4  # no room for the fifth
        for _ in range(12):
            run(layer, 8, 7)
        assert StandIn.made == 5 and 1 < len(recorded._loops) < 5  # some that were not used have made room


def test_large_steps_are_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandIn, "made", 0)
    monkeypatch.setattr(replayed, "_CHUNK_BYTES", 1000)
    with recording(StandIn):
        run(lstm())
    monkeypatch.setattr(replayed, "_CHUNK_BYTES", 2**26)
    monkeypatch.setattr(replayed, "_WEIGHT_BYTES", 100)
    with recording(StandIn):
        run(lstm())
    assert StandIn.made == 0


def test_graphs_are_recorded_on_a_gpu_alone_and_never_within_a_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    capturing = False
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: capturing)
    assert recorded.where_of_use(torch.device("cpu")) is None
    assert recorded.where_of_use(torch.device("cuda", 0)) is CudaGraphs
    capturing = True
    assert recorded.where_of_use(torch.device("cuda", 0)) is None
    capturing = False
    monkeypatch.setattr(recorded, "_wanted", False)
    assert recorded.where_of_use(torch.device("cuda", 0)) is None


def test_calls_of_one_graph_but_other_sizes_are_of_other_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    dense = lstm()
    images = ConvRecurrent("lstm", INPUT, HIDDEN, 3, engine="fused").double()
    # Graphs for any number of rows, as compiled ones are, but not compiled.
    monkeypatch.setattr(compiled, "_compiled", lambda graph: graph.graph)
    calls: list[tuple[Any, tuple[int, ...]]] = [(dense, (batch, INPUT)) for batch in (3, 4)]
    calls += [(images, (2, INPUT, *image)) for image in ((3, 2), (2, 3))]  # as many pixels
    inputs = [(layer, numbers(TIME, *sizes, dtype=torch.float64)) for layer, sizes in calls]
    with compiling(True), recording(None):
        expected = {f"call {n}": layer(x)[0].detach() for n, (layer, x) in enumerate(inputs)}
    with compiling(True), recording(StandIn):
        found = {f"call {n}": layer(x)[0].detach() for n, (layer, x) in enumerate(inputs)}
    assert_all_close("sizes", found, expected, 1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_numbers_lose_less_than_in_the_reference(dtype: torch.dtype) -> None:
    """In the reference the gradients of 300 steps are added up in the layer's dtype, the smaller they get the worse."""

    def gradients(engine: str, dtype: torch.dtype) -> dict[str, Tensor]:
        torch.manual_seed(1)
        layer = Recurrent("peephole_lstm", INPUT, HIDDEN, engine=engine).to(dtype)
        x = numbers(300, BATCH, INPUT, dtype=torch.float64).abs().to(dtype)
        layer(x)[0].sum().backward()
        return {name: value.grad.double() for name, value in layer.named_parameters() if value.grad is not None}

    exact = gradients("reference", torch.float64)
    with recording(StandIn):
        fused = gradients("fused", dtype)
    reference = gradients("reference", dtype)
    for name, value in exact.items():
        ours, theirs = ((found[name] - value).norm().item() for found in (fused, reference))
        assert ours <= theirs * (0.5 if "extra" in name else 1.1), name


def test_the_way_back_writes_no_zeros() -> None:
    """The step of an LSTM reads h through its product alone; on a GPU, to write so each step is a launch of its own."""
    cell = build_cell("lstm")
    form = Form(cell, HIDDEN, (), (), (), (), lengths=False, resets=False, start="h", arrivals=("written",))
    found = traced(form, torch.empty(0), None).backward[1]
    nodes = [*found.graph.graph.nodes]
    given = dict(zip((node for node in nodes if node.op == "placeholder"), (*found.names, *found.late), strict=True))
    written = {given[node.args[0]] for node in nodes if node.target is torch.ops.aten.copy_.default}
    assert written == {"d_new:c", *(f"share:{gate}" for gate in cell.gates)}
