"""The setting that decides the score has the share of its variance, on the scale of its range."""

from __future__ import annotations

import importlib.util
import math

import pytest

from cellwise.errors import CellwiseError
from cellwise.records.tuning import Setting, Trial
from cellwise.sweep.importance import importance
from cellwise.sweep.space import Range, Space, Values, draw

SPACE: Space = {
    "rate": Range(1e-6, 1e-2, log=True),
    "momentum": Range(0.0, 0.99, log_of_one_minus=True),
    "kind": Values(("x", "y")),
}


def trials(number: int = 100) -> list[Trial]:
    def score(settings: dict[str, Setting]) -> float:
        """Linear in the places: variances 16/12, 1/12 and 1/4, which is 80, 5 and 15 per cent."""
        place = math.log10(float(settings["rate"] or 0) / 1e-6) / 4
        other = -math.log10(1 - float(settings["momentum"] or 0)) / 2
        return 4 * place + other + (settings["kind"] == "y")

    drawn = [draw(SPACE, 0, n) for n in range(number)]
    return [Trial(n, settings, "finished", score(settings), 1.0) for n, settings in enumerate(drawn)]


def test_shares_are_those_of_the_variance_over_the_space() -> None:
    found = importance(SPACE, trials(300))
    assert found.alone["rate"] == pytest.approx(0.80, abs=0.04)
    assert found.alone["momentum"] == pytest.approx(0.05, abs=0.03)
    assert found.alone["kind"] == pytest.approx(0.15, abs=0.04)
    assert found.together == pytest.approx(1 - sum(found.alone.values()), abs=1e-12)
    assert found.trials == 300


def test_it_is_the_same_each_time_and_trials_that_did_not_finish_do_not_count() -> None:
    settings = draw(SPACE, 0, 0)
    others = [Trial(100, settings, "failed", None, 1.0, "no"), Trial(101, settings, "pruned", 1e9, 1.0)]
    assert importance(SPACE, [*trials(), *others, Trial(102, {}, "waiting")]) == importance(SPACE, trials())


def test_why_there_is_none_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CellwiseError, match="7 trials finished, and 8 are the least that say anything"):
        importance(SPACE, trials(7))
    alike = [Trial(trial.number, trial.settings, "finished", 1.0) for trial in trials()]
    with pytest.raises(CellwiseError, match="all trials scored the same"):
        importance(SPACE, alike)
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sklearn" else there(name))
    with pytest.raises(CellwiseError, match=r"sklearn is missing; type pip install 'cellwise\[search\]'"):
        importance(SPACE, trials())
