"""Debian's chromium, driven by Playwright: what a page draws, asks for and complains of.

Every page that a test opens is watched to its end: an error on the console, an exception in a script, or a request to
anywhere but the page's own place fails the test.
"""

from __future__ import annotations

import json
import shutil
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
DRAWN = "() => Number(document.documentElement.dataset.drawn ?? -1) >= 0"


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

    def drawn(self) -> Opened:
        """Every figure of the page, also those that are drawn when they come into sight."""
        self.page.wait_for_function(DRAWN)
        for place in self.page.locator("[data-figure]").all():
            place.scroll_into_view_if_needed()
            place.locator(".main-svg, .plot-container").first.wait_for(state="attached")
        self.js("scrollTo(0, 0)")
        return self

    def figure(self, title: str) -> dict[str, Any]:
        """The data and layout that Plotly holds for the figure under a heading."""
        found: dict[str, Any] = self.js(
            """(title) => {
                const article = [...document.querySelectorAll("article")]
                    .find((one) => one.querySelector("h3")?.textContent.trim() === title);
                const place = article.querySelector("[data-figure]");
                return { data: place.data, layout: JSON.parse(JSON.stringify(place.layout)) };
            }""",
            title,
        )
        return found

    def trace(self, title: str, **wanted: Any) -> dict[str, Any]:
        """The one trace of a figure with these values."""
        traces = self.figure(title)["data"]
        found = [t for t in traces if all(t.get(key) == value for key, value in wanted.items())]
        assert len(found) == 1, [{key: t.get(key) for key in ("name", "mode", *wanted)} for t in traces]
        return dict(found[0])

    def table(self, selector: str) -> list[list[str]]:
        """The text of a table's cells, row by row."""
        found: list[list[str]] = self.js(
            "(at) => [...document.querySelector(at).rows].map((r) => [...r.cells].map((c) => c.innerText.trim()))",
            selector,
        )
        return found


Open = Callable[..., Opened]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """``open_page(path or address, **options of the browser's context)``; what is wrong with it fails the test."""
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


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with all that a page can show; nobody may change it."""
    return write_everything(tmp_path_factory.mktemp("browser") / "runs" / "everything")


@pytest.fixture(scope="session")
def everything_page(everything: Path) -> Path:
    """Its page."""
    return write_page(load_study(everything), everything.parent / "everything.html")


@pytest.fixture
def page(open_page: Open, everything_page: Path) -> Opened:
    """The page of everything, drawn."""
    return open_page(everything_page).drawn()


@pytest.fixture(scope="session")
def summaries(everything: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """The summaries of the study of everything as they lie on disk, by cell and seed."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for path in sorted(everything.glob("*/seed-*/summary.json")):
        plain = json.loads(path.read_text())
        found.setdefault(plain["cell"], {})[plain["seed"]] = plain
    return found
