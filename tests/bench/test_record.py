"""A bench that is written is read back, drawn and told; what is damaged is one line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cellwise.bench.views import save_views
from cellwise.cli import main
from cellwise.errors import CellwiseError
from cellwise.records.bench import Bench, Finding, load_bench, write_bench
from cellwise.report.bench import render_bench, write_bench_page
from tests.bench.made_up import made_up


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    written = made_up(tmp_path / "runs")
    write_bench(written)
    save_views(written)
    return written


def test_what_is_written_is_read_back(bench: Bench) -> None:
    found = load_bench(bench.path)
    assert dataclasses.replace(found, rows=tuple(found.rows)) == dataclasses.replace(bench, rows=tuple(bench.rows))
    assert sorted(path.name for path in bench.path.glob("*.csv")) == [
        *("findings.csv", "layers.csv", "memory.csv", "steps.csv")
    ]


def test_a_goal_is_the_most_that_a_finding_may_be() -> None:
    assert Finding("a", "b", 1.2, goal=1.2).reached is True
    assert Finding("a", "b", 1.21, goal=1.2).reached is False
    assert Finding("a", "b", 1.21).reached is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (",ms,", ",time,", r"layers.csv, line 2: no column 'ms'"),
        (",8,", ",fast,", r"layers.csv, line 2: ms is 'fast', expected a number"),
        (",8,", ",nan,", r"layers.csv, line 2: ms is 'nan', expected a number"),
    ],
)
def test_a_damaged_table_is_named(bench: Bench, old: str, new: str, said: str) -> None:
    path = bench.path / "layers.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CellwiseError, match=said):
        load_bench(bench.path)


def test_the_page_shows_what_was_measured_and_what_is_promised(bench: Bench) -> None:
    page = render_bench(bench)
    text = page.partition("plotly")[0]
    for said in (
        "A: &lt;worst&gt;",
        "missed",
        "Absent: jax is not installed",
        "a made-up machine",
        "1.0e-07 (lstm fused)",
    ):
        assert said in text
    figures = page.rpartition('id="figures">')[2].partition("</script>")[0]
    for said in ('"layers-layers-ratio"', '"label":"A"', '"label":"E"', "peephole_lstm fused", "[1.25,1.25]"):
        assert said in figures
    assert "<th>gates and states (MiB)</th>" in text and "3.000" in text


def test_report_draws_a_bench(bench: Bench, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", str(bench.path), "--out", str(tmp_path / "page.html")])
    assert ended.value.code == 0
    assert capfd.readouterr().out == f"page: {tmp_path / 'page.html'}\n"
    assert "a made-up machine" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_says_so(bench: Bench) -> None:
    with pytest.raises(CellwiseError, match="give a path that is writable"):
        write_bench_page(bench.path, bench.path / "layers.csv" / "page.html")
