"""Readouts against a loop over rows without padding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from cellwise.errors import CellwiseError
from cellwise.network.readout import READOUTS, Readout
from cellwise.recurrent.layer import Recurrent
from cellwise.testing.layers import numbers
from tests.network.padding import assert_padding_is_nothing, some_lengths

few = settings(max_examples=15, deadline=None)
LENGTHS = [4, 0, 1, 3]

OF_ONE_ROW: dict[str, Callable[[Tensor], Tensor]] = {
    "last": lambda h: h[-1],
    "mean": lambda h: torch.stack([h[t] for t in range(len(h))]).mean(0),
    "max": lambda h: h.max(0).values,
}


def readout(name: str, units: int = 4, bidirectional: bool = False) -> Readout:
    torch.manual_seed(1)
    return Readout(name, units, bidirectional=bidirectional).double()


@pytest.mark.parametrize("rest", [(4,), (4, 2, 3)], ids=["vectors", "images"])
@pytest.mark.parametrize("name", sorted(OF_ONE_ROW))
def test_a_row_is_read_out_as_if_it_were_alone(name: str, rest: tuple[int, ...]) -> None:
    h = numbers(4, 4, *rest) - 3  # below zero: a maximum that sees the padding's zeros would show
    found = readout(name)(h, LENGTHS)
    for row, length in enumerate(LENGTHS):
        expected = OF_ONE_ROW[name](h[:length, row]) if length else torch.zeros(rest, dtype=torch.float64)
        torch.testing.assert_close(found[row], expected)
    torch.testing.assert_close(readout(name)(h), torch.stack([OF_ONE_ROW[name](h[:, row]) for row in range(4)]))


@pytest.mark.parametrize("layers", [1, 2])
def test_the_last_of_both_directions_is_the_final_state_of_each(layers: int) -> None:
    """The forward half at the last valid step, the backward half at the first: what the layer's state says too."""
    layer = Recurrent("gru", 3, 2, layers, bidirectional=True).double()
    h, state = layer(numbers(4, 4, 3), None, LENGTHS)
    expected = torch.cat([state["h"][-2], state["h"][-1]], dim=-1)
    torch.testing.assert_close(readout("last", bidirectional=True)(h, LENGTHS), expected)
    assert not torch.allclose(readout("last")(h, LENGTHS), expected)


def test_on_images_the_halves_are_of_channels() -> None:
    h = numbers(4, 4, 4, 2, 3)
    found = readout("last", bidirectional=True)(h, LENGTHS)
    torch.testing.assert_close(found[3], torch.cat([h[2, 3, :2], h[0, 3, 2:]]))


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("name", READOUTS)
@few
@given(case=some_lengths())
def test_padding_is_nothing(name: str, bidirectional: bool, case: tuple[int, list[int]]) -> None:
    module, (time, lengths) = readout(name, bidirectional=bidirectional), case
    assert_padding_is_nothing(module, module, time, lengths, 4, per_step=False)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(CellwiseError, match="unknown readout 'lats'; did you mean 'last'"):
        readout("lats")
    with pytest.raises(ValueError, match="outputs have 3 units; this readout takes 4"):
        readout("mean")(numbers(2, 2, 3))
    with pytest.raises(ValueError, match=r"outputs must be \(time, batch, units\), not of shape \(2, 2, 4, 3, 3\)"):
        readout("attention")(numbers(2, 2, 4, 3, 3))
    with pytest.raises(ValueError, match="lengths must be 0 to 2"):
        readout("max")(numbers(2, 1, 4), [3])
