"""Checks of gradients: that there are any, and that they are right, in float64 against finite differences."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.gradcheck import GradcheckError

from cellwise.testing.layers import Build, dense, numbers, reached_state

LENGTHS = [3, 1]
TIME, BATCH, INPUT, HIDDEN = 3, 2, 2, 3


def check_every_gradient(build: Build) -> None:
    """Each gate's block of each parameter, the input and each state get a gradient: none is left out of the sum."""
    layer = dense(build, hidden_size=HIDDEN, num_layers=2, bidirectional=True)
    x = numbers(6, 4, layer.input_size).requires_grad_()
    start = {name: value.requires_grad_() for name, value in reached_state(layer, 4).items()}
    output, state = layer(x, start)
    loss = (output * numbers(*output.shape, seed=3)).sum()
    for number, value in enumerate(state.values()):
        loss = loss + (value * numbers(*value.shape, seed=4 + number)).sum()
    loss.backward()
    for name, parameter in layer.named_parameters():
        gradient = parameter.grad
        assert gradient is not None, f"parameter {name!r} gets no gradient: no equation uses it"
        for block, rows in enumerate(torch.split(gradient, HIDDEN)):
            assert rows.any(), f"parameter {name!r}, block {block}: the gradient is zero; no equation uses it"
    for name, value in {"the input": x, **start}.items():
        assert value.grad is not None and value.grad.any(), f"{name!r} gets no gradient: no equation uses it"


def check_gradients(build: Build) -> None:
    """First derivatives of outputs and states by input, initial state and parameters."""
    function, inputs, names = _as_function(build)
    _told(lambda: gradcheck(function, inputs), names)


def check_second_gradients(build: Build) -> None:
    """Second derivatives, along random directions."""
    function, inputs, names = _as_function(build)
    _told(lambda: gradgradcheck(function, inputs, fast_mode=True), names)


def _as_function(build: Build) -> tuple[Callable[..., Any], tuple[Tensor, ...], list[str]]:
    """The layer as a function of its input, initial states and parameters, all of them leaves; and their names."""
    layer = dense(build, input_size=INPUT, hidden_size=HIDDEN, engine="reference")
    x, start = numbers(TIME, BATCH, INPUT), reached_state(layer, BATCH)
    states, parameters = list(start), dict(layer.named_parameters())

    def function(x: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
        state = dict(zip(states, leaves, strict=False))
        swapped = dict(zip(parameters, leaves[len(states) :], strict=True))
        output, new = torch.func.functional_call(layer, swapped, (x, state, LENGTHS))
        return (output, *new.values())

    leaves = [x, *start.values(), *parameters.values()]
    inputs = tuple(leaf.detach().clone().requires_grad_() for leaf in leaves)
    return function, inputs, ["the input", *(f"state {name!r}" for name in states), *parameters]


def _told(run: Callable[[], bool], names: list[str]) -> None:
    """Turn torch's report, pages of Jacobians, into the name of what has a wrong derivative."""
    try:
        with torch.random.fork_rng(devices=[]):  # torch draws the directions from its global stream
            torch.manual_seed(0)
            run()
    except GradcheckError as error:
        found = re.search(r"input (\d+)", str(error))
        which = names[int(found[1])] if found and int(found[1]) < len(names) else "one of the inputs"
        raise AssertionError(f"the derivative by {which} differs from the finite difference") from None
