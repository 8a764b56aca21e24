"""A comparison says how its cells were tuned, and that they were not tuned alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from cellwise.compare.table import compare
from cellwise.compare.verdict import UNTUNED
from cellwise.records.store import load_study
from cellwise.records.tuning import Best, Choice, How, Tuned, TuningRecord, write_tuning

RATE = {"optim.learning_rate": Choice(1e-4, 1e-1, log=True)}
HOW = How("random", 0, (0,), 8, None, (), RATE)
ALIKE = (
    "Each cell was tuned alike: 8 trials (random) of optim.learning_rate, the best on validation; the seeds shown here "
    "are fresh."
)


def tuned(cell: str, how: How = HOW, identity: str = "0123abcd", **counts: int) -> Tuned:
    best = Best(1, {"optim.learning_rate": 0.01}, 0.5, identity)
    return Tuned(cell, cell, {"cell": cell}, how, counts or {"finished": 8}, best, None, "too few", None)


@pytest.fixture
def said(make_study: Callable[..., Path]) -> Callable[..., tuple[str, ...]]:
    """The caveats of a study of lstm and gru with tuning as given."""

    def caveats(each: Sequence[Tuned], rates: tuple[float, float] = (0.1, 0.1)) -> tuple[str, ...]:
        folder = make_study("tuned", 3, ("lstm", "gru"))
        for cell, rate in zip(("lstm", "gru"), rates, strict=True):
            for path in folder.glob(f"{cell}-*/seed-*/config.yaml"):
                path.write_text(yaml.safe_dump({"cell": {"name": cell}, "optim": {"learning_rate": rate}}))
        if each:
            write_tuning(folder, TuningRecord("perplexity", "min", "", tuple(each)))
        (comparison,) = compare(load_study(folder))
        assert comparison.fair == (comparison.verdict.caveats[0] == ALIKE)
        return comparison.verdict.caveats

    return caveats


def test_cells_that_were_tuned_alike_are_said_to_be(said: Callable[..., tuple[str, ...]]) -> None:
    assert said([tuned("lstm"), tuned("gru")])[0] == ALIKE


def test_the_settings_that_tuning_chose_may_differ(said: Callable[..., tuple[str, ...]]) -> None:
    assert said([tuned("lstm"), tuned("gru")], (0.1, 0.2))[0] == ALIKE


def test_without_tuning_nothing_changes(said: Callable[..., tuple[str, ...]]) -> None:
    assert said([])[0] == UNTUNED


def test_with_settings_that_differ_and_were_not_tuned_both_are_said(said: Callable[..., tuple[str, ...]]) -> None:
    other = dataclasses.replace(HOW, space={"network.dropout": Choice(0.0, 0.5)})
    first = said([tuned("lstm", other), tuned("gru", other)], (0.1, 0.2))[0]
    assert first.startswith("Each cell was tuned alike: 8 trials (random) of network.dropout")
    assert first.endswith("The runs differ in more than the cell (optim.learning_rate): a difference between rows may "
                          "come from that.")  # fmt: skip


@pytest.mark.parametrize(
    ("other", "within"),
    [
        (tuned("gru", finished=5), "(gru 5 trials, lstm 8 trials)"),
        (tuned("gru", finished=1), "(gru 1 trial, lstm 8 trials)"),
        (
            tuned("gru", dataclasses.replace(HOW, sampler="tpe")),
            "(gru 8 trials, lstm 8 trials, of other settings or in",
        ),
        (tuned("gru", dataclasses.replace(HOW, space={"a": Choice(1, 2)})), "of other settings or in another way"),
    ],
)
def test_cells_that_were_tuned_unequally_are_warned_of(
    said: Callable[..., tuple[str, ...]], other: Tuned, within: str
) -> None:
    first = said([tuned("lstm"), other])[0]
    assert first.startswith("The cells were tuned unequally ")
    assert within in first
    assert "a difference between rows may come from that." in first


def test_pruned_and_failed_trials_were_spent_all_the_same(said: Callable[..., tuple[str, ...]]) -> None:
    assert said([tuned("lstm"), tuned("gru", finished=4, pruned=3, failed=1)])[0] == ALIKE


def test_runs_of_settings_that_tuning_does_not_choose_are_left_out_and_named(make_study: Callable[..., Path]) -> None:
    """With more trials another setting may win; what confirmed the earlier choice stays on disk."""
    folder = make_study("tuned", 3, ("lstm", "gru"))
    (folder / "gru-0123abcd").rename(folder / "gru-89abcdef")
    write_tuning(folder, TuningRecord("perplexity", "min", "", (tuned("lstm"), tuned("gru"))))
    (comparison,) = compare(load_study(folder))
    assert [row.label for row in comparison.rows] == ["lstm"]
    assert "Left out, as tuning does not choose their settings: gru-89abcdef." in comparison.verdict.caveats


def test_a_study_of_which_nothing_is_confirmed_shows_what_it_has(make_study: Callable[..., Path]) -> None:
    folder = make_study("tuned", 2, ("lstm",))
    write_tuning(folder, TuningRecord("perplexity", "min", "", (tuned("lstm", identity="89abcdef"),)))
    (comparison,) = compare(load_study(folder))
    assert [row.label for row in comparison.rows] == ["lstm"]
    assert comparison.verdict.caveats[0] == UNTUNED
