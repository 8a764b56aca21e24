"""Parallel coordinates under a pointer: trials are kept by a drag along an axis, and axes are moved by their names."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from playwright.sync_api import Page

from cellwise.records.store import Study
from cellwise.records.tuning import TuningRecord
from cellwise.report import page as pages
from cellwise.report.search.panels import search_panels
from tests.browser.conftest import Open
from tests.report.searches import made_up, write_search

pytestmark = pytest.mark.browser

AXES = ["learning_rate", "hidden_size", "momentum", "weight_decay", "validation mse"]


@pytest.fixture
def record(tmp_path: Path) -> TuningRecord:
    """A search of two cells, forty trials each."""
    return write_search(tmp_path / "mine", {cell: [made_up(n) for n in range(40)] for cell in ("lstm", "gru")})


@pytest.fixture
def page(tmp_path: Path, record: TuningRecord, monkeypatch: pytest.MonkeyPatch, open_page: Open) -> Page:
    """A page with the parallel coordinates alone."""
    study = Study(tmp_path / "mine", ())
    [panel] = [p for p in search_panels(study) if p.title == "Trials as parallel coordinates"]
    variants = [{"label": label, **figure} for label, figure in panel.variants.items()]
    html = Markup('<main><article><h3>x</h3><div class="figure" data-figure="trials"></div></article></main>')
    monkeypatch.setattr(pages, "page_content", lambda *_, **_options: pages.Content(html, {"trials": variants}))
    path = tmp_path / "page.html"
    path.write_text(pages.render_page(study), encoding="utf-8")
    opened = open_page(path, viewport={"width": 1200, "height": 800})
    opened.page.wait_for_selector(".nsewdrag")
    return opened.page


def shown(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(
        """() => {
            const place = document.querySelector("[data-figure]");
            return { data: place.data, layout: JSON.parse(JSON.stringify(place.layout)) };
        }"""
    )
    return found


def trials(figure: dict[str, Any]) -> dict[tuple[str, int], list[str]]:
    """The words along each thin line that is drawn in its cell's colour, by label and trial."""
    found = {}
    for trace in figure["data"]:
        if trace["mode"] != "lines" or "customdata" not in trace:
            continue
        points = zip(trace["x"], trace["text"], trace.get("customdata", []), strict=False)
        for gap, part in itertools.groupby(points, key=lambda point: point[0] is None):
            if not gap:
                each = list(part)
                found[trace["name"], each[0][2]] = [text for _, text, _ in each]
    return found


def pixel(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a point of the figure is on the screen."""
    found: list[float] = page.evaluate(
        """([x, y]) => {
            const place = document.querySelector("[data-figure]");
            const box = place.querySelector(".nsewdrag").getBoundingClientRect();
            const share = ([from, to], value) => (value - from) / (to - from);
            const { xaxis, yaxis } = place.layout;
            return [box.left + box.width * share(xaxis.range, x), box.bottom - box.height * share(yaxis.range, y)];
        }""",
        [x, y],
    )
    return found[0], found[1]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*pixel(page, *start))
    page.mouse.down()
    page.mouse.move(*pixel(page, *end), steps=4)
    page.mouse.up()
    page.wait_for_function("() => document.documentElement.dataset.settled === 'true'")


def test_a_drag_along_an_axis_keeps_the_trials_that_go_through_there(page: Page) -> None:
    before = shown(page)
    every = trials(before)
    assert len(every) == 80
    drag(page, (0, 0.5), (0, 1.03))  # the upper half of the learning rate's logarithmic range
    kept = trials(shown(page))
    assert set(kept) == {key for key, words in every.items() if float(words[0]) >= 10**-2.5}
    assert 0 < len(kept) < 80
    assert all(every[key] == words for key, words in kept.items())
    drag(page, (4, 0.7), (4, 1.03))  # of these, the best by validation
    fewer = trials(shown(page))
    assert set(fewer) < set(kept)
    worst = max(float(words[4]) for words in fewer.values())
    assert all(float(kept[key][4]) >= worst for key in set(kept) - set(fewer))
    assert len(shown(page)["layout"]["shapes"]) == 2
    [shadow] = [t for t in shown(page)["data"] if t.get("hoverinfo") == "skip" and t["mode"] == "lines"]
    assert sum(x == 0 for x in shadow["x"]) >= 80 - len(fewer)
    for axis, y in ((0, 0.3), (4, 0.3)):
        drag(page, (axis, y), (axis, y))
    assert trials(shown(page)) == every


def test_an_axis_is_moved_by_its_name_and_every_line_goes_with_it(page: Page) -> None:
    every = trials(shown(page))
    drag(page, (0, 1.1), (3, 1.1))
    after = shown(page)
    assert after["layout"]["xaxis"]["ticktext"] == [*AXES[1:4], AXES[0], AXES[4]]
    for key, words in trials(after).items():
        assert words == [*every[key][1:4], every[key][0], every[key][4]]
    [ticks] = [t for t in after["data"] if t["mode"] == "markers+text"]
    assert {text.strip() for x, text in zip(ticks["x"], ticks["text"], strict=True) if x == 3} == {
        "0.0001",
        "0.001",
        "0.01",
        "0.1",
    }


def test_what_is_kept_holds_for_the_other_variant_too(page: Page) -> None:
    drag(page, (0, 0.5), (0, 1.03))
    page.get_by_role("button", name="best quarter of each cell").click()
    page.wait_for_function("() => document.documentElement.dataset.settled === 'true'")
    kept = trials(shown(page))
    assert 0 < len(kept) < 20
    assert all(float(words[0]) >= 10**-2.5 for words in kept.values())
