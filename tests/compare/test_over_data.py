"""Several data sets of one task: each is one number, and what differs in budget or code is no other data set."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from cellwise.compare.over_data import over_data, sentences
from cellwise.compare.table import compare
from cellwise.records.store import Study, load_study
from cellwise.report.markdown import markdown
from cellwise.report.over_data import data_panels
from cellwise.report.terminal.table import render_terminal

AddRun = Callable[..., Path]
Made = Callable[..., dict[str, Any]]
Build = Callable[..., Study]

# By data set: scores of two seeds by cell, and what the floors say of it; higher is better.
EVENTS: dict[str, tuple[dict[str, list[float]], dict[str, float]]] = {
    "2015": ({"gru": [0.41, 0.43], "rnn": [0.30, 0.26]}, {"flow": 0.54, "stays": 0.50}),
    "2016": ({"gru": [0.38, 0.42], "rnn": [0.36, 0.32]}, {"flow": 0.62, "stays": 0.32}),
    "2017": ({"gru": [0.45, 0.45], "rnn": [0.48, 0.28]}, {"flow": 0.52, "stays": 0.43}),
}


@pytest.fixture
def build(tmp_path: Path, add_run: AddRun, made_up_run_info: Made, made_up_summary: Made) -> Build:
    """A study of the events; ``changed`` are changes of ``run.json`` by event."""

    def write(changed: Mapping[str, Mapping[str, Any]] | None = None, direction: str = "max") -> Study:
        for number, (event, (scores, floors)) in enumerate(EVENTS.items()):
            said = {"objective": "csi", "unit": "", "direction": direction, "floors": floors, "optimum": None}
            data = {"data": {f"test of {event}": str(number) * 64}, **(changed or {}).get(event, {})}
            for cell, values in scores.items():
                for seed, value in enumerate(values):
                    run = tmp_path / "events" / f"{cell}-0000000{number}" / f"seed-{seed}"
                    add_run(run, made_up_run_info(cell, seed, **data), made_up_summary(cell, seed, value, **said))
        return load_study(tmp_path / "events")

    return write


def test_the_interval_is_students_over_data_sets_of_means_over_seeds(build: Build) -> None:
    [over] = over_data(compare(build()))
    gru = np.array([0.42, 0.40, 0.45])
    apart = gru - [0.54, 0.62, 0.52]
    low, high = stats.t.interval(0.95, 2, apart.mean(), stats.sem(apart))
    found = over.against_floors["gru"]["flow"]
    assert found.difference[:3] == pytest.approx((apart.mean(), low, high), abs=1e-12)
    assert (found.difference.n, found.better) == (3, 0)
    assert over.against_floors["gru"]["stays"].better == 2
    assert (list(over.means), over.best, list(over.floors)) == (["gru", "rnn"], "gru", ["flow", "stays"])
    rnn = over.against_best["rnn"]
    assert rnn.difference.mean == pytest.approx(np.mean([-0.14, -0.06, -0.07]))
    assert rnn.better == 0


def test_where_lower_is_better_the_other_is_best_and_counts_turn_round(build: Build) -> None:
    [over] = over_data(compare(build(direction="min")))
    assert (over.best, list(over.floors)) == ("rnn", ["stays", "flow"])
    assert over.against_floors["gru"]["flow"].better == 3


def test_what_differs_in_code_too_is_not_taken_for_more_data(build: Build) -> None:
    comparisons = compare(build({"2017": {"code_sha256": "e" * 64}}))
    assert len(comparisons) == 3
    [over] = over_data(comparisons)
    assert [one.group.apart.split()[3] for one in over.comparisons] == ["2015", "2016"]


def test_the_same_data_with_other_code_are_one_data_set(build: Build) -> None:
    same = {
        event: {"data": {"test": "0" * 64}, "code_sha256": name * 64} for event, name in zip(EVENTS, "abc", strict=True)
    }
    assert over_data(compare(build(same))) == ()


def test_terminal_markdown_and_page_say_the_same(build: Build) -> None:
    study = build()
    [over] = over_data(compare(study))
    said, gru, rnn = sentences(over)
    assert said.startswith("Over 3 data sets, each one number (the mean over its seeds)")
    assert gru.startswith("gru: minus floor flow -0.14 [-0.33, 0.05], better on 0 of 3; minus floor stays ")
    assert "; minus gru -0.09 [-0.20, 0.02], better on 0 of 3." in rnn
    out = io.StringIO()
    render_terminal(study, Console(file=out, width=400))
    assert f"- {gru}\n- {rnn}\n" in out.getvalue()
    assert "## Over data sets\n\nOver 3 data sets" in markdown(study)
    panels = dict(data_panels(compare(study)))
    assert panels["differences"].rows[0][:3] == ("gru", "0.423", over.against_floors["gru"]["flow"].said)
    assert panels["each"].heading == ("data set", "gru", "rnn", "floor: flow", "floor: stays")
    assert panels["each"].rows[1][1:] == ("0.400", "0.340", "0.620", "0.320")
    assert data_panels(compare(study)[:1]) == ()
