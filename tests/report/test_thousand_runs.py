"""A page of 1,000 runs stays a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellwise.records.store import load_study
from cellwise.report.page import write_page
from tests.report.thousand_runs import CELLS, ROWS, SEEDS, write_thousand_runs


@pytest.mark.slow
def test_1000_runs_with_500_points_take_less_than_30_mb(tmp_path: Path) -> None:
    assert CELLS * SEEDS == 1000
    assert ROWS == 500
    study = load_study(write_thousand_runs(tmp_path / "runs" / "thousand"))
    assert len(study.runs) == 1000
    assert write_page(study, tmp_path / "report.html").stat().st_size < 30_000_000


def test_a_study_ten_times_smaller_is_hardly_larger_than_plotly(tmp_path: Path) -> None:
    """The same study with a tenth of the runs and of the rows, in the suite of every day."""
    study = load_study(write_thousand_runs(tmp_path / "runs" / "hundred", cells=10, seeds=10, rows=50))
    assert write_page(study, tmp_path / "report.html").stat().st_size < 8_000_000
