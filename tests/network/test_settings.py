"""The settings of a sequence model are checked."""

from __future__ import annotations

from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.network.settings import SequenceSettings
from cellwise.settings import parse


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": 0}, "network.hidden_size=0 is too small; it must be 1 or more"),
        ({"dropout": 1}, "network.dropout=1.0 is too large; it must be less than 1"),
        ({"readout": "first"}, "network.readout=first is not allowed; allowed: last, mean, max, attention"),
        ({"head_hidden": 3}, "unknown key in 'network' 'head_hidden'; did you mean 'head_hidden_size'"),
        ({"transformer_layers": -1}, "network.transformer_layers=-1 is too small; it must be 0 or more"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CellwiseError, match=message):
        parse(SequenceSettings, values, "network")
