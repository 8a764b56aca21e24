"""Time to target on the page: shares of runs and medians as they follow from the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from cellwise.compare.table import compare
from cellwise.errors import CellwiseError
from cellwise.records.store import load_study
from cellwise.report.race_panel import race_panel

# When each run's validation was first at 10 or below, of 5 rows; None: never.
FIRST = {"fast": (1, 2, 2, 3), "slow": (4, 4, None, None)}


@pytest.fixture
def folder(tmp_path: Path, add_run: Any, made_up_run_info: Any, made_up_summary: Any) -> Path:
    """Two cells with four seeds each."""
    for cell, firsts in FIRST.items():
        for seed, first in enumerate(firsts):
            rows = [
                {"step": 100 * k, "validation_perplexity": 9.0 if first is not None and k >= first else 11.0}
                for k in range(1, 6)
            ]
            add_run(
                tmp_path / f"{cell}-00000000" / f"seed-{seed}",
                made_up_run_info(cell, seed),
                made_up_summary(cell, seed, 9.0 + seed / 10),
                rows,
            )
    return tmp_path


def test_the_share_that_is_there_rises_where_a_run_arrives(folder: Path) -> None:
    (comparison,) = compare(load_study(folder))
    panel = race_panel(comparison, 10.0)
    figure = panel.variants[""]
    go.Figure(figure)
    json.dumps(figure, allow_nan=False)
    drawn = {t["name"]: dict(zip(t["x"], t["y"], strict=True)) for t in figure["data"]}
    assert drawn["fast"] == {0: 0, 100: 0.25, 200: 0.75, 300: 1, 500: 1}
    assert drawn["slow"] == {0: 0, 400: 0.5, 500: 0.5}
    assert {t["line"]["shape"] for t in figure["data"]} == {"hv"}
    assert panel.rows == (("fast", "4", "4", "200", "–"), ("slow", "4", "2", "400", "–"))
    assert panel.question == "After how many training steps is validation at most 10.00?"
    assert "fast is there sooner than slow: 200 against 400 (log-rank" in panel.note


def test_a_target_that_nobody_reached_is_never(folder: Path) -> None:
    (comparison,) = compare(load_study(folder))
    panel = race_panel(comparison, 1.0)
    assert [row[2:4] for row in panel.rows] == [("0", "never")] * 2
    assert all(set(t["y"]) == {0} for t in panel.variants[""]["data"])


def test_a_target_that_is_not_finite_is_refused(folder: Path) -> None:
    (comparison,) = compare(load_study(folder))
    with pytest.raises(CellwiseError):
        race_panel(comparison, float("nan"))
