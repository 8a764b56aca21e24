"""Trials that are read from the folders of their runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cellwise.records.trials import read_searched


def test_a_configuration_of_endless_brackets_is_passed_over(make_study: Callable[..., Path], tmp_path: Path) -> None:
    """The parser in C would crash the process here, page and all."""
    study = tmp_path / "study"
    study.mkdir()
    tuning = make_study("searched", 1, ("lstm", "gru")).rename(study / "tuning")
    (tuning / "lstm-0123abcd" / "seed-0" / "config.yaml").write_text("[" * 200_000)
    searched = read_searched(study)
    assert searched is not None and not searched.ended
    assert {label: len(each) for label, each in searched.trials.items()} == {"gru": 1, "lstm": 1}
