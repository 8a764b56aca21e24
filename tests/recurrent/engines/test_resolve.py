"""The table of `auto`, which the record repeats."""

from __future__ import annotations

from typing import Any

import pytest

from cellwise.recurrent.layer import ConvRecurrent, Recurrent


@pytest.mark.parametrize(
    ("name", "options", "engine"),
    [
        ("rnn", {}, "native"),
        ("rnn", {"nonlinearity": "relu"}, "native"),
        ("lstm", {}, "native"),
        ("gru", {"reset": "after"}, "native"),
        ("gru", {"reset": "before"}, "reference"),
        ("peephole_lstm", {}, "reference"),
        ("coupled_lstm", {}, "reference"),
    ],
)
def test_auto_takes_torchs_kernel_where_it_computes_exactly_the_cell(
    name: str, options: dict[str, Any], engine: str
) -> None:
    assert Recurrent(name, 2, 3, **options).engine == engine
    assert Recurrent(name, 2, 3, engine="reference", **options).engine == "reference"
    assert ConvRecurrent(name, 2, 3, 3, **options).engine == "reference"
