"""What a reader does with the page: light and dark, narrow and wide, sorting, choosing, comparing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Open, Opened
from tests.browser.records import CELLS, VALUES

pytestmark = pytest.mark.browser

PARTS = ["verdict", "cost", "search", "failures", "inside", "task", "provenance"]
KINDS = ["by-distance", "examples", "film", "gate", "tokens", "units"]
PLOTTED = ["curves", "scores", "improvement", "pareto", "speed"]
PLOTTED += [f"view-{of}{kind}" for of in ("", "inside-") for kind in KINDS if kind not in ("examples", "tokens")]


def test_every_part_and_panel_is_there_and_has_something_in_it(drawn: Opened) -> None:
    assert set(PARTS) <= set(drawn.js("[...document.querySelectorAll('section[id]')].map((one) => one.id)"))
    sizes = drawn.js(
        "[...document.querySelectorAll('[data-figure]')].map((p) => [p.dataset.figure, p.data.length,"
        " ...['width', 'height'].map((k) => p.querySelector('.main-svg').getBoundingClientRect()[k])])"
    )
    assert set(PLOTTED) <= {name for name, *_ in sizes}
    assert [name for name, traces, width, height in sizes if not (traces and width > 300 and height > 100)] == []
    empty = drawn.js(
        "[...document.querySelectorAll('article')]"
        ".filter((one) => !one.querySelector('[data-figure], td, .tokens span')).map((one) => one.id)"
    )
    assert empty == []
    for kind in ("examples", "inside-examples"):
        assert len(drawn.table(f"#view-{kind}-table")) == 16


def test_the_page_asks_for_nothing_and_says_so(drawn: Opened, everything_page: Path) -> None:
    assert [url for url in drawn.requests if not url.startswith(("data:", "blob:"))] == [
        everything_page.absolute().as_uri()
    ]
    policy = drawn.page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content") or ""
    assert policy.startswith("default-src 'none'")
    assert "connect-src" not in policy
    assert drawn.page.get_by_title("Share chart").count() == 0
    buttons = drawn.js("[...document.querySelectorAll('.modebar-btn')].map((one) => one.dataset.title)")
    assert len(buttons) > 10
    assert [title for title in buttons if "hare" in title or "loud" in title] == []


def test_a_request_would_be_refused_by_the_browser(open_page: Open, everything_page: Path) -> None:
    found = open_page(everything_page)
    refused = found.js("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    assert any("Content Security Policy" in problem for problem in found.problems)
    found.problems.clear()


def test_every_link_leads_to_a_part(page: Opened) -> None:
    links = page.js("[...document.querySelectorAll('nav a')].map((one) => one.getAttribute('href'))")
    assert [link.removeprefix("#") for link in links] == PARTS
    for link in links:
        page.page.locator(f"nav a[href='{link}']").click()
        page.until(
            "(at) => { const { top } = document.querySelector(at).getBoundingClientRect();"
            " return top >= -2 && (top < 120 || scrollY + innerHeight >= document.body.scrollHeight - 2); }",
            link,
        )


def test_the_page_is_never_wider_than_the_window(open_page: Open, everything_page: Path) -> None:
    found = open_page(everything_page, viewport={"width": 360, "height": 800}).drawn()
    figures = "[...document.querySelectorAll('[data-figure] .main-svg')]"
    for width in (360, 768, 1920):
        found.page.set_viewport_size({"width": width, "height": 800})
        found.until(
            f"(width) => document.documentElement.scrollWidth <= width && {figures}"
            ".every((one) => one.getBoundingClientRect().right <= width)",
            width,
        )


def brightness(found: Opened, code: str) -> float:
    """0 for black to 255 for white."""
    colour = found.js(f"getComputedStyle({code}")
    red, green, blue = (float(part) for part in colour.split("(")[1].rstrip(")").split(",")[:3])
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_page_and_figures_are_light_or_dark_as_the_system_says_and_as_the_button_says(
    open_page: Open, everything_page: Path
) -> None:
    found = open_page(everything_page, color_scheme="light").drawn()

    def is_light() -> bool:
        found.settled()
        page = brightness(found, "document.body).backgroundColor")
        axis = "document.querySelector(\"[data-figure='curves'] .xtick text\")).fill"
        assert abs(page - brightness(found, axis)) > 120
        return page > 128

    assert is_light()
    found.page.emulate_media(color_scheme="dark")
    found.page.wait_for_timeout(100)
    assert not is_light()
    found.page.locator("#theme").click()
    assert is_light()
    found.page.locator("#theme").click()
    assert not is_light()


def column(found: Opened, heading: str) -> list[str]:
    first, *rows = found.table("#verdict-leaderboard")
    return [row[first.index(heading)] for row in rows]


def test_the_leaderboard_sorts_up_down_and_back_and_floors_stay_below(page: Opened) -> None:
    def sort(heading: str) -> list[str]:
        page.page.locator("#verdict-leaderboard thead button", has_text=heading).first.click()
        return column(page, "cell")

    best_first = column(page, "cell")
    below = best_first[3:]
    assert best_first[:3] == list(CELLS)
    assert sort("cell") == ["gru", "lstm", "rnn", *below]
    assert sort("cell") == ["rnn", "lstm", "gru", *below]
    assert sort("cell") == best_first
    assert sort("failed") == ["rnn", "lstm", "gru", *below]
    assert sort("mean")[:3] == list(CELLS)
    assert sort("mean")[:3] == list(reversed(CELLS))
    assert page.page.locator("#verdict-leaderboard th[aria-sort=descending]").text_content() == "mean"


def test_runs_sort_by_number_and_what_has_none_comes_last(page: Opened) -> None:
    def tests() -> list[str]:
        first, *rows = page.table("#runs")
        return [row[first.index("test")] for row in rows]

    every = sorted(value for values in VALUES.values() for value in values)
    button = page.page.locator("#runs thead button", has_text="test").first
    button.click()
    assert [float(value) for value in tests()[:9]] == pytest.approx(every, rel=1e-4)
    assert set(tests()[9:]) == {"–"}
    button.click()
    assert [float(value) for value in tests()[:9]] == pytest.approx(every[::-1], rel=1e-4)
    assert set(tests()[9:]) == {"–"}


def visible_cells(found: Opened) -> set[str]:
    data = found.figure("curves")["data"]
    return {t["name"] for t in data if t.get("name") in CELLS and t.get("visible", True) is True}


def test_a_cell_that_is_switched_off_is_gone_everywhere_and_comes_back(page: Opened) -> None:
    assert visible_cells(page) == set(CELLS)
    page.page.locator("#cell-filter summary").click()
    page.page.locator("#cell-filter label", has_text="rnn").click()
    page.settled()
    assert visible_cells(page) == {"lstm", "gru"}
    page.js("cellwise.drawAll()")
    page.settled()
    assert page.figure("scores")["layout"]["yaxis"]["ticktext"] == ["gru", "lstm"]
    assert page.figure("improvement")["data"][0]["x"] == ["lstm", "gru"]
    shown = page.js("[...document.querySelectorAll('#runs tbody tr')].filter((one) => one.offsetHeight).length")
    assert shown == 10
    page.page.locator("#cell-filter button", has_text="all").click()
    page.settled()
    assert visible_cells(page) == set(CELLS)


def test_runs_are_found_by_words_and_status(page: Opened) -> None:
    def shown() -> list[tuple[str, str]]:
        found = page.js(
            "[...document.querySelectorAll('#runs tbody tr[data-run]')].filter((one) => one.offsetHeight)"
            ".map((one) => [one.cells[1].innerText, one.cells[2].innerText])"
        )
        return [(cell, seed) for cell, seed in found]

    page.page.locator("#run-search").fill("out of memory")
    assert shown() == [("gru", "3")]
    page.page.locator("#run-search").fill("")
    page.page.locator("#run-status").select_option("failed")
    assert set(shown()) == {("gru", "3"), ("lstm", "4")}
    page.page.locator("#run-status").select_option("")
    assert len(shown()) == 13


def test_runs_that_are_chosen_are_compared_and_what_differs_is_shown(page: Opened) -> None:
    rows = page.page.locator("#runs tbody tr")
    for text in ("lstm-0123abcd/seed-0", "gru-0123abcd/seed-1"):
        rows.filter(has_text=text).locator("input").check()
    heading, *compared = page.table("#compared")
    assert [name.split()[0].strip(",") for name in heading[1:]] == ["gru", "lstm"]
    by_name = {row[0]: row[1:] for row in compared if len(row) == 3}
    assert by_name["optim.learning_rate"] == ["0.002", "0.004"]
    test = next(values for name, values in by_name.items() if name.startswith("test "))
    assert [float(value) for value in test] == [VALUES["gru"][1], VALUES["lstm"][0]]
    assert not any(first == second for first, second in by_name.values())
    page.page.locator("#compare-equal").check()
    assert len(page.table("#compared")) > len(compared) + 1
    page.page.locator("#compare-runs button", has_text="clear").click()
    assert page.page.locator("#compared").count() == 0


def test_a_run_has_its_card_with_the_exact_command(page: Opened) -> None:
    row = page.page.locator("#runs tbody tr").filter(has_text="rnn-0123abcd/seed-2")
    row.locator("button").click()
    card = page.page.locator("#runs tr.card")
    text = card.inner_text()
    assert "cellwise train cell=rnn seed=2" in text
    assert "f" * 40 in text
    assert "c" * 64 in text
    row.locator("button").click()
    assert card.count() == 0


def test_zoom_is_kept_when_the_figure_is_drawn_again(page: Opened) -> None:
    page.js("Plotly.relayout(document.querySelector(\"[data-figure='curves']\"), {'xaxis.range': [100, 400]})")
    page.page.locator("#theme").click()
    page.settled()
    assert page.figure("curves")["layout"]["xaxis"]["range"] == [100, 400]
