"""Under `torch.compile` a layer is one call: nothing is unrolled, and outputs and gradients are the layer's own."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cellwise.cells.registry import cell_names
from cellwise.errors import CellwiseError
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.layers import assert_close, numbers

TIME, BATCH, INPUT, HIDDEN = 6, 3, 4, 5
_AOT = "aot_eager"  # everything but the code generator, which wants a C++ compiler


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def layer_of(cell: str, **options: Any) -> Recurrent:
    torch.manual_seed(1)
    return Recurrent(cell, INPUT, HIDDEN, **options).double()


def results(run: Any, layer: nn.Module, x: Tensor, **given: Any) -> list[Tensor]:
    """Output, last states, and the gradient by input and parameters."""
    leaf = x.clone().requires_grad_()
    output, state = run(leaf, **given)
    total = output.square().sum() + sum(value.square().sum() for value in state.values())
    return [output, *state.values(), *torch.autograd.grad(total, [leaf, *layer.parameters()])]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for place, (value, wanted) in enumerate(zip(found, expected, strict=True)):
        assert_close(f"result {place} of the compiled layer", value, wanted, 1e-12)


# The compiler sees no cell, but how many states, and which parameters: one cell for each that differs.
DIFFERENT = {"rnn", "lstm", "peephole_lstm", "slstm", "full_gate_recurrence_lstm", "indrnn", "antisymmetric_rnn"}
EACH = [pytest.param(name, marks=[] if name in DIFFERENT else pytest.mark.slow) for name in cell_names()]


@pytest.mark.parametrize("cell", EACH)
def test_a_compiled_layer_gives_what_it_gives_alone(cell: str) -> None:
    layer = layer_of(cell, bidirectional=True, num_layers=2)
    x = numbers(TIME, BATCH, INPUT)
    compiled = torch.compile(layer, backend=_AOT, fullgraph=True)
    assert_same(results(compiled, layer, x), results(layer, layer, x))


@pytest.mark.parametrize("steps", [2, 200])
def test_the_compiled_graph_does_not_grow_with_time(steps: int) -> None:
    layer, seen = layer_of("peephole_lstm"), list[list[str]]()

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Any:
        seen.append([str(node.target) for node in graph.graph.nodes if node.op == "call_function"])
        return graph.forward

    torch.compile(layer, backend=backend, fullgraph=True)(numbers(steps, BATCH, INPUT))
    (calls,) = seen
    assert sum("cellwise.layer" in call for call in calls) == 1
    assert not any("mm" in call or "sigmoid" in call for call in calls)
    assert len(calls) < 10


def test_state_lengths_and_resets_go_through() -> None:
    layer = layer_of("gru", batch_first=True)
    x, state = numbers(BATCH, TIME, INPUT), {"h": numbers(1, BATCH, HIDDEN)}
    resets = numbers(BATCH, TIME) > 0.5
    given: dict[str, Any] = {"state": state, "lengths": torch.tensor([TIME, 0, 2]), "resets": resets}
    compiled = torch.compile(layer, backend=_AOT, fullgraph=True)
    assert_same(results(compiled, layer, x, **given), results(layer, layer, x, **given))


def test_images_go_through() -> None:
    torch.manual_seed(1)
    layer = ConvRecurrent("peephole_lstm", 2, 3, 3).double()
    x = numbers(TIME, BATCH, 2, 4, 5)
    assert_same(results(torch.compile(layer, backend=_AOT, fullgraph=True), layer, x), results(layer, layer, x))


def test_the_backward_sees_the_masks_of_the_forward() -> None:
    layer = layer_of("rnn", num_layers=2, dropout=0.5, zoneout=0.3, recurrent_dropout=0.5, weight_drop=0.3)
    compiled = torch.compile(layer, backend=_AOT, fullgraph=True)
    x = numbers(TIME, BATCH, INPUT).requires_grad_()
    step = 1e-6 * numbers(TIME, BATCH, INPUT, seed=9)

    def again(value: Tensor) -> Tensor:  # the same masks, from the same seed
        torch.manual_seed(7)
        output: Tensor = compiled(value)[0]
        return output.sum()

    torch.manual_seed(7)
    (gradient,) = torch.autograd.grad(compiled(x)[0].sum(), x)
    difference = again(x + step) - again(x - step)
    assert_close("the derivative along a direction", (gradient * step).sum() * 2, difference, 1e-6)
    assert not torch.equal(compiled(x)[0], compiled(x)[0])


def test_a_compiled_copy_uses_its_own_weights() -> None:
    layer = layer_of("ugrnn")
    x = numbers(TIME, BATCH, INPUT)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        with torch.no_grad():
            next(copied.parameters()).add_(1)
        compiled = torch.compile(copied, backend=_AOT, fullgraph=True)
        assert_same(results(compiled, copied, x), results(copied, copied, x))
        assert not torch.equal(compiled(x)[0], layer(x)[0])


def test_an_optimiser_step_is_seen_by_the_compiled_layer() -> None:
    layer = layer_of("lstm")
    x = numbers(TIME, BATCH, INPUT)
    compiled = torch.compile(layer, backend=_AOT, fullgraph=True)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.5)
    before = compiled(x)[0]
    before.square().sum().backward()
    optimiser.step()
    assert not torch.equal(compiled(x)[0], before)
    assert_close("the output after a step", compiled(x)[0], layer(x)[0], 1e-12)


def test_a_layer_compiled_in_place_calls_itself_once() -> None:
    layer = layer_of("gru")
    x = numbers(TIME, BATCH, INPUT)
    expected = layer(x)[0]
    layer.compile(backend=_AOT, fullgraph=True)
    assert_close("the output", layer(x)[0], expected, 1e-12)


def test_hooks_run_once() -> None:
    layer = layer_of("gru")
    layer.register_forward_hook(lambda module, given, output: (2 * output[0], output[1]))
    x = numbers(TIME, BATCH, INPUT)
    with torch.no_grad():
        expected = layer(x)[0]
        assert_close("the output", torch.compile(layer, backend=_AOT)(x)[0], expected, 1e-12)


def test_threads_share_a_compiled_layer() -> None:
    layer = layer_of("gru")
    x = numbers(TIME, BATCH, INPUT)
    parameters = list(layer.parameters())
    compiled = torch.compile(layer, backend=_AOT, fullgraph=True)
    wanted = compiled(x)[0].detach()
    outputs: list[Tensor] = []

    def work() -> None:
        for _ in range(5):
            output = compiled(x)[0]
            torch.autograd.grad(output.sum(), parameters)
            outputs.append(output.detach())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outputs) == 15 and all(torch.equal(output, wanted) for output in outputs)
    assert all(now is before for now, before in zip(layer.parameters(), parameters, strict=True))


def test_where_no_step_is_taken_gradients_are_zero() -> None:
    layer = layer_of("lstm")
    compiled = torch.compile(layer, backend=_AOT, fullgraph=True)
    x = numbers(TIME, BATCH, INPUT).requires_grad_()
    output, _ = compiled(x, lengths=torch.zeros(BATCH, dtype=torch.int64))
    assert not any(gradient.any() for gradient in torch.autograd.grad(output.sum(), [x, *layer.parameters()]))


def test_without_dropout_no_random_number_is_drawn() -> None:
    layer = layer_of("lstm").train()
    compiled = torch.compile(layer, backend=_AOT, fullgraph=True)
    x = numbers(TIME, BATCH, INPUT)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    compiled(x)
    assert torch.equal(torch.rand(1), expected)


def test_a_graph_that_outlives_its_layer_says_so() -> None:
    layer = layer_of("lstm").eval()
    x = numbers(TIME, BATCH, INPUT)
    program = torch.export.export(layer, (x,)).module()
    assert_close("the exported program", program(x)[0], layer(x)[0], 1e-12)
    del layer
    gc.collect()
    with pytest.raises(CellwiseError, match=r"a layer that is no more.*cw\.export_onnx"):
        program(x)
