"""Properties of lengths, for any lengths and shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwise.recurrent.guard import Lengths, blank, check_lengths, hold, reverse
from cellwise.testing.layers import numbers

CPU = torch.device("cpu")
few = settings(max_examples=25, deadline=None)


@st.composite
def some_lengths(draw: st.DrawFn) -> tuple[int, list[int]]:
    """Time, and a length per row."""
    time = draw(st.integers(0, 5))
    return time, draw(st.lists(st.integers(0, time), max_size=5))


def checked(time: int, steps: list[int]) -> Lengths:
    lengths = check_lengths(steps, time, len(steps), CPU)
    assert lengths is not None
    return lengths


@few
@given(some_lengths())
def test_the_mask_is_true_at_valid_steps(case: tuple[int, list[int]]) -> None:
    time, steps = case
    lengths = checked(time, steps)
    assert lengths.steps.tolist() == steps
    assert lengths.valid.tolist() == [[t < row for row in steps] for t in range(time)]


@few
@given(some_lengths(), st.sampled_from([(), (2,), (2, 3, 1)]))
def test_reversing_flips_each_row_and_keeps_its_padding(case: tuple[int, list[int]], rest: tuple[int, ...]) -> None:
    time, steps = case
    x = numbers(time, len(steps), *rest)
    lengths = checked(time, steps)
    turned = reverse(x, lengths)
    for row, length in enumerate(steps):
        assert torch.equal(turned[:length, row], x[:length, row].flip(0))
        assert torch.equal(turned[length:, row], x[length:, row])
    assert torch.equal(reverse(turned, lengths), x)


@few
@given(some_lengths(), st.sampled_from([(), (2,), (2, 3, 1)]))
def test_blanking_and_holding_follow_the_mask(case: tuple[int, list[int]], rest: tuple[int, ...]) -> None:
    time, steps = case
    lengths = checked(time, steps)
    x = numbers(time, len(steps), *rest)
    assert torch.equal(blank(x, lengths.valid), x * lengths.valid.reshape(time, len(steps), *[1] * len(rest)))
    for t in range(time):
        new, old = {"h": x[t]}, {"h": numbers(len(steps), *rest, seed=9)}
        held = hold(new, old, lengths.valid[t])["h"]
        for row, length in enumerate(steps):
            assert torch.equal(held[row], new["h"][row] if t < length else old["h"][row])


def test_blanking_stops_nan_forwards_and_backwards() -> None:
    x = torch.tensor([[1.0], [float("nan")]], requires_grad=True)
    blanked = blank(x, torch.tensor([[True], [False]]))
    assert blanked.tolist() == [[1.0], [0.0]]
    (gradient,) = torch.autograd.grad(blanked.square().sum(), x)
    assert gradient.tolist() == [[2.0], [0.0]]


def test_without_lengths_every_step_is_valid() -> None:
    assert check_lengths(None, 3, 2, CPU) is None
    x = numbers(3, 2)
    assert torch.equal(reverse(x, None), x.flip(0))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8])
def test_lengths_may_be_of_any_whole_type(dtype: torch.dtype) -> None:
    lengths = check_lengths(torch.tensor([0, 3], dtype=dtype), 3, 2, CPU)
    assert lengths is not None and lengths.steps.dtype == torch.int64


@pytest.mark.parametrize(
    ("given_lengths", "told"),
    [
        ([1.0, 2.0], "lengths must be whole numbers, not torch.float32"),
        ([True, False], "lengths must be whole numbers, not torch.bool"),
        ([1], "lengths must have shape (batch,) = (2,), not (1,)"),
        ([[1, 2]], "lengths must have shape (batch,) = (2,), not (1, 2)"),
        ([], "lengths must have shape (batch,) = (2,), not (0,)"),
        ([-1, 2], "lengths must be 0 to 3 (the number of steps), not -1 to 2"),
        ([1, 4], "lengths must be 0 to 3 (the number of steps), not 1 to 4"),
    ],
)
def test_wrong_lengths_are_refused_in_one_line(given_lengths: Any, told: str) -> None:
    with pytest.raises(ValueError, match="lengths must") as error:
        check_lengths(given_lengths, 3, 2, CPU)
    assert str(error.value) == told
