"""Checks of what a layer puts around any cell's step: resets, initial states, zoneout, dropouts, two biases."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from cellwise.recurrent.layer import Recurrent
from cellwise.recurrent.options import free_states, twice_biased
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

TIME = 6
LENGTHS = [TIME, 5, 0]
BATCH = len(LENGTHS)
PIECES = [[0, 3], [2, 4], [1]]  # by row, the steps before which it starts anew; row 0 also before its first


def check_resets(build: Build) -> None:
    """Each piece between resets is what it is as a row of its own, in both directions; the state is the last one's."""
    resets = torch.zeros(TIME, BATCH, dtype=torch.bool)
    for row, steps in enumerate(PIECES):
        resets[steps, row] = True
    for engine in engine_names(build()):
        layer = dense(build, bidirectional=True, engine=engine, learned_state=True)
        x, start = numbers(TIME, BATCH, INPUT), reached_state(layer, BATCH)
        output, state = layer(x, start, LENGTHS, resets)
        for row, length in enumerate(LENGTHS):
            given = {name: value[:, row : row + 1] for name, value in start.items()}
            wanted, wanted_state = _by_pieces(layer, x[:length, row : row + 1], given, PIECES[row])
            where = f"engine {engine}: row {row}, reset before steps {PIECES[row]}:"
            assert_close(f"{where} the output", output[:length, row : row + 1], wanted)
            found = {name: value[:, row : row + 1] for name, value in state.items()}
            assert_all_close(f"{where} state", found, wanted_state)


def _by_pieces(
    layer: Recurrent, x: Tensor, start: dict[str, Tensor], resets: list[int]
) -> tuple[Tensor, dict[str, Tensor]]:
    """One row, cut by hand; the forward direction starts from the given state, the backward one at the row's end."""
    cuts = sorted({0, len(x), *(t for t in resets if t < len(x))})
    if len(cuts) == 1:
        return layer.forward(x, start)
    fresh, first, outputs = layer.initial_state(1), 0 in resets, []
    last = dict(start)
    for number, (begin, end) in enumerate(itertools.pairwise(cuts)):
        forward_from = fresh if first or number else start
        backward_from = start if end == len(x) else fresh
        mixed = {name: torch.cat([forward_from[name][:1], backward_from[name][1:]]) for name in start}
        output, state = layer(x[begin:end], mixed)
        outputs.append(output)
        if number == 0:
            last = {name: value.clone() for name, value in state.items()}
        else:
            last = {name: torch.cat([value[:1], last[name][1:]]) for name, value in state.items()}
    return torch.cat(outputs), last


def check_initial_state(build: Build) -> None:
    """A learned initial state starts as the cell's own, decides the output and gets a gradient."""
    plain, learned = Recurrent(build(), INPUT, HIDDEN), Recurrent(build(), INPUT, HIDDEN, learned_state=True)
    assert_all_close("a learned initial state, new:", learned.initial_state(2), plain.initial_state(2), 0.0)
    layer = dense(build, num_layers=2, bidirectional=True, learned_state=True)
    x, start = numbers(TIME, BATCH, INPUT), layer.initial_state(BATCH)
    assert_close("the output from the initial state, given and not", layer(x)[0], layer(x, start)[0], 0.0)
    output, state = layer(x)
    initial = {name: p for name, p in layer.named_parameters() if ".initial." in name}
    assert len(initial) == 4 * len(free_states(layer.cell)), f"learned are {list(initial)}"
    total = output.square().sum() + sum((v.square().sum() for v in state.values()), output.new_zeros(()))
    for name, gradient in zip(initial, torch.autograd.grad(total, list(initial.values())), strict=True):
        assert gradient.any(), f"parameter {name!r} of the learned initial state gets no gradient"


def check_zoneout(build: Build) -> None:
    """In training a unit keeps its old value or takes the new; in evaluation it takes the expectation of the two."""
    cell, rate = build(), 0.3
    states = free_states(cell)
    for engine in engine_names(cell):
        if engine == "native":
            continue
        plain, zoned = dense(build, engine=engine), dense(build, engine=engine, zoneout=rate)
        x, old = numbers(1, BATCH, INPUT), reached_state(plain, BATCH)
        new, expected = plain(x, old)[1], zoned.eval()(x, old)[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            drawn = zoned.train()(x, old)[1]
        for name in cell.states:
            wanted = rate * old[name] + (1 - rate) * new[name] if name in states else new[name]
            assert_close(f"engine {engine}: state {name!r} under zoneout, in evaluation", expected[name], wanted)
            far = torch.minimum((drawn[name] - old[name]).abs(), (drawn[name] - new[name]).abs())
            assert far.max() < 1e-12, f"engine {engine}: state {name!r} under zoneout is neither the old nor the new"


def check_evaluation(build: Build) -> None:
    """In evaluation every kind of dropout is off, so two passes give the same bits; in training each drops."""
    cell = build()
    kinds = ["dropout", "locked_dropout", *(["recurrent_dropout", "weight_drop"] if cell.products else [])]
    x = numbers(TIME, BATCH, INPUT)
    plain = dense(build, num_layers=2)(x)[0]
    for kind in kinds:
        rate: Any = {kind: 0.5}
        layer = dense(build, num_layers=2, **rate)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            assert not torch.equal(layer(x)[0], layer(x)[0]), f"{kind}=0.5 drops nothing in training"
        layer.eval()
        assert_close(f"{kind}=0.5: the output of a second pass in evaluation", layer(x)[0], layer(x)[0], 0.0)
        assert_close(f"{kind}=0.5: the output in evaluation, against none,", layer(x)[0], plain, 1e-12)


def check_biases(build: Build) -> None:
    """A layer runs without biases, and with two that add up to the one, where a gate can have two."""
    x = numbers(TIME, BATCH, INPUT)
    assert dense(build, bias=False)(x)[0].isfinite().all(), "the output without biases is not finite"
    if not twice_biased(build()):
        return
    for engine in engine_names(build()):
        one, two = dense(build, engine=engine), dense(build, engine=engine, recurrent_bias=True)
        with torch.no_grad():
            for name, value in one.named_parameters():
                two.get_parameter(name).copy_(value)
            for gate, weights in two.gate_weights().items():
                if gate in two.weights()[0].twice_biased and weights.bias is not None:
                    assert weights.recurrent_bias is not None
                    weights.bias.sub_(weights.recurrent_bias)
        assert_close(f"engine {engine}: the output with two biases", two(x)[0], one(x)[0])
