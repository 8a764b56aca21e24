"""The page: one file that asks nothing of anybody and shows what the runs stored, as text."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from html import escape
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import pytest

from cellwise.compare.table import compare
from cellwise.errors import CellwiseError
from cellwise.records.question import write_question
from cellwise.records.schema import View, save_view
from cellwise.records.store import load_study
from cellwise.report.page import columns_of_words, embedded_json, render_page, write_page
from cellwise.report.sections import MOST_SENTENCES
from tests.conftest import LEVELS


class Page(HTMLParser):
    """Elements with their attributes, the text outside of scripts, and the scripts, by id where they have one."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.named: dict[str, str] = {}
        self.text = ""
        self._within = ""
        self._id = ""
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag
        if tag == "script":
            self.scripts.append("")
            self._id = dict(attrs).get("id") or ""

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts[-1] += data
            self.named[self._id] = self.named.get(self._id, "") + data
        elif self._within != "style":
            self.text += data

    def read(self, name: str) -> dict[str, Any]:
        """The JSON of a script, read strictly."""
        return dict(json.loads(self.named[name], parse_constant=lambda name: pytest.fail(f"{name} is no JSON")))

    def figures(self) -> dict[str, list[dict[str, Any]]]:
        """The embedded figures."""
        return self.read("figures")

    @property
    def ids(self) -> list[str]:
        """Every id, in order."""
        return [str(attributes["id"]) for _, attributes in self.elements if "id" in attributes]


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
    } == set()
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "action", "onload"} & attributes.keys(), tag
        assert str(attributes.get("href", "#")).startswith("#"), tag  # within the page
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
    assert drawing.count('"use strict"') == 1


def test_a_public_page_leaves_out_what_may_not_be_passed_on_and_any_other_says_that_it_has_it(
    study_folder: Path,
) -> None:
    one = next(study_folder.glob("gru-*/seed-*/views/units.json"))  # of one run alone
    one.write_text(one.read_text().replace('"redistributable": true', '"redistributable": false'))
    study = load_study(study_folder)
    page, public = Page(render_page(study)), Page(render_page(study, public=True))
    assert f"This page shows data that may not be passed on (units); `cellwise report {study_folder}" in page.text
    assert "Left out, as they show data that may not be passed on: units." in public.text
    assert set(page.figures()) - set(public.figures()) == {"view-units"}


def test_the_page_says_what_the_study_asks(study_folder: Path) -> None:
    assert "Which recurrent cell is better here" in page_of(study_folder).text
    write_question(study_folder, "Which cell <b>remembers</b>?")
    text = page_of(study_folder).text
    assert "Which cell <b>remembers</b>?" in text
    assert "Which recurrent cell is better here" not in text


def test_every_place_has_its_figure(study_folder: Path) -> None:
    page = page_of(study_folder)
    places = [a["data-figure"] for _, a in page.elements if "data-figure" in a]
    figures = page.figures()
    assert sorted(map(str, places)) == sorted(figures)
    assert list(figures) == [
        *("curves", "scores", "improvement", "pareto", "speed"),
        *("view-by-distance", "view-gate", "view-film", "view-units"),  # of the views table and text are HTML
    ]
    assert [v["label"] for v in figures["curves"]] == ["training steps", "examples seen", "training time (s)"]
    assert set(figures) <= set(page.ids)


def test_every_link_leads_somewhere_and_no_id_is_given_twice(study_folder: Path, troubled_folder: Path) -> None:
    for folder in (study_folder, troubled_folder):
        page = page_of(folder)
        assert len(set(page.ids)) == len(page.ids)
        links = {str(a["href"]).removeprefix("#") for t, a in page.elements if t == "a"}
        assert links <= set(page.ids)
        assert {"verdict", "cost", "task", "provenance"} <= links
        articles = [a.get("id") for t, a in page.elements if t == "article"]
        assert articles
        assert all(articles)


def test_views_of_the_cell_and_of_the_task_stand_apart(
    make_study: Callable[..., Path], made_up_views: Callable[[str, int], list[View]]
) -> None:
    folder = make_study("apart", 1, ("lstm", "gru"))
    for cell in ("lstm", "gru"):
        for view in made_up_views(cell, 0):
            about: Literal["cell", "task"] = "cell" if view.name == "gate" else "task"
            save_view(dataclasses.replace(view, about=about), folder / f"{cell}-0123abcd" / "seed-0" / "views")
    ids = page_of(folder).ids
    assert ids.index("inside") < ids.index("view-gate") < ids.index("task") < ids.index("view-by-distance")


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
        "gru-0123abcd/seed-3",
        "in front",
        "Every pair in numbers",
        "On the front of every cost",
    ):
        assert part in text, part
    records = page_of(study_folder).named["run-records"]
    for part in ("cellwise train cell=gru seed=3", "f" * 40, "c" * 64, "torch 2.13.0", "native"):
        assert part in records, part
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
    assert len(page.scripts) == len(harmless.scripts) == 4
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
    assert "cost" not in page.ids  # nothing to say, no heading


