"""The settings of a sequence model are checked."""

from __future__ import annotations

from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.network.settings import SequenceSettings, read_network
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


@pytest.mark.parametrize(
    ("heads", "bidirectional", "multiple"), [(4, False, 4), (4, True, 2), (3, True, 3), (1, True, 1), (2, True, 1)]
)
def test_heads_divide_the_width_of_the_states_at_multiples_of_a_hidden_size(
    heads: int, bidirectional: bool, multiple: int
) -> None:
    settings = SequenceSettings(transformer_layers=1, transformer_heads=heads, bidirectional=bidirectional)
    fits = [size for size in range(1, 25) if size * settings.directions % heads == 0]
    assert settings.multiple == multiple
    assert fits == list(range(multiple, 25, multiple))
    assert SequenceSettings(transformer_heads=heads, bidirectional=bidirectional).multiple == 1


def test_heads_that_do_not_divide_are_refused_only_where_there_is_a_transformer_encoder() -> None:
    assert read_network({"hidden_size": 50}).hidden_size == 50
    with pytest.raises(CellwiseError) as caught:
        read_network({"hidden_size": 3, "transformer_layers": 1, "bidirectional": True, "transformer_heads": 8})
    assert str(caught.value) == (
        "network.transformer_heads=8 does not divide the 6 units of the recurrent layer (network.hidden_size=3, both "
        "directions); give network.hidden_size=4, or network.transformer_heads=1 or 2 or 3 or 6"
    )
