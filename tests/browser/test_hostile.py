"""Runs may be called anything, and say anything: it is shown, letter by letter, and nothing of it happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellwise.records.store import load_study
from cellwise.report.page import write_page
from tests.browser.conftest import Open
from tests.browser.records import HOSTILE, HOSTILE_TEXT, write_hostile

pytestmark = pytest.mark.browser
WANTED = "img, iframe, object, embed, form, base, b, a[href^=javascript], script:not([type])"


def test_texts_that_want_to_be_executed_are_shown_as_they_are(open_page: Open, tmp_path: Path) -> None:
    study = load_study(write_hostile(tmp_path / "runs" / HOSTILE))
    found = open_page(write_page(study, tmp_path / "hostile.html")).drawn()
    page = found.page
    folders = page.locator("#runs tbody tr").filter(has_text=HOSTILE).locator("td.folder button")
    for button in folders.all():
        button.click()
    for box in page.locator("#runs tbody input").all():
        box.check()
    page.locator("#cell-filter summary").click()
    for place in page.locator("[data-figure] .nsewdrag").all():  # what hovering shows is text too
        place.hover(force=True)
    found.settled()
    assert found.js("window.pwned") is None
    scripts = found.js(f"[...document.querySelectorAll('{WANTED}')].map((one) => one.outerHTML.slice(0, 80))")
    assert len(scripts) == 2, scripts  # Plotly, and the page's own
    assert all(script.startswith("<script>") for script in scripts)
    assert page.locator("h1").text_content() == HOSTILE
    text = found.js("document.body.textContent")
    for part in (HOSTILE, *HOSTILE_TEXT.split("\n"), "{{ 7 * 7 }}"):
        assert part in text
    drawn = found.js("[...document.querySelectorAll('[data-figure] text')].map((one) => one.textContent)")
    assert HOSTILE in drawn
    assert not [one for one in drawn if "&lt;" in one or "&amp;" in one]
    assert found.js("document.querySelectorAll('[data-figure] text a').length") == 0
