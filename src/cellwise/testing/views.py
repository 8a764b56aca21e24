"""Checks of what a layer shows of itself: its trace, and its weights by gate."""

from __future__ import annotations

import torch
from torch import Tensor

from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import HIDDEN, INPUT, Build, assert_all_close, assert_close, dense, numbers, reached_state

TIME, BATCH, LAYERS = 5, 4, 2
STEPS = 3  # for a weight to be seen in the output: the state starts at 0, and a gate may look at the one before
LENGTHS = [2, TIME, 0, 4]


def check_trace(build: Build) -> None:
    """Output and state are the forward pass's; every gate and state is there; zeros, or held, after a row's end."""
    layer = dense(build, num_layers=LAYERS, bidirectional=True)
    x, start = numbers(TIME, BATCH, INPUT), reached_state(layer, BATCH)
    output, state = layer(x, start, LENGTHS)
    trace = layer.trace(x, start, LENGTHS)
    assert_close("a trace's output", trace.output, output)
    assert_all_close("a trace's last state", trace.state, state)
    missing = sorted(set(layer.cell.gates) - set(trace.gates))
    assert not missing, f"the trace has the gates {sorted(trace.gates)}; {missing} is missing"
    assert set(trace.states) == set(layer.cell.states), f"the trace has the states {sorted(trace.states)}"
    expected = (2 * LAYERS, TIME, BATCH, HIDDEN)
    for name, value in (trace.gates | trace.states).items():
        assert tuple(value.shape) == expected, f"{name!r} in the trace is {tuple(value.shape)} instead of {expected}"
    padding = (torch.arange(TIME)[:, None] >= torch.tensor(LENGTHS)).expand(2 * LAYERS, -1, -1)
    for name, value in trace.gates.items():
        assert not value[padding].any(), f"gate {name!r} in the trace is not zero after a row's length"
    for name, value in trace.states.items():
        # The forward places are held at the last step; the backward ones ran the other way.
        assert_close(f"state {name!r} in the trace, at its end,", value[::2, -1], state[name][::2])


def check_trace_gradient(build: Build) -> None:
    """The gates and states of a trace lead back to the input and the parameters."""
    layer = dense(build)
    x = numbers(TIME, BATCH, INPUT).requires_grad_()
    trace = layer.trace(x)
    for name, value in (trace.gates | trace.states).items():
        assert value.requires_grad, f"{name!r} in the trace has no gradient"
    total = sum((value.sum() for value in trace.gates.values()), torch.zeros((), dtype=torch.float64))
    by_input, by_weight = torch.autograd.grad(total, [x, layer.weights()[0].input_weight])
    assert by_input.any() and by_weight.any(), "the gates of a trace do not lead back to the input and the weights"


def check_gate_weights(build: Build) -> None:
    """Each tensor of `gate_weights` and `extra_weights` is a view: a number added to it changes the output."""
    layer = dense(build, num_layers=LAYERS, bidirectional=True)
    x = numbers(STEPS, BATCH, INPUT)
    before = layer(x)[0].detach()
    fed = [layer.cell.parts.get(name, name) for feeds, _ in layer.cell.products.values() for name in feeds]
    for place in range(2 * LAYERS):
        number, backward = divmod(place, 2)
        for gate, weights in layer.gate_weights(number, bool(backward)).items():
            for name, value in weights._asdict().items():
                copied = name == "recurrent" and fed.count(gate) > 1
                if value is not None and not copied:
                    _assert_decides(layer, x, before, f"{name} weight of gate {gate!r}", value)
            assert (weights.recurrent is None) == (gate not in fed), f"gate {gate!r}: recurrent weights and products"
        for name, value in layer.extra_weights(number, bool(backward)).items():
            _assert_decides(layer, x, before, f"extra {name!r}", value)


@torch.no_grad()
def _assert_decides(layer: Recurrent, x: Tensor, before: Tensor, what: str, weight: Tensor) -> None:
    kept = weight.clone()
    weight.add_(0.5 * numbers(*weight.shape, seed=9))  # no constant: an antisymmetric matrix would not change
    after = layer(x)[0]
    weight.copy_(kept)
    assert not torch.equal(after, before), f"{what}: writing into it does not change the output"
    assert torch.equal(layer(x)[0], before), f"{what}: writing the old numbers back does not give the old output"
