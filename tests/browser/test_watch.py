"""The live page follows the runs within seconds, without being loaded again, and leaves the reader where he is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cellwise.records.lease import take_lease
from cellwise.records.planned import write_plan
from cellwise.records.store import load_study
from cellwise.report.page import page_content
from tests.browser.conftest import Open, Opened
from tests.browser.records import CELLS, HOSTILE, write_everything, write_finished, write_hostile
from tests.conftest import metrics, run_info, write_run
from tests.report.served import Served, served

pytestmark = pytest.mark.browser


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_everything(tmp_path / "runs" / "everything")


@pytest.fixture
def server(study: Path) -> Iterator[Served]:
    with served(study) as found:
        yield found


@pytest.fixture
def watched(open_page: Open, server: Served) -> Opened:
    """The page, drawn; a mark shows later whether it was loaded again."""
    found = open_page(server.address)
    found.until("document.documentElement.dataset.state", seconds=40)
    found.settled()
    found.js("window.mark = 'here'")
    return found


def text_is(found: Opened, text: str) -> None:
    found.until("(said) => document.body.innerText.includes(said)", text)


def append(run: Path, *rows: dict[str, Any]) -> None:
    with open(run / "metrics.jsonl", "a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def row(step: int, **scores: float) -> dict[str, Any]:
    return {"step": step, "epoch": 0, "examples": 700 * step, "seconds": 0.04 * step, **scores}


def test_the_page_is_the_reports_and_asks_its_own_server_alone(watched: Opened, server: Served, study: Path) -> None:
    assert watched.page.title() == "everything · cellwise"
    watched.drawn()
    assert watched.js("document.documentElement.dataset.figures") == str(len(page_content(load_study(study)).figures))
    for cell in CELLS:
        dots, _ = watched.of_cell("scores", cell)
        paths = study.glob(f"{cell}-0123abcd/seed-[0-2]/summary.json")
        assert sorted(dots["x"]) == sorted(json.loads(path.read_text())["value"] for path in paths)
    assert all(url.startswith((server.address, "data:", "blob:")) for url in watched.requests)


def test_rows_are_drawn_as_they_are_written(watched: Opened, study: Path) -> None:
    run = study / "lstm-0123abcd" / "seed-3"
    (run / "metrics.jsonl").write_text("")
    append(run, *metrics(62.0, 6))
    count = len(watched.trace("curves", name="lstm, every seed")["x"])
    with take_lease(run):
        append(run, row(350, validation_perplexity=63.25), row(360, train_nll_nats=4.125))
        watched.until(
            "(n) => document.querySelector(\"[data-figure='curves']\").data"
            ".find((t) => t.name === 'lstm, every seed').x.length === n",
            count + 1,
        )
        trace = watched.trace("curves", name="lstm, every seed")
        assert (trace["x"][-1], trace["y"][-1]) == (350, 63.25)
        text_is(watched, "1 running")
        shown = watched.page.locator("#status tbody tr")
        assert shown.inner_text().split("\t")[:4] == ["lstm", "3", "running", "360 of 1,000"]
        assert "nll nats 4.125" in shown.inner_text()
        assert "perplexity 63.25" in shown.inner_text()
        assert shown.locator("progress").get_attribute("value") == "0.3600"
    text_is(watched, "1 cut off")
    assert watched.js("window.mark") == "here"


def test_a_run_that_finishes_moves_into_the_verdict_and_a_new_one_appears(watched: Opened, study: Path) -> None:
    text_is(watched, "10 finished")  # the diverged one, too
    write_finished(study, "gru", 7, 50.0)
    text_is(watched, "gru-0123abcd/seed-7")
    heading, *rows = watched.table("#verdict-leaderboard")
    assert next(row for row in rows if row[0] == "gru")[heading.index("seeds")] == "4"
    write_run(
        study / "mine-0123abcd" / "seed-0", run_info("mine", 0, status="running"), rows=[row(1, train_nll_nats=1.0)]
    )
    text_is(watched, "mine-0123abcd/seed-0")
    shutil.rmtree(study / "mine-0123abcd")
    watched.until("() => !document.body.innerText.includes('mine-0123abcd/seed-0')")
    assert watched.js("window.mark") == "here"


def test_the_reader_stays_where_he_is(watched: Opened, study: Path) -> None:
    """Scroll, zoom, variant, sort, filter, open details, a chosen run and what is typed: all outlive a change."""
    page = watched.page
    page.get_by_role("button", name="examples seen", exact=True).first.click()
    page.locator("#verdict-leaderboard thead button", has_text="cell").first.click()
    page.locator("#pairs summary").click()
    page.locator("#runs tbody tr").filter(has_text="rnn-0123abcd/seed-1").locator("input").check()
    page.locator("#runs tbody tr").filter(has_text="rnn-0123abcd/seed-2").locator("td.folder button").click()
    page.locator("#run-search").press_sequentially("rnn")
    watched.settled()
    watched.js("Plotly.relayout(document.querySelector(\"[data-figure='curves']\"), {'xaxis.range': [1e5, 4e5]})")
    watched.js("document.querySelector('#cost').scrollIntoView()")
    watched.js("window.figure = document.querySelector(\"[data-figure='curves']\")")
    place = "document.querySelector('#cost').getBoundingClientRect().top"
    before = watched.js(place)
    write_finished(study, "gru", 7, 59.0)
    watched.until("document.querySelector('#verdict-leaderboard').textContent.includes('gru4')")
    watched.settled()
    assert watched.js(place) == pytest.approx(before, abs=40)  # tables above may have grown by a row
    assert watched.js("window.figure === document.querySelector(\"[data-figure='curves']\")")
    curves = watched.figure("curves")
    assert curves["layout"]["xaxis"]["range"] == [1e5, 4e5]
    assert curves["layout"]["xaxis"]["title"]["text"] == "examples seen"
    assert page.get_by_role("button", name="examples seen", exact=True).first.get_attribute("aria-pressed") == "true"
    assert [row[0] for row in watched.table("#verdict-leaderboard")[1:4]] == ["gru", "lstm", "rnn"]
    assert watched.js("document.querySelector('#pairs details').open")
    assert page.locator("#run-search").input_value() == "rnn"
    assert watched.js("document.activeElement.id") == "run-search"
    assert page.locator("#runs tbody input:checked").count() == 1
    assert page.locator("#runs tr.card").count() == 1
    shown = "[...document.querySelectorAll('#runs tbody tr[data-run]')].filter((one) => one.offsetHeight).length"
    assert watched.js(shown) == 3


def test_nothing_is_sent_or_touched_while_nothing_changes(watched: Opened) -> None:
    watched.js(
        "window.touched = 0; new MutationObserver((all) => { window.touched += all.length; })"
        ".observe(document.querySelector('#content'), { subtree: true, childList: true, attributes: true })"
    )
    answers: list[int] = []
    watched.page.on("response", lambda answer: answers.append(answer.status))
    watched.page.wait_for_timeout(1500)
    assert len(answers) >= 2
    assert set(answers) == {304}
    assert watched.js("window.touched") == 0


def test_a_file_that_breaks_is_named_and_the_page_goes_on(watched: Opened, study: Path) -> None:
    views = study / "gru-0123abcd" / "seed-0" / "views"
    (views / "gate.npz").write_bytes((views / "gate.npz").read_bytes()[:300])
    text_is(watched, "gate.npz: not readable as arrays")
    (study / "rnn-0123abcd" / "seed-0" / "summary.json").write_text('{"schema": 1, "ta')
    text_is(watched, "summary.json: not readable as JSON")
    (study / "rnn-0123abcd" / "seed-1" / "metrics.jsonl").write_bytes(b"\xff\xfe\n\x00\x01\n")
    text_is(watched, "rnn-0123abcd/seed-1/metrics.jsonl: 2 lines that are no rows of metrics")
    (study / "tuning" / "search.json").write_text("{")
    text_is(watched, "search.json: not readable as JSON")
    write_finished(study, "gru", 8, 63.0)
    (study / "tuning" / "search.json").unlink()
    text_is(watched, "gru-0123abcd/seed-8")
    assert watched.page.locator("#error").is_hidden()
    shutil.move(study, study.with_name("away"))
    text_is(watched, "No such file or directory")
    assert "gru-0123abcd/seed-8" in watched.js("document.body.innerText")


def test_a_server_that_is_gone_is_told_and_found_again(open_page: Open, study: Path) -> None:
    with served(study) as server:
        found = open_page(server.address)
        found.until("document.documentElement.dataset.state", seconds=40)
    text_is(found, "No word from cellwise watch (it does not answer); what is shown is of ")
    assert found.page.locator("#again").is_visible()
    assert found.page.locator("h1").inner_text() == "everything"
    assert any("ERR_CONNECTION_REFUSED" in problem for problem in found.problems)
    found.problems.clear()  # the browser itself says that the server is gone


def test_a_tab_that_is_hidden_asks_nothing(watched: Opened) -> None:
    watched.js("Object.defineProperty(document, 'hidden', { get: () => window.away ?? false, configurable: true })")
    watched.js("window.away = true; document.dispatchEvent(new Event('visibilitychange'))")
    watched.page.wait_for_timeout(700)
    before = len(watched.requests)
    watched.page.wait_for_timeout(700)
    assert len(watched.requests) == before
    watched.js("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    watched.page.wait_for_timeout(700)
    assert len(watched.requests) > before


def test_a_planned_study_says_nothing_yet_until_it_begins(open_page: Open, tmp_path: Path) -> None:
    folder = tmp_path / "planned"
    write_plan([folder / "gru-0123abcd" / f"seed-{seed}" for seed in range(2)])
    with served(folder) as server:
        found = open_page(server.address)
        text_is(found, "Nothing yet: no run has begun.")
        text_is(found, "2 runs: 2 waiting")
        write_finished(folder, "gru", 0, 61.0)
        text_is(found, "Only gru has a score")
        found.drawn()


def test_hostile_runs_are_shown_live_and_nothing_of_them_happens(open_page: Open, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    hostile = write_hostile(runs / HOSTILE)
    with served(runs) as server:
        found = open_page(server.address)
        text_is(found, HOSTILE)
        found.page.locator("#content a").click()
        text_is(found, "is in front")
        found.drawn()
        info, begun = run_info(HOSTILE, 9, status="running"), [row(5, **{f"train_{HOSTILE}": 1.5})]
        running = write_run(hostile / f"{HOSTILE}-0123abcd" / "seed-9", info, rows=begun)
        with take_lease(running):
            text_is(found, "1 running")
            text_is(found, f"{HOSTILE} 1.5")
        assert found.js("window.pwned") is None
        assert found.page.locator("h1").inner_text() == HOSTILE
        assert found.page.title() == f"{HOSTILE} · cellwise"
        assert found.js("document.querySelectorAll('img, iframe, b, script:not([src]):not([type])').length") == 0
        found.page.get_by_role("link", name="all studies").click()
        text_is(found, "Studies")
