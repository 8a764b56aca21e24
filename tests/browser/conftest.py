"""Debian's chromium, driven by Playwright: what a page draws, asks for and complains of.

Every page that a test opens is watched to its end: an error on the console, an exception in a script, or a request to
anywhere but the page's own place fails the test.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cellwise.records.store import load_study
from cellwise.report.page import write_page
from tests.browser.records import write_everything

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SETTLED = "document.documentElement.dataset.settled === 'true'"
ALL = "document.documentElement.dataset.drawn === document.documentElement.dataset.figures"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("no chromium here: type `apt-get install chromium` (Debian), then `make test-browser`")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield started
        started.close()


class Opened:
    """A page, and what it should not have done.

    Attributes:
        page: Playwright's.
        problems: errors on the console, exceptions of scripts, requests to elsewhere.
        requests: addresses that were asked for.
    """

    def __init__(self, page: Page, home: str) -> None:
        self.page, self.home = page, home
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda said: self._heard(said.type, said.text))
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("request", lambda request: self._asked(request.url))

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.problems.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        self.requests.append(url)
        if not url.startswith((self.home, "data:", "blob:")):
            self.problems.append(f"asked for {url}")

    def js(self, code: str, argument: Any = None) -> Any:
        """What a piece of JavaScript gives."""
        return self.page.evaluate(code, argument)

    def until(self, condition: str, argument: Any = None, seconds: float = 20.0) -> None:
        """Wait until a piece of JavaScript gives true; Playwright's own way needs `eval`, which a live page forbids."""
        end = time.monotonic() + seconds
        while not self.js(condition, argument):
            assert time.monotonic() < end, f"not so after {seconds} s: {condition} {argument!r}"
            self.page.wait_for_timeout(50)

    def settled(self) -> None:
        """Wait until nothing is being drawn."""
        self.until(SETTLED)

    def drawn(self) -> Opened:
        """Draw every figure, also those that are folded away or wait until they come into sight."""
        self.settled()
        self.js("document.querySelectorAll('article details').forEach((one) => { one.open = true; })")
        self.js("cellwise.drawAll()")
        self.until(f"{SETTLED} && {ALL}")
        return self

    def figure(self, panel: str) -> dict[str, Any]:
        """The data and layout that Plotly holds for a panel's figure."""
        found: dict[str, Any] = self.js(
            "(id) => { const { data, layout } = document.querySelector(`[data-figure='${id}']`);"
            "return JSON.parse(JSON.stringify({ data, layout })); }",
            panel,
        )
        return found

    def trace(self, panel: str, **wanted: Any) -> dict[str, Any]:
        """The one trace of a figure with these values."""
        traces = self.figure(panel)["data"]
        found = [t for t in traces if all(t.get(key) == value for key, value in wanted.items())]
        assert len(found) == 1, [{key: t.get(key) for key in ("name", "mode", *wanted)} for t in traces]
        return dict(found[0])

    def of_cell(self, panel: str, cell: str) -> list[dict[str, Any]]:
        """The traces of a figure that are of one cell."""
        return [t for t in self.figure(panel)["data"] if cell in (t.get("name"), t.get("legendgroup"))]

    def table(self, selector: str) -> list[list[str]]:
        """The text of a table's cells, row by row."""
        found: list[list[str]] = self.js(
            "(at) => [...document.querySelector(at).rows].map((r) => [...r.cells].map((c) => c.innerText.trim()))",
            selector,
        )
        return found


Open = Callable[..., Opened]


def opener(browser: Browser) -> Iterator[Open]:
    """What opens pages; at the end what was wrong with them fails the test."""
    every: list[tuple[Opened, Any]] = []

    def opened(place: Path | str, **options: Any) -> Opened:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(15_000)
        address = place.absolute().as_uri() if isinstance(place, Path) else place
        home = address if isinstance(place, Path) else "/".join(address.split("/")[:3]) + "/"
        found = Opened(context.new_page(), home)
        every.append((found, context))
        found.page.goto(address)
        return found

    yield opened
    problems = [problem for found, _ in every for problem in found.problems]
    for _, context in every:
        context.close()
    assert problems == []


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """``open_page(path or address, **options of the browser's context)``."""
    yield from opener(browser)


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with all that a page can show; nobody may change it."""
    return write_everything(tmp_path_factory.mktemp("browser") / "runs" / "everything")


@pytest.fixture(scope="session")
def everything_page(everything: Path) -> Path:
    """Its page."""
    return write_page(load_study(everything), everything.parent / "everything.html")


@pytest.fixture(scope="session")
def drawn(browser: Browser, everything_page: Path) -> Iterator[Opened]:
    """The page of everything, all of it drawn, for those who only read."""
    for open_page in opener(browser):
        yield open_page(everything_page).drawn()


@pytest.fixture
def page(open_page: Open, everything_page: Path) -> Opened:
    """The page of everything, for those who click."""
    found = open_page(everything_page)
    found.settled()
    return found
