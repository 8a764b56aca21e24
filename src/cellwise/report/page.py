"""The study as one HTML file: every figure's JSON and Plotly itself inside, no request to anywhere.

The figures are drawn by ``page.js`` at the end, from the embedded JSON: Plotly's own divisions draw while the
page is being parsed and take a wrong width. The "share" button that Plotly 7 adds by default is switched off
there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from cellwise.compare.comparable import Ground
from cellwise.compare.numbers import short, to_spread
from cellwise.compare.table import Comparison, compare, not_compared
from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.records.schema import View, kind_of
from cellwise.records.store import Study
from cellwise.report.figures import AGAINST, bands_cut, final_scores, learning_curves, look, validation_curves
from cellwise.report.overlay import Panel, draw_view
from cellwise.report.terminal import rate, scores


@dataclass(frozen=True)
class Section:
    """One comparison and its evidence; ``unread`` names the views that could not be read."""

    comparison: Comparison
    panels: tuple[Panel, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """What changes while runs write: the HTML between the page's frame, and every figure by its place there.

    A figure is the list of its variants, each a Plotly figure as plain JSON values with a ``label``.
    """

    html: Markup
    figures: dict[str, list[dict[str, Any]]]


def write_page(study: Study, path: Path, across: Collection[Ground] = ()) -> Path:
    """Write the study's page to ``path`` and return it.

    Args:
        study: the runs.
        path: the HTML file.
        across: what runs may differ in and be compared all the same.

    Raises:
        CellwiseError: the file cannot be written.
    """
    if path.exists() and not path.is_file():
        raise CellwiseError(f"cannot write {path}: it is not a file; give --out a name such as report.html")
    content = render_page(study, across).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise CellwiseError(f"cannot write {path}: {error.strerror}; give a path that is writable") from error
    return path


def render_page(study: Study, across: Collection[Ground] = ()) -> str:
    """Return the HTML of a study's page."""
    here = resources.files("cellwise.report")
    content = page_content(study, across)
    return template("page.html.j2").render(
        study=study,
        content=content,
        css=_as_it_is(here / "page.css"),
        script=_as_it_is(here / "page.js"),
        plotly=_as_it_is(resources.files("plotly") / "package_data" / "plotly.min.js"),
        figures=embedded_json(content.figures),
    )


def page_content(study: Study, across: Collection[Ground] = ()) -> Content:
    """Return what a study's page shows; the rest of the page is the same for every study and moment."""
    sections = [section(comparison) for comparison in compare(study, across)]
    html = template("content.html.j2").render(
        study=study, sections=sections, refusals=not_compared(study, across), runs=study.runs
    )
    return Content(Markup(html), page_figures(sections))


def section(comparison: Comparison) -> Section:
    """Collect the evidence of one comparison: learning curves, final scores, then every stored view."""
    panels = []
    curves = validation_curves(comparison.group)
    if curves:
        variants = {name: learning_curves(comparison, curves, key) for key, name in AGAINST.items()}
        cut = bands_cut(next(iter(variants.values())), comparison.least)
        note = f"Thick lines are means over seeds, bands 95 % intervals{_why(cut)}, thin lines single seeds."
        panels.append(Panel("Learning curves", "Which cell learns faster, and has it stopped?", variants, note=note))
    if any(row.n for row in comparison.rows):
        figure, outside = final_scores(comparison)
        note = f"Each dot is one seed; bars are means with 95 % intervals{_why(comparison.cut)}. {outside}"
        question = "How far apart are the cells, measured by how much the seeds scatter?"
        panels.append(Panel("Final scores", question, {"": figure}, note=note))
    views, unread = _stored_views(comparison)
    style = look(comparison.group)
    panels += [draw_view(by_label, style) for by_label in views]
    return Section(comparison, tuple(panels), unread)


def _why(cut: str) -> str:
    return f" ({cut}: no score can be below)" if cut else ""


def page_figures(sections: Sequence[Section]) -> dict[str, list[dict[str, Any]]]:
    """Return every figure by its place on the page, ``<section>-<panel>``, as the list of its variants."""
    return {
        f"{s}-{p}": [{"label": label, **figure} for label, figure in panel.variants.items()]
        for s, one in enumerate(sections)
        for p, panel in enumerate(one.panels)
        if panel.variants
    }


def embedded_json(value: Any) -> Markup:
    """Return JSON that can stand inside a script element: no ``<`` can end it, whatever a run is named."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _stored_views(comparison: Comparison) -> tuple[list[dict[str, list[tuple[int, View]]]], tuple[str, ...]]:
    """Return, for each view (by name and kind), its labels (best first) with (seed, view)."""
    found: dict[tuple[str, str], dict[str, list[tuple[int, View]]]] = {}
    unread: list[str] = []
    group = comparison.group
    for label in [row.label for row in comparison.rows]:
        for run in group.runs:
            if run.status == "finished" and group.label(run) == label:
                views, errors = run.read_views()
                unread += errors
                for name, view in views.items():
                    by_label = found.setdefault((name, kind_of(view)), {})
                    by_label.setdefault(label, []).append((run.seed, view))
    return list(found.values()), tuple(unread)


def template(name: str) -> jinja2.Template:
    """Return one of the templates beside this file; text is escaped."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["short"] = short
    environment.globals.update(scores=scores, rate=rate, to_spread=to_spread)
    return environment.from_string((resources.files("cellwise.report") / name).read_text(encoding="utf-8"))


def _as_it_is(file: Traversable) -> Markup:
    """Return one of our own files, which need no escaping."""
    return Markup(file.read_text(encoding="utf-8"))