def test_runs_of_two_tasks_have_two_sections(
    study_folder: Path,
    add_run: Callable[..., Path],
    made_up_run_info: Callable[..., dict[str, Any]],
    made_up_summary: Callable[..., dict[str, Any]],
) -> None:
    result = made_up_summary("gru", 0, 0.1, task="adding", objective="mse", unit="")
    add_run(study_folder / "gru-99999999" / "seed-0", made_up_run_info("gru", 0, task="adding"), result)
    page = page_of(study_folder)
    assert "compared within each" in page.text
    assert "adding: test mse, lower is better" in page.text
    assert "language: test perplexity, lower is better" in page.text
    assert {"contents", "adding-mse", "adding-mse-verdict", "language-perplexity-cost"} <= set(page.ids)
    assert {"adding-mse-scores", "language-perplexity-scores"} <= page.figures().keys()
    links = [a["href"] for t, a in page.elements if t == "a"]
    assert links[:5] == ["#contents", "#adding-mse", "#language-perplexity", "#over-tasks", "#provenance"]
    assert "over-tasks-profiles" in page.figures()  # of gru, which ran in both
    runs = render_page(load_study(study_folder)).partition('<table id="runs">')[2].partition("</table>")[0]
    rows = [row for row in runs.split("<tr ") if "gru-99999999/seed-0" in row]
    assert [("<td>adding, mse</td>" in row, "<td>language, perplexity</td>" in row) for row in rows] == [(True, False)]
    assert runs.count("<td>language, perplexity</td>") == runs.count("<tr ") - 1


def test_tasks_without_a_common_scale_are_not_averaged(
    study_folder: Path, add_run: Any, made_up_run_info: Any, made_up_summary: Any
) -> None:
    result = made_up_summary("gru", 0, 0.1, task="adding", objective="mse", unit="", optimum=None)
    add_run(study_folder / "gru-99999999" / "seed-0", made_up_run_info("gru", 0, task="adding"), result)
    page = page_of(study_folder)
    assert "Not compared over tasks: no best possible value is known for adding, mse" in page.text
    assert "over-tasks" not in page.ids


def test_the_same_study_gives_the_same_page(study_folder: Path) -> None:
    assert render_page(load_study(study_folder)) == render_page(load_study(study_folder))


def test_a_path_that_cannot_be_written_is_one_line(study_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CellwiseError, match="cannot write"):
        write_page(load_study(study_folder), tmp_path / "file" / "report.html")


def test_undecided_pairs_are_folded_away_and_counted(study_folder: Path, make_study: Callable[..., Path]) -> None:
    content = render_page(load_study(study_folder))
    (comparison,) = compare(load_study(study_folder))
    verdict, first = comparison.verdict, content.index("<table")
    assert len(verdict.apart) > 0 < len(verdict.undecided)
    start = content.index('<details class="undecided"')
    folded = content[start : content.index("</details>", start)]
    assert f"<summary>{len(verdict.undecided)} undecided pairs</summary>" in folded
    before = content[:start]
    assert all(pair.sentence in folded and pair.sentence not in before for pair in verdict.undecided)
    assert all(escape(pair.sentence) in before for pair in verdict.apart)
    assert start < first
    assert "No pair of cells is told apart." not in content


def test_many_pairs_that_are_told_apart_are_folded_away_too(make_study: Callable[..., Path]) -> None:
    content = render_page(load_study(make_study("many", 12)))
    (comparison,) = compare(load_study(make_study("again", 12)))
    assert len(comparison.verdict.apart) <= MOST_SENTENCES
    assert '<details class="apart"' not in content
    content = render_page(load_study(make_study("more", 12, [*LEVELS, *(f"other_{k}" for k in range(4))])))
    assert re.search(r'<details class="apart" id="verdict-apart"><summary>\d+ of 36 pairs are told apart', content)


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
        start = content.index("<table")
        table = content[start : content.index("</table>", start)]
        rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        cells = [len(re.findall("<t[hd][ >]", row)) for row in rows]
        assert cells[0] == cells[1] == (10 if there else 8)
        spans = [sum(map(int, re.findall(r'colspan="(\d+)"', row))) for row in rows]
        assert cells[-1] + spans[-1] - 2 == cells[0]  # a floor's row has two cells that span several


def test_runs_without_a_score_are_a_part_of_their_own(troubled_folder: Path, study_folder: Path) -> None:
    page = page_of(troubled_folder)
    assert "failures" in page.ids
    for said in ("RuntimeError: out of memory", "diverged: perplexity is not a finite number", "3 runs of 10"):
        assert said in page.text
    assert "failures" not in page_of(study_folder).ids


def test_a_target_is_raced_to(study_folder: Path) -> None:
    page = Page(render_page(load_study(study_folder), target=70.0))
    assert "target" in page.figures()
    assert "After how many training steps is validation at most 70.00?" in page.text
    assert "target" not in page_of(study_folder).ids


def test_columns_of_words_are_read_from_the_left() -> None:
    rows = [("lstm", "1,024", "–", "0.2 to 0.3", "native"), ("gru", "–", "−3", "< 0.001", "–")]
    assert columns_of_words(rows) == {0, 4}
    assert columns_of_words([]) == set()


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
    assert "95 % interval(cut at 0)" in text
    assert "Intervals are cut at 0: no score can be below." in text
    assert "bands 95 % intervals (cut at 0.00050: where the axis ends), thin lines" in text
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
