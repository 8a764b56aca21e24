"""Checks of what may depend on what: rows on each other (never), steps on later ones (never), a cut (nothing)."""

from __future__ import annotations

import torch

from cellwise.testing.layers import HIDDEN, INPUT, Build, assert_all_close, assert_close, dense, numbers, reached_state

TIME = 6


def check_batch_independence(build: Build) -> None:
    """Row 3 alone is row 3 of the batch, also where the batch is as large as the hidden size or the time."""
    layer = dense(build, num_layers=2)
    for batch in (HIDDEN, TIME, 5):
        x, start = numbers(TIME, batch, INPUT), reached_state(layer, batch)
        output, state = layer(x, start)
        alone, alone_state = layer(x[:, 3:4], {name: value[:, 3:4] for name, value in start.items()})
        assert_close(f"row 3 of a batch of {batch}", output[:, 3:4], alone)
        rows = {name: value[:, 3:4] for name, value in state.items()}
        assert_all_close(f"row 3 of a batch of {batch}: state", rows, alone_state)


def check_causality(build: Build) -> None:
    """A change of the input at one step changes an output from there on, and none before."""
    layer, changed_at = dense(build, num_layers=2), 3
    x = numbers(TIME, 2, INPUT)
    changed = x.clone()
    changed[changed_at] += 1
    output, new = layer(x)[0], layer(changed)[0]
    assert_close("an output before a change of the input", new[:changed_at], output[:changed_at], 0.0)
    assert not torch.equal(new[changed_at:], output[changed_at:]), "the outputs do not depend on the input"
    assert not torch.equal(new[-1], output[-1]), "the last output does not depend on an input two steps before"


def check_halves(build: Build) -> None:
    """A sequence cut anywhere, the state carried over the cut, gives the whole's outputs and last state."""
    layer = dense(build, num_layers=2)
    x, start = numbers(TIME, 3, INPUT), reached_state(layer, 3)
    whole, last = layer(x, start)
    for cut in (1, 2, TIME - 1):
        first, state = layer(x[:cut], start)
        second, state = layer(x[cut:], state)
        assert_close(f"the output of two pieces, cut at {cut},", torch.cat([first, second]), whole)
        assert_all_close(f"the state after two pieces, cut at {cut}:", state, last)


def check_step_by_step(build: Build) -> None:
    """As `check_halves`, one step at a time, every state on the way included."""
    layer = dense(build)
    x, start = numbers(TIME, 3, INPUT), reached_state(layer, 3)
    whole, seen = layer(x, start)[0], layer.trace(x, start).states
    state = start
    for t in range(TIME):
        output, state = layer(x[t : t + 1], state)
        assert_close(f"the output of step {t} alone", output[0], whole[t])
        assert_all_close(f"the state after step {t} alone:", state, {name: seen[name][:, t] for name in state})
