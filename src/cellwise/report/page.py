"""The study as one HTML file: every figure's JSON and Plotly itself inside, no request to anywhere.

The figures are drawn by the page's own script at the end, from the embedded JSON: Plotly's own divisions draw while the
page is being parsed and take a wrong width. The "share" button that Plotly 7 adds by default is switched off there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from cellwise.compare.comparable import Ground
from cellwise.compare.numbers import short, to_spread
from cellwise.compare.table import not_compared
from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.records.store import Study
from cellwise.report.placed import Placed
from cellwise.report.run_records import listed, run_records
from cellwise.report.sections import labels_of, sections
from cellwise.report.terminal.table import middles, scores

_NUMBER = re.compile(r"[<−-]?\s*[\d.]")
# In the order in which they are read: each uses what stands before it.
SCRIPTS = ("figures.js", "sorting.js", "cells.js", "parallel.js", "runs.js", "page.js")


@dataclass(frozen=True)
class Content:
    """What changes while runs write: the HTML between the page's frame, and every figure by its place there.

    A figure is the list of its variants, each a Plotly figure as plain JSON values with a ``label``. Its place is the
    id of its panel.
    """

    html: Markup
    figures: dict[str, list[dict[str, Any]]]


def write_page(
    study: Study,
    path: Path,
    across: Collection[Ground] = (),
    target: float | None = None,
    *,
    public: bool = False,
) -> Path:
    """Write the study's page to ``path`` and return it.

    Args:
        study: the runs.
        path: the HTML file.
        across: what runs may differ in and be compared all the same.
        target: of validation; where given, which cell was there first is shown too.
        public: leave out views that show data that may not be passed on.

    Raises:
        CellwiseError: the file cannot be written.
    """
    if path.exists() and not path.is_file():
        raise CellwiseError(f"cannot write {path}: it is not a file; give --out a name such as report.html")
    content = render_page(study, across, target, public=public).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise CellwiseError(f"cannot write {path}: {error.strerror}; give a path that is writable") from error
    return path


def render_page(
    study: Study, across: Collection[Ground] = (), target: float | None = None, *, public: bool = False
) -> str:
    """Return the HTML of a study's page; see `write_page`."""
    content = page_content(study, across, target, public=public)
    return framed(study.name, content.html, content.figures)


def framed(title: str, html: Markup, figures: Mapping[str, list[dict[str, Any]]]) -> str:
    """Return a whole page around what it shows.

    Args:
        title: of the window.
        html: between the page's frame.
        figures: by the id of their panels, as `page_figures` gives them.
    """
    here = resources.files("cellwise.report")
    return template("page.html.j2").render(
        title=title,
        html=html,
        css=_as_it_is(here / "page.css"),
        script=page_script(),
        plotly=_as_it_is(resources.files("plotly") / "package_data" / "plotly.min.js"),
        figures=embedded_json(figures),
    )


def page_script() -> Markup:
    """Return what brings the content of a page to life, to stand in one function."""
    here = resources.files("cellwise.report") / "script"
    return Markup("\n").join(_as_it_is(here / name) for name in SCRIPTS)


def page_content(
    study: Study, across: Collection[Ground] = (), target: float | None = None, *, public: bool = False
) -> Content:
    """Return what a study's page shows; the rest of the page is the same for every study and moment."""
    shown = sections(study, across, target, public=public)
    runs = listed(study, [comparison.group for comparison in shown.comparisons])
    colours = labels_of(shown.each)
    for one in runs:
        colours.setdefault(one.label, "")
    html = template("content.html.j2").render(
        study=study,
        shown=shown,
        refusals=not_compared(study, across),
        runs=runs,
        labels=set(colours),
        kinds={run.path: kind.title for kind in shown.comparisons for run in kind.group.runs},
        records=embedded_json(run_records(study, runs, colours)),
    )
    return Content(Markup(html), page_figures(shown.panels))


def page_figures(panels: Iterable[Placed]) -> dict[str, list[dict[str, Any]]]:
    """Return every figure by the id of its panel, as the list of its variants."""
    return {
        placed.id: [{"label": label, **figure} for label, figure in placed.panel.variants.items()]
        for placed in panels
        if placed.panel.variants
    }


def embedded_json(value: Any) -> Markup:
    """Return JSON that can stand inside a script element: no ``<`` can end it, whatever a run is named."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def columns_of_words(rows: Sequence[Sequence[str]]) -> set[int]:
    """Return which columns of a table hold words, which are read from the left; numbers stand one above the other."""
    return {
        place
        for place, column in enumerate(zip(*rows, strict=True))
        if any(value and value != "–" and not _NUMBER.match(value) for value in column)
    }


def template(name: str) -> jinja2.Template:
    """Return one of the templates beside this file; what they are given is escaped."""
    here = resources.files("cellwise.report")
    loader = jinja2.FunctionLoader(lambda other: (here / other).read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["short"] = short
    environment.globals.update(scores=scores, middles=middles, to_spread=to_spread, columns_of_words=columns_of_words)
    return environment.get_template(name)


def _as_it_is(file: Traversable) -> Markup:
    """Return one of our own files, which need no escaping."""
    return Markup(file.read_text(encoding="utf-8"))
