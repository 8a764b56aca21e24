"""The Markdown says what the page says, as text, whatever runs are called."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.compare.table import compare
from cellwise.errors import CellwiseError
from cellwise.records.question import write_question
from cellwise.records.store import load_study
from cellwise.report.markdown import beside, escaped, markdown, write_markdown


def table_of(text: str) -> list[list[str]]:
    return [re.split(r" ?(?<!\\)\| ?", line)[1:-1] for line in text.splitlines() if line.startswith("|")]


def test_it_has_the_verdict_the_table_and_the_caveats(study_folder: Path) -> None:
    text = markdown(load_study(study_folder))
    (comparison,) = compare(load_study(study_folder))
    assert text.startswith("# made\\_up\n\n25 finished runs of 25.\n\n## language: test perplexity, lower is better\n")
    assert "**peephole\\_lstm is in front; not told apart from it: lstm.**" in text
    assert escaped(comparison.verdict.separation) in text
    for pair in comparison.verdict.pairs:
        assert f"* {escaped(pair.sentence)}" in text
    for caveat in comparison.verdict.caveats:
        assert f"* {escaped(caveat)}" in text
    heading, rule, *rows = table_of(text)
    assert len({len(row) for row in (heading, rule, *rows)}) == 1
    assert [row[0].replace("\\", "") for row in rows] == [
        *(row.label for row in comparison.rows),
        *("floor: bigram", "floor: unigram", "optimum"),
    ]
    means = {row[0].replace("\\", ""): float(row[2]) for row in rows}
    assert {row.label: means[row.label] for row in comparison.rows} == pytest.approx(
        {row.label: row.mean for row in comparison.rows}, abs=0.06
    )


def test_what_runs_are_called_stays_text(make_study: Callable[..., Path], add_run: Any, made_up_run_info: Any) -> None:
    evil = "<script>alert(1)<-script>|*_`[x](y)&lt;"
    folder = make_study("# h <b>", 2, ("lstm", evil))
    error = "</td>\n\n# heading | cell"
    add_run(folder / "gru-0123abcd" / "seed-0", made_up_run_info("gru", 0, status="failed", error=error))
    text = markdown(load_study(folder))
    assert not re.search(r"(?<!\\)[<>]", text)
    assert "\n# heading" not in text
    assert escaped(evil) == r"\<script\>alert(1)\<-script\>\|\*\_\`\[x\](y)\&lt;"
    assert len({len(row) for row in table_of(text)}) == 1


def test_many_failures_are_counted(tmp_path: Path, add_run: Any, made_up_run_info: Any, made_up_summary: Any) -> None:
    add_run(tmp_path / "gru-0123abcd" / "seed-99", made_up_run_info("gru", 99), made_up_summary("gru", 99, 5.0))
    for seed in range(12):
        add_run(tmp_path / "gru-0123abcd" / f"seed-{seed}", made_up_run_info("gru", seed, status="failed", error="no"))
    text = markdown(load_study(tmp_path))
    assert text.count("* Without a score: gru, seed") == 10
    assert "* and 2 more without a score" in text


def test_it_stands_beside_the_page(study_folder: Path, tmp_path: Path) -> None:
    assert beside(Path("a/page.html")) == Path("a/page.md")
    path = write_markdown(load_study(study_folder), tmp_path / "new" / "page.md")
    assert path.read_text() == markdown(load_study(study_folder))
    with pytest.raises(CellwiseError, match=r"give --out a name such as report\.html"):
        beside(Path("report.md"))
    (tmp_path / "file").write_text("")
    with pytest.raises(CellwiseError, match="cannot write"):
        write_markdown(load_study(study_folder), tmp_path / "file" / "report.md")


def test_it_says_what_the_study_asks(study_folder: Path) -> None:
    write_question(study_folder, "Which cell | remembers?")
    assert markdown(load_study(study_folder)).splitlines()[2] == r"*Which cell \| remembers?*"
