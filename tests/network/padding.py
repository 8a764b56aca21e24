"""What padding must not do, for any module of the network: change an answer or a gradient, whatever lies in it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from cellwise.testing.layers import numbers

Run = Callable[[Tensor, list[int] | None], Tensor]


@st.composite
def some_lengths(draw: st.DrawFn) -> tuple[int, list[int]]:
    """Time, and a length per row; both may be nothing."""
    time = draw(st.integers(0, 5))
    return time, draw(st.lists(st.integers(0, time), max_size=4))


def padded(x: Tensor, lengths: list[int], filler: float) -> Tensor:
    """A copy of x with a number after each row's length."""
    x = x.clone()
    for row, length in enumerate(lengths):
        x[length:, row] = filler
    return x


def answer_and_gradients(module: nn.Module, run: Run, x: Tensor, lengths: list[int] | None) -> list[Tensor]:
    """The answer, and the gradients of a weighted sum of it by the input and each parameter."""
    x = x.detach().clone().requires_grad_()
    answer = run(x, lengths)
    sources = [x, *module.parameters()]
    if not answer.requires_grad:  # no step was run: a constant
        assert x.numel() == 0 or not any(lengths or [1])
        return [answer, *map(torch.zeros_like, sources)]
    total = (answer * numbers(*answer.shape, seed=9)).sum()
    with torch.autograd.set_detect_anomaly(True):  # a NaN on the way, even where a mask then hides it, is an error
        gradients = torch.autograd.grad(total, sources, allow_unused=True, materialize_grads=True)
    return [answer.detach(), *gradients]


def assert_padding_is_nothing(
    module: nn.Module, run: Run, time: int, lengths: list[int], *features: int, per_step: bool
) -> None:
    """Zeros, large numbers and NaN in the padding are the same; and each row is what it is alone, with no padding."""
    x = numbers(time, len(lengths), *features)
    expected = answer_and_gradients(module, run, padded(x, lengths, 0.0), lengths)
    for filler in (1e3, math.nan):
        found = answer_and_gradients(module, run, padded(x, lengths, filler), lengths)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    for row, length in enumerate(lengths):
        assert expected[1][length:, row].eq(0).all()
        alone = run(x[:length, row : row + 1], None)
        answer = expected[0]
        if per_step:
            torch.testing.assert_close(answer[:length, row], alone[:, 0])
            assert answer[length:, row].eq(0).all()
        else:
            torch.testing.assert_close(answer[row], alone[0])


def assert_every_parameter_gets_a_gradient(module: nn.Module, run: Run, x: Tensor) -> None:
    """No parameter is left out."""
    gradients = answer_and_gradients(module, run, x, None)[2:]
    names = [name for name, _ in module.named_parameters()]
    left_out = [name for name, gradient in zip(names, gradients, strict=True) if not gradient.abs().sum() > 0]
    assert not left_out, left_out
