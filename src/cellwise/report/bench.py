"""The page of a bench: its views drawn as those of runs are, what is promised, and the machine."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from cellwise.compare.numbers import short
from cellwise.errors import CellwiseError
from cellwise.files import write_atomically
from cellwise.records.bench import Bench, Finding, load_bench
from cellwise.records.schema import View, load_view
from cellwise.report.overlay import Panel, draw_view
from cellwise.report.page import framed, page_figures, template
from cellwise.report.placed import Names, Part, Placed
from cellwise.report.theme import BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, SKY, VERMILLION, Style

# What each part asks, in the order of the page.
_QUESTIONS = {
    "layers": "How fast are the best known cells, against torch's kernels and other libraries?",
    "registry": "How fast is every registered cell?",
    "images": "How fast are convolutional cells, and what do they hold in memory?",
    "steps": "How does the cost grow with the number of steps, and what does compilation cost?",
    "memory": "What does a training step hold in memory?",
    "replicas": "What do several seeds at once cost?",
}
# Ours are drawn through and round, others dashed and as diamonds.
_LOOKS = {
    "fused": Style(BLUE, "solid", "circle"),
    "reference": Style(ORANGE, "solid", "circle"),
    "native": Style(GREEN, "solid", "circle"),
    "scan": Style(PURPLE, "solid", "circle"),
    "torch.nn": Style(NEUTRAL, "dash", "diamond"),
    "jax": Style(VERMILLION, "dash", "diamond"),
    "torchrecurrent": Style(SKY, "dash", "diamond"),
    "usual module": Style(PURPLE, "dash", "diamond"),
}


def write_bench_page(folder: Path, path: Path) -> Path:
    """Write the page of a bench's folder to ``path`` and return it.

    Raises:
        CellwiseError: no bench, or the file cannot be written.
    """
    content = render_bench(load_bench(folder)).encode()
    try:
        write_atomically(path, content)
    except OSError as error:
        raise CellwiseError(f"cannot write {path}: {error.strerror}; give a path that is writable") from error
    return path


def render_bench(bench: Bench) -> str:
    """Return the HTML of a bench's page."""
    names = Names()
    for kept in ("content", "figures", "promised", "machine", "theme"):
        names(kept)
    stored = _stored(bench.path)
    parts = [
        Part(names(kind), kind, kind.capitalize(), question, names.place(_panels(stored, kind), kind))
        for kind, question in _QUESTIONS.items()
        if any(name.startswith(f"{kind}.") for name in stored)
    ]
    html = template("bench.html.j2").render(
        bench=bench,
        record=bench.record,
        promised=Placed("promised-table", _promised(bench.findings)),
        machine=Placed("machine-table", _machine(bench)),
        parts=parts,
    )
    return framed("bench", Markup(html), page_figures(placed for part in parts for placed in part.panels))


def _stored(folder: Path) -> dict[str, dict[str, View]]:
    """Every view by name and label."""
    found: dict[str, dict[str, View]] = {}
    for path in sorted((folder / "views").glob("*/*.json")):
        found.setdefault(path.stem, {})[path.parent.name] = load_view(path)
    return found


def _panels(stored: Mapping[str, Mapping[str, View]], kind: str) -> Iterator[tuple[str, Panel]]:
    """A part's panels with their names; views that differ in the last word of their name are variants of one."""
    style = {label: _style(label) for views in stored.values() for label in views}
    here = sorted(name for name in stored if name.startswith(f"{kind}."))
    for what, group in itertools.groupby(here, lambda name: ".".join(name.split(".")[:2])):
        variants = {}
        for name in group:
            panel = draw_view({label: [(0, view)] for label, view in stored[name].items()}, style)
            variants[name.removeprefix(what).lstrip(".")] = panel
        first = next(iter(variants.values()))
        figures = {label: figure for label, panel in variants.items() for figure in panel.variants.values()}
        question = first.question.partition(" (")[0] if len(figures) > 1 else first.question
        yield what, dataclasses.replace(first, variants=figures, question=question, note="")


def _style(label: str) -> Style:
    """The look of a label, which ends with its engine: one colour an engine, wherever it is shown."""
    engine = next((name for name in _LOOKS if label == name or label.endswith(f" {name}")), "")
    return _LOOKS.get(engine, Style(NEUTRAL, "solid", "circle"))


def _promised(findings: Sequence[Finding]) -> Panel:
    words = {None: "–", True: "reached", False: "missed"}
    rows = tuple(
        (one.part, one.what, one.told(one.value), _goal(one), words[one.reached], one.note) for one in findings
    )
    heading = ("part", "what", "measured", "at most", "goal", "which")
    return Panel("What is promised", "What was measured, and what is the goal?", heading=heading, rows=rows)


def _goal(one: Finding) -> str:
    return "–" if one.goal is None else one.told(one.goal)


def _machine(bench: Bench) -> Panel:
    record = bench.record
    load = " to ".join(short(value, 3) for value in record.load)
    rows = [
        ("machine", record.machine),
        ("device", record.device),
        ("threads", f"{record.threads} of {record.cores} cores"),
        *((f"{name}, GFLOP/s", short(value, 3)) for name, value in record.gflops.items()),
        ("largest disagreement with the reference", _disagreement(record.disagreement)),
        ("load before and after (processes)", load),
        ("started, ended (UTC)", f"{record.started}, {record.ended}"),
        ("command", record.command),
        ("code", f"{record.git.commit or 'not in git'}{', with changes' if record.git.dirty else ''}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())),
    ]
    return Panel(
        "How it was measured",
        "On what, when, of which code, and do the results agree?",
        heading=("what", "found"),
        rows=tuple(rows),
    )


def _disagreement(found: Mapping[str, float]) -> str:
    if not found:
        return "–"
    name = max(found, key=lambda key: found[key])
    return f"{found[name]:.1e} ({name})"
