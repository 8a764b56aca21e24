"""Checks of lengths, on every engine that takes the cell."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import (
    HIDDEN,
    INPUT,
    Build,
    assert_all_close,
    assert_close,
    dense,
    engine_names,
    numbers,
    reached_state,
)

TIME = 5
LENGTHS = [TIME, 2, 0, 4, 2]  # not sorted, one full, one empty, two alike
BATCH = len(LENGTHS)


def check_padded_row(build: Build) -> None:
    """Each row of a padded batch gives what it gives alone; zeros follow; the state is that of its last step."""
    for engine in engine_names(build()):
        layer = dense(build, num_layers=2, engine=engine)
        x, start = numbers(TIME, BATCH, INPUT), reached_state(layer, BATCH)
        output, state = layer(x, start, LENGTHS)
        for row, steps in enumerate(LENGTHS):
            where = f"engine {engine}: a row of length {steps}, padded,"
            only = slice(row, row + 1)
            alone, alone_state = layer(x[:steps, only], {name: value[:, only] for name, value in start.items()})
            assert_close(where, output[:steps, only], alone)
            assert_all_close(f"{where} state", {name: value[:, only] for name, value in state.items()}, alone_state)
            assert not output[steps:, row].any(), f"engine {engine}: the output is not zero after a row's length"


def check_padding(build: Build) -> None:
    """NaN, infinities, large numbers or more steps in the padding change no output, state or gradient."""
    longer = 2
    for engine in engine_names(build()):
        layer = dense(build, num_layers=2, bidirectional=True, engine=engine)
        x = numbers(TIME, BATCH, INPUT)
        padding = torch.arange(TIME)[:, None] >= torch.tensor(LENGTHS)
        expected = _results(layer, x)
        for garbage in (1e30, math.inf, math.nan):
            results = _results(layer, x.masked_fill(padding[..., None], garbage))
            assert_all_close(f"engine {engine}: with {garbage} in the padding:", results, expected)
        results = _results(layer, torch.cat([x, numbers(longer, BATCH, INPUT)]))
        results["output"] = results["output"][:TIME]
        assert_all_close(f"engine {engine}: with {longer} more steps of padding:", results, expected)


def check_nothing(build: Build) -> None:
    """Length 0 and time 0 return the state they start from, bit by bit; a batch may have no rows."""
    for engine in engine_names(build()):
        layer = dense(build, num_layers=2, bidirectional=True, engine=engine)
        start, first = reached_state(layer, BATCH), layer.cell.states[0]
        x, none = numbers(TIME, BATCH, INPUT), [0] * BATCH
        for what, steps, lengths in (("length 0", x, none), ("time 0", x[:0], None), ("time 0", x[:0], none)):
            output, state = layer(steps, start, lengths)
            assert_close(f"engine {engine}, {what}: output", output, torch.zeros(len(steps), BATCH, 2 * HIDDEN), 0.0)
            assert_all_close(f"engine {engine}, {what}: state", state, start, 0.0)
            for name, value in layer(steps, None, lengths)[1].items():
                initial = torch.full_like(value, layer.cell.initial.get(name, 0.0))
                assert_close(f"engine {engine}, {what}, no state given: state {name!r}", value, initial, 0.0)
        output, state = layer(x[:, :0], None, [])
        assert output.shape == (TIME, 0, 2 * HIDDEN), f"engine {engine}: a batch of 0 rows gives {tuple(output.shape)}"
        assert state[first].shape == (4, 0, HIDDEN), f"engine {engine}: its state is {tuple(state[first].shape)}"


def check_backward(build: Build) -> None:
    """The second half of a bidirectional output is a one-way layer on each row flipped by hand, and flipped back."""
    for engine in engine_names(build()):
        both = dense(build, bidirectional=True, engine=engine)
        x, start = numbers(TIME, BATCH, INPUT), reached_state(both, BATCH)
        output, state = both(x, start, LENGTHS)
        for place, (direction, half) in enumerate(zip(("forward", "backward"), output.chunk(2, -1), strict=True)):
            one = dense(build, engine=engine)
            one.weights()[0].load_state_dict(both.weights()[place].state_dict())
            begin = {name: value[place : place + 1] for name, value in start.items()}
            flip = _flipped if place else torch.clone
            expected, last = one(flip(x), begin, LENGTHS)
            assert_close(f"engine {engine}: the {direction} half of the output", half, flip(expected))
            assert_all_close(
                f"engine {engine}: the {direction} state",
                {name: value[place : place + 1] for name, value in state.items()},
                last,
            )


def _flipped(x: Tensor) -> Tensor:
    turned = x.clone()
    for row, steps in enumerate(LENGTHS):
        for t in range(steps):
            turned[t, row] = x[steps - 1 - t, row]
    return turned


def _results(layer: Recurrent, x: Tensor) -> dict[str, Tensor]:
    """Output, states, and the gradients of a loss over both."""
    layer.zero_grad()
    output, state = layer(x, reached_state(layer, BATCH), LENGTHS)
    loss = output.square().sum()
    for value in state.values():
        loss = loss + value.square().sum()
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in layer.named_parameters() if p.grad is not None}
    return {"output": output, **state, **gradients}
