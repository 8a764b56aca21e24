"""The layer around the cell: stacking, directions, dropout, images, and what it answers to wrong arguments."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cellwise.cells.contract import Cell
from cellwise.cells.lstm import LSTM
from cellwise.cells.registry import build_cell
from cellwise.errors import CellwiseError
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, dense, images, numbers, reached_state

TIME, BATCH = 5, 3


def test_two_layers_are_one_on_the_output_of_the_other() -> None:
    both = dense(lambda: build_cell("gru"), num_layers=2, bidirectional=True)
    x, start = numbers(TIME, BATCH, INPUT), reached_state(both, BATCH)
    output, state = both(x, start, [5, 0, 2])
    for number in range(2):
        size = INPUT if number == 0 else 2 * HIDDEN
        one = dense(lambda: build_cell("gru"), input_size=size, bidirectional=True)
        for direction in range(2):
            one.weights()[direction].load_state_dict(both.weights()[2 * number + direction].state_dict())
        x, last = one(x, {"h": start["h"][2 * number : 2 * number + 2]}, [5, 0, 2])
        assert torch.equal(last["h"], state["h"][2 * number : 2 * number + 2])
    assert torch.equal(x, output)


def test_batch_first_turns_input_and_output_and_leaves_the_state() -> None:
    by_time, by_batch = (dense(lambda: build_cell("lstm"), batch_first=first) for first in (False, True))
    x, start = numbers(TIME, BATCH, INPUT), reached_state(by_time, BATCH)
    output, state = by_time(x, start, [5, 0, 2])
    turned, same = by_batch(x.transpose(0, 1), start, [5, 0, 2])
    assert torch.equal(turned.transpose(0, 1), output)
    assert all(torch.equal(same[name], state[name]) for name in state)


def test_the_state_of_one_batch_carries_over_detached_or_not() -> None:
    layer = dense(lambda: build_cell("lstm"))
    x = numbers(TIME, BATCH, INPUT)
    _, state = layer(x)
    assert all(value.requires_grad for value in state.values())
    output, _ = layer(x, {name: value.detach() for name, value in state.items()})
    torch.testing.assert_close(output, layer(torch.cat([x, x]))[0][TIME:], rtol=0, atol=1e-12)


def test_dropout_falls_between_layers_only_and_in_training_only() -> None:
    x = numbers(TIME, BATCH, INPUT)
    layer = dense(lambda: build_cell("rnn"), num_layers=2, dropout=0.5)
    torch.manual_seed(0)
    first = layer(x)[0]
    assert not torch.equal(first, layer(x)[0])
    assert first.all()  # what leaves the last layer is whole
    torch.manual_seed(0)
    assert torch.equal(layer(x)[0], first)
    layer.eval()
    assert torch.equal(layer(x)[0], dense(lambda: build_cell("rnn"), num_layers=2)(x)[0])


@pytest.mark.parametrize("rate", [0.2, 0.8])
def test_dropout_drops_the_share_it_is_told_and_scales_the_rest(rate: float) -> None:
    layer = Recurrent("rnn", 1, 400, 2, dropout=rate)
    seen: list[torch.Tensor] = []

    def watch(v: torch.Tensor, weight: torch.Tensor, bias: Any = None, /) -> torch.Tensor:
        seen.append(v)
        return torch.nn.functional.linear(v, weight, bias)

    layer.engine = "reference"
    with torch.no_grad():
        below = Recurrent("rnn", 1, 400)
        below.weights()[0].load_state_dict(layer.weights()[0].state_dict())
        layer.weights()[1].input_map = watch  # type: ignore[assignment]
        x = numbers(10, 4, 1, dtype=torch.float32)
        layer(x)
        kept = seen[0] != 0
        assert abs(1 - kept.float().mean().item() - rate) < 0.02
        torch.testing.assert_close(seen[0][kept], (below(x)[0] / (1 - rate))[kept])


def test_a_state_that_starts_elsewhere_than_at_zero_does() -> None:
    cell = build_cell("lstm")
    cell.initial = {"c": 0.75}
    for layer in (dense(lambda: cell, num_layers=2), images(lambda: cell, 2, num_layers=2)):
        shape = (TIME, BATCH, INPUT) if isinstance(layer, Recurrent) else (TIME, BATCH, INPUT, 2, 3)
        x = numbers(*shape)
        _, empty = layer(x[:0])
        assert torch.equal(empty["c"], torch.full_like(empty["c"], 0.75))
        assert not empty["h"].any()
        assert torch.equal(layer(x)[0], layer(x, empty)[0])
        assert not torch.equal(layer(x)[0], layer(x, {name: 0 * value for name, value in empty.items()})[0])


@pytest.mark.parametrize("lengths", [None, [TIME, 0, 2]], ids=["full", "lengths"])
def test_on_images_lengths_directions_and_carried_state_work_as_on_vectors(lengths: list[int] | None) -> None:
    layer = images(lambda: build_cell("peephole_lstm"), 3, bidirectional=True)
    x = numbers(TIME, BATCH, INPUT, 3, 4)
    start = {name: numbers(2, BATCH, HIDDEN, 3, 4, seed=20 + n) for n, name in enumerate(("h", "c"))}
    output, state = layer(x, start, lengths)
    assert output.shape == (TIME, BATCH, 2 * HIDDEN, 3, 4)
    for row, length in enumerate(lengths or [TIME] * BATCH):
        only = slice(row, row + 1)
        alone, last = layer(x[:length, only], {name: value[:, only] for name, value in start.items()})
        torch.testing.assert_close(output[:length, only], alone, rtol=0, atol=1e-12)
        assert not output[length:, row].any()
        for name, value in last.items():
            torch.testing.assert_close(state[name][:, only], value, rtol=0, atol=1e-12)


def test_a_built_cell_may_be_given_for_a_name() -> None:
    layer = Recurrent(LSTM(forget_bias=2.0), INPUT, HIDDEN)
    assert layer.cell_name == "LSTM"
    assert layer.engine == "native"
    assert repr(layer).startswith("Recurrent(\n  'LSTM', 3, 4, num_layers=1, engine='native'")


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        (("lstm", -1, 4), {}, "input_size=-1 must be a whole number, 0 or more"),
        (("lstm", 3, -4), {}, "hidden_size=-4 must be a whole number, 1 or more"),
        (("lstm", 3, 4.0), {}, "hidden_size=4.0 must be a whole number, 1 or more"),
        (("lstm", 3, 4, 0), {}, "num_layers=0 must be a whole number, 1 or more"),
        (("lstm", 3, 4, True), {}, "num_layers=True must be a whole number, 1 or more"),
        (("lstm", 3, 4), {"dropout": 1.0}, "dropout=1.0 must be at least 0 and less than 1"),
        (("lstm", 3, 4), {"dropout": -0.1}, "dropout=-0.1 must be at least 0 and less than 1"),
        (("lstm", 3, 4), {"dropout": "0.1"}, "dropout='0.1' must be a number"),
        (("lstmm", 3, 4), {}, "unknown cell 'lstmm'; did you mean 'lstm'?"),
        (("lstm", 3, 4), {"hiden": 1}, "unknown option of a layer and of cell 'lstm' 'hiden'"),
        (("lstm", 3, 4), {"engine": "nativ"}, "unknown engine 'nativ'; did you mean 'native'?"),
        (("peephole_lstm", 3, 4), {"engine": "native"}, "engine 'native' can't run PeepholeLSTM"),
        (("gru", 3, 4), {"engine": "native", "reset": "before"}, "engine 'native' can't run GRU"),
        ((LSTM, 3, 4), {}, "must be a registered name or a cell, for example 'lstm' or MyCell()"),
        ((7, 3, 4), {}, "cell=7 must be a registered name or a cell"),
        ((LSTM(), 3, 4), {"forget_bias": 1.0}, "options ['forget_bias'] are given to a cell that is built already"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(arguments: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(CellwiseError) as error:
        Recurrent(*arguments, **options)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        (("lstm", 3, 4, 0), {}, "kernel_size=0 must be a whole number, 1 or more"),
        (("lstm", 3, 4, (3, 3)), {}, "kernel_size=(3, 3) must be a whole number, 1 or more"),
        (("lstm", 3, 4, 3), {"recurrent_kernel_size": 2.0}, "kernel_size=2.0 must be a whole number, 1 or more"),
        (("lstm", 3, 4, 3), {"engine": "native"}, "engine 'native' can't run LSTM"),
        (("conv_lstm", 3, 4, 3), {}, "cw.ConvRecurrent('peephole_lstm', ...)"),
    ],
)
def test_a_wrong_argument_of_a_convolution_is_refused(arguments: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(CellwiseError) as error:
        ConvRecurrent(*arguments, **options)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("shape", "state", "told"),
    [
        ((TIME, INPUT), None, "input must be (time, batch, input), not of shape (5, 3)"),
        ((TIME, BATCH, 2), None, "input has 2 features; this layer takes 3"),
        ((TIME, BATCH, INPUT), {"h": (1, BATCH, HIDDEN)}, "state has ['h']; lstm carries h, c"),
        (
            (TIME, BATCH, INPUT),
            {"h": (1, BATCH, HIDDEN), "c": (BATCH, HIDDEN)},
            "state['c'] has shape (3, 4); expected (1, 3, 4)",
        ),
    ],
)
def test_a_wrong_shape_is_refused_in_one_line(shape: Any, state: Any, told: str) -> None:
    layer = Recurrent("lstm", INPUT, HIDDEN)
    given = None if state is None else {name: torch.zeros(size) for name, size in state.items()}
    with pytest.raises(ValueError, match=r"input|state") as error:
        layer(torch.zeros(shape), given)
    assert str(error.value) == told


def test_an_image_is_asked_for_by_its_axes() -> None:
    with pytest.raises(ValueError, match=r"\(time, batch, channels, height, width\), not of shape \(5, 3, 3\)"):
        ConvRecurrent("lstm", INPUT, HIDDEN, 3)(torch.zeros(TIME, BATCH, INPUT))


def test_a_step_that_forgets_a_state_is_told_so_by_the_layer() -> None:
    class Forgets(Cell):
        gates = ("candidate",)
        states = ("h", "c")

        def step(self, x: Any, U: Any, s: Any, p: Any) -> Any:
            return {"h": x["candidate"]}, {"candidate": x["candidate"]}

    with pytest.raises(CellwiseError, match=r"Forgets\.step returned the states \['h'\]; states = \('h', 'c'\) wants"):
        Recurrent(Forgets(), INPUT, HIDDEN)(torch.zeros(TIME, BATCH, INPUT))


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_nan_in_the_padding_poisons_no_gradient(engine: str) -> None:
    layer = dense(lambda: build_cell("lstm"), engine=engine)
    x = numbers(TIME, BATCH, INPUT)
    x[2:, 1] = float("nan")
    output, _ = layer(x, lengths=[TIME, 2, TIME])
    output.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


@pytest.mark.parametrize("lengths", [None, [TIME, 2, 0]], ids=["full", "lengths"])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "peephole_lstm"])
def test_under_autocast_a_layer_runs_and_learns(name: str, lengths: list[int] | None) -> None:
    layer = dense(lambda: build_cell(name), dtype=torch.float32)
    x = numbers(TIME, BATCH, INPUT, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = layer(x, lengths=lengths)
    torch.testing.assert_close(output.float(), layer(x, lengths=lengths)[0], rtol=0.05, atol=0.05)
    output.float().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())
