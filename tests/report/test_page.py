"""The page: one file that asks nothing of anybody and shows what the runs stored, as text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from cellwise.compare.table import compare
from cellwise.errors import CellwiseError
from cellwise.records.store import load_study
from cellwise.report.page import embedded_json, render_page, write_page


class Page(HTMLParser):
    """Elements with their attributes, the text outside of scripts, and the scripts themselves."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._within = ""
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts[-1] += data
        elif self._within != "style":
            self.text += data

    def figures(self) -> dict[str, list[dict[str, Any]]]:
        """The embedded JSON, read strictly."""
        (text,) = [s for s in self.scripts if s.startswith("{")]
        return dict(json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON")))


def page_of(folder: Path) -> Page:
    return Page(render_page(load_study(folder)))


def test_the_page_is_one_file_that_asks_for_nothing(study_folder: Path, tmp_path: Path) -> None:
    path = write_page(load_study(study_folder), tmp_path / "new" / "report.html")
    page = Page(path.read_text(encoding="utf-8"))
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]
    assert {tag for tag, _ in page.elements} & {
        "link",
        "img",
        "iframe",
        "object",
        "base",
        "form",
        "a",
    } == set()
    for tag, attributes in page.elements:
        assert not {"src", "href", "srcset", "action", "onload"} & attributes.keys(), tag
    policy = next(a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in str(policy)
    assert "http" not in str(policy)
    css = (resources.files("cellwise.report") / "page.css").read_text(encoding="utf-8")
    assert "url(" not in css
    assert "@import" not in css


def test_plotly_is_inside_and_its_upload_button_is_off(study_folder: Path) -> None:
    page = page_of(study_folder)
    assert any("plotly.js v" in script[:400] for script in page.scripts)
    drawing = page.scripts[-1]
    assert "showSendToCloud: false" in drawing
    assert 'plotlyServerURL: ""' in drawing
    assert "Plotly.react(place, variant.data, layout, config)" in drawing


def test_every_place_has_its_figure(study_folder: Path) -> None:
    page = page_of(study_folder)
    places = [a["data-figure"] for _, a in page.elements if "data-figure" in a]
    figures = page.figures()
    assert sorted(map(str, places)) == sorted(figures)
    # learning curves, final scores, and the four views that Plotly draws; table and text are HTML
    assert len(figures) == 6
    assert [v["label"] for v in figures["0-0"]] == ["training steps", "examples seen", "training time (s)"]


def test_the_page_says_what_the_terminal_says(study_folder: Path) -> None:
    text = page_of(study_folder).text
    for part in (
        "Which recurrent cell is better here",
        "5 seeds can separate cells that differ by about",
        "is better than rnn by",
        "none was tuned",
        "floor: unigram",
        "310.2",
        "Learning curves",
        "Final scores",
        "How far back does the cell remember?",
        "Which words matter?",
        "cellwise train cell=gru seed=3",
        "f" * 40,
        "c" * 64,
        "torch 2.13.0",
        "cpu, 1, native",
    ):
        assert part in text, part
    assert not re.search(r"\b(nan|NaN|None|undefined)\b", text)


def test_names_and_errors_of_runs_are_shown_and_never_executed(
    make_study: Callable[..., Path],
    add_run: Callable[..., Path],
    made_up_run_info: Callable[..., dict[str, Any]],
) -> None:
    evil = "<script>alert(1)<-script>"
    folder = make_study("<img src=x onerror=alert(1)>", 2, ("lstm", evil), views=True)
    error = "</script><script>alert(2)</script> {{ 7 * 7 }}"
    add_run(folder / "gru-0123abcd" / "seed-0", made_up_run_info("gru", 0, status="failed", error=error))
    harmless = page_of(make_study("plain", 2, ("lstm", "other"), views=True))
    page = page_of(folder)
    assert len(page.scripts) == len(harmless.scripts) == 3
    assert "img" not in {tag for tag, _ in page.elements}
    assert evil in page.text
    assert error in page.text
    assert "<img src=x onerror=alert(1)>" in page.text
    names = {t.get("name") for variants in page.figures().values() for v in variants for t in v["data"]}
    assert "&lt;script&gt;alert(1)&lt;-script&gt;" in names
    assert not any("<" in str(name) for name in names)


def test_embedded_json_cannot_end_its_script() -> None:
    text = str(embedded_json({"a": "</script><!-- & -->"}))
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": "</script><!-- & -->"}


def test_a_study_with_every_trouble_still_has_its_page(troubled_folder: Path) -> None:
    (troubled_folder / "gru-0123abcd" / "seed-0" / "views" / "gate.npz").unlink()
    page = page_of(troubled_folder)
    assert "RuntimeError: out of memory" in page.text
    assert "View not shown" in page.text
    assert "Ignored: old: not named" in page.text
    assert page.figures()


def test_a_study_that_has_only_started_has_a_page(
    tmp_path: Path, add_run: Callable[..., Path], made_up_run_info: Callable[..., dict[str, Any]]
) -> None:
    add_run(
        tmp_path / "s" / "gru-0123abcd" / "seed-0",
        made_up_run_info("gru", 0, status="running", parameters=None),
    )
    page = page_of(tmp_path / "s")
    assert "No run has finished" in page.text
    assert page.figures() == {}


def test_runs_of_two_tasks_have_two_sections(
    study_folder: Path,
    add_run: Callable[..., Path],
    made_up_run_info: Callable[..., dict[str, Any]],
    made_up_summary: Callable[..., dict[str, Any]],
) -> None:
    result = made_up_summary("gru", 0, 0.1, task="adding", objective="mse", unit="")
    add_run(study_folder / "gru-99999999" / "seed-0", made_up_run_info("gru", 0, task="adding"), result)
    text = page_of(study_folder).text
    assert "compared within each" in text
    assert "adding: test mse, lower is better" in text
    assert "language: test perplexity, lower is better" in text


def test_the_same_study_gives_the_same_page(study_folder: Path) -> None:
    assert render_page(load_study(study_folder)) == render_page(load_study(study_folder))


def test_a_path_that_cannot_be_written_is_one_line(study_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CellwiseError, match="cannot write"):
        write_page(load_study(study_folder), tmp_path / "file" / "report.html")


def test_undecided_pairs_are_folded_away_and_counted(study_folder: Path, make_study: Callable[..., Path]) -> None:
    content = render_page(load_study(study_folder))
    (comparison,) = compare(load_study(study_folder))
    verdict, first = comparison.verdict, content.index("<table>")
    assert len(verdict.apart) > 0 < len(verdict.undecided)
    folded = content[content.index('<details class="undecided">') : content.index("</details>")]
    assert f"<summary>{len(verdict.undecided)} undecided pairs</summary>" in folded
    before = content[: content.index('<details class="undecided">')]
    assert all(pair.sentence in folded and pair.sentence not in before for pair in verdict.undecided)
    assert all(escape(pair.sentence) in before for pair in verdict.apart)
    assert content.index("</details>") < first
    assert "No pair of cells is told apart." not in content


def test_where_no_pair_is_told_apart_one_sentence_says_so(make_study: Callable[..., Path]) -> None:
    text = page_of(make_study("close", 2, ("lstm", "peephole_lstm"))).text
    assert "No pair of cells is told apart." in text
    assert "1 undecided pair\n" in text


def test_columns_of_failed_and_unfinished_runs_are_there_where_such_runs_are(
    study_folder: Path, troubled_folder: Path
) -> None:
    for folder, there in ((study_folder, False), (troubled_folder, True)):
        content = render_page(load_study(folder))
        assert ("<th>failed</th><th>not ended</th>" in content) == there
        table = content[content.index("<table>") : content.index("</table>")]
        cells = [len(re.findall("<t[hd]", row)) for row in table.split("<tr>")[1:]]
        assert cells[0] == cells[1] == (12 if there else 10)
        spans = [sum(map(int, re.findall(r'colspan="(\d+)"', row))) for row in table.split("<tr>")[1:]]
        assert cells[-1] + spans[-1] - 2 == cells[0]  # a floor's row has two cells that span several


def test_cut_intervals_say_so_in_heading_and_notes(
    tmp_path: Path,
    add_run: Callable[..., Path],
    made_up_run_info: Callable[..., dict[str, Any]],
    made_up_summary: Callable[..., dict[str, Any]],
) -> None:
    for seed, value in enumerate((0.001, 0.012, 0.002)):
        result = made_up_summary("gru", seed, value, objective="mse", unit="", floors={}, optimum=None)
        rows = [{"step": 50, "examples": 100, "seconds": 1.0, "validation_mse": value}]
        add_run(tmp_path / "s" / "gru-00000000" / f"seed-{seed}", made_up_run_info("gru", seed), result, rows)
    text = page_of(tmp_path / "s").text
    assert "95 % interval(cut at 0: no score can be below)" in text
    assert "bands 95 % intervals (cut at 0: no score can be below), thin lines" in text
    assert "bars are means with 95 % intervals (cut at 0: no score can be below)." in text
    assert "0.0000 to 0.0201" in text


def test_rows_named_by_their_identity_are_explained(
    tmp_path: Path, add_run: Callable[..., Path], made_up_run_info: Any, made_up_summary: Any
) -> None:
    for number in (1, 2):
        path = add_run(
            tmp_path / "s" / f"gru-{str(number) * 8}" / "seed-0",
            made_up_run_info("gru", 0),
            made_up_summary("gru", 0, 5.0),
        )
        path.joinpath("config.yaml").write_text(
            f"{{cell: {{name: gru}}, seed: 0, a: {number}, b: {number}, c: {number}}}"
        )
    assert "gru-11111111a=1, b=1, c=1" in page_of(tmp_path / "s").text
