"""The head is its linear maps, per row and per step."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings

from cellwise.errors import CellwiseError
from cellwise.network.head import Head
from cellwise.testing.layers import numbers
from tests.network.padding import assert_every_parameter_gets_a_gradient, assert_padding_is_nothing, some_lengths

few = settings(max_examples=15, deadline=None)
kinds = pytest.mark.parametrize("hidden_size", [None, 5])


def head(hidden_size: int | None, dropout: float = 0.0) -> Head:
    torch.manual_seed(1)
    return Head(3, 2, hidden_size=hidden_size, dropout=dropout).double()


def test_it_is_one_linear_map_or_two_with_a_rectifier_between() -> None:
    x = numbers(4, 3, 3)
    p = dict(head(None).named_parameters())
    torch.testing.assert_close(head(None)(x), x @ p["output.weight"].T + p["output.bias"])
    p = dict(head(5).named_parameters())
    inner = (x @ p["hidden.0.weight"].T + p["hidden.0.bias"]).clamp(min=0)
    torch.testing.assert_close(head(5)(x), inner @ p["output.weight"].T + p["output.bias"])


@kinds
def test_a_row_is_answered_as_a_step_of_it_would_be(hidden_size: int | None) -> None:
    x = numbers(4, 3, 3)
    torch.testing.assert_close(head(hidden_size)(x[1]), head(hidden_size)(x)[1])


@kinds
@few
@given(case=some_lengths())
def test_padding_is_nothing(hidden_size: int | None, case: tuple[int, list[int]]) -> None:
    module, (time, lengths) = head(hidden_size), case
    assert_padding_is_nothing(module, module, time, lengths, 3, per_step=True)


@kinds
def test_every_parameter_gets_a_gradient(hidden_size: int | None) -> None:
    module = head(hidden_size)
    assert_every_parameter_gets_a_gradient(module, lambda x, n: module(x, n), numbers(4, 3, 3))


@kinds
def test_dropout_acts_in_training_alone(hidden_size: int | None) -> None:
    module, x = head(hidden_size, dropout=0.5), numbers(4, 3, 3)
    torch.testing.assert_close(module.eval()(x), head(hidden_size)(x))
    assert not torch.allclose(module.train()(x), head(hidden_size)(x))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CellwiseError, match="hidden_size=0 must be a whole number, 1 or more"):
        head(0)
    with pytest.raises(CellwiseError, match=r"dropout=1.0 must be at least 0 and less than 1"):
        head(None, 1.0)
    with pytest.raises(ValueError, match="input has 4 units; this head takes 3"):
        head(None)(numbers(2, 4))
    with pytest.raises(ValueError, match="where lengths are given"):
        head(None)(numbers(2, 3), [1, 1])
