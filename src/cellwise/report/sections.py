"""What a study's page shows of each comparison, part by part: verdict, cost, failures, inside the cell, task."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cellwise.compare.comparable import Ground
from cellwise.compare.numbers import short
from cellwise.compare.table import Comparison, compare
from cellwise.errors import CellwiseError
from cellwise.records.schema import View, kind_of
from cellwise.records.store import Study
from cellwise.records.tuning import TuningRecord, read_tuning
from cellwise.report.cost import engines, pareto, speed
from cellwise.report.figures import AGAINST, bands_cut, learning_curves, points_of_a_seed, validation_curves
from cellwise.report.over_data import data_panels
from cellwise.report.over_tasks import has_several_tasks, tasks_panels
from cellwise.report.overlay import OF_ONE_SEED, Panel, draw_view
from cellwise.report.placed import Names, Part, Placed
from cellwise.report.race_panel import race_panel
from cellwise.report.references import look
from cellwise.report.scores import final_scores
from cellwise.report.search.panels import search_panels
from cellwise.report.terminal.table import rate
from cellwise.report.traces import MOST_POINTS
from cellwise.report.verdict_panels import against_the_best, coverage, improvement, leader, pairs_table

# Ids of the page's own.
_KEPT = (
    *("content", "contents", "figures", "run-records", "provenance", "runs", "compare-runs", "search"),
    *("cell-filter", "cell-search", "theme", "run-filter", "run-search", "run-status", "run-count", "compared"),
)
# More sentences than this are folded away: the matrix and the table of pairs are read faster.
MOST_SENTENCES = 10


@dataclass(frozen=True)
class Section:
    """One comparison and its evidence; the first part is the verdict.

    ``leader`` says who is in front, ``against`` by label what is known of it and the best cell, ``trials`` by label how
    many trials tuned it; ``unread`` names the views that could not be read, ``private`` those that show data that may
    not be passed on.
    """

    id: str
    comparison: Comparison
    parts: tuple[Part, ...]
    leader: str
    against: Mapping[str, str]
    trials: Mapping[str, int]
    unread: tuple[str, ...]
    private: tuple[str, ...]

    @property
    def folds(self) -> bool:
        """Whether the sentences of pairs that are told apart are too many to be read."""
        return len(self.comparison.verdict.apart) > MOST_SENTENCES


@dataclass(frozen=True)
class Sections:
    """Everything that a study's page shows: its comparisons, and parts that are of the whole study."""

    each: tuple[Section, ...]
    shared: tuple[Part, ...]
    caveats: tuple[str, ...]

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons, in the order of the page."""
        return tuple(section.comparison for section in self.each)

    @property
    def panels(self) -> tuple[Placed, ...]:
        """Every panel, in the order of the page."""
        parts = [*(part for section in self.each for part in section.parts), *self.shared]
        return tuple(placed for part in parts for placed in part.panels)


def sections(
    study: Study, across: Collection[Ground] = (), target: float | None = None, *, public: bool = False
) -> Sections:
    """Collect the evidence of a study.

    Args:
        study: the runs.
        across: what runs may differ in and be compared all the same.
        target: of validation; where given, which cell was there first is shown too.
        public: leave out views that show data that may not be passed on.
    """
    comparisons = compare(study, across)
    record = read_tuning(study.path)
    names = Names()
    for kept in _KEPT:
        names(kept)
    # Of one comparison the parts' names are enough; of several each name begins with that of its comparison.
    prefixes = [""] if len(comparisons) == 1 else [names(comparison.title) for comparison in comparisons]
    each = tuple(
        _section(comparison, prefix, names, record, target, public=public)
        for comparison, prefix in zip(comparisons, prefixes, strict=True)
    )
    shared, caveats = _over_tasks(comparisons, names)
    shared = (*_over_data(comparisons, names), *shared)
    private = list(dict.fromkeys(name for section in each for name in section.private))
    if private:
        left_out = f"Left out, as they show data that may not be passed on: {', '.join(private)}."
        shown = (
            f"This page shows data that may not be passed on ({', '.join(private)}); "
            f"`cellwise report {study.path} --public` leaves them out."
        )
        caveats = (*caveats, left_out if public else shown)
    search = _search(study, names)
    if len(each) == 1:
        # The search is of the one comparison, and stands before the views of what came of it.
        before = [part for part in each[0].parts if part.kind in ("verdict", "cost")]
        each = (dataclasses.replace(each[0], parts=(*before, *search, *each[0].parts[len(before) :])),)
        search = ()
    return Sections(each, (*shared, *search), caveats)


def _section(
    comparison: Comparison,
    prefix: str,
    names: Names,
    record: TuningRecord | None,
    target: float | None,
    *,
    public: bool,
) -> Section:
    views, unread = _stored_views(comparison)
    private = tuple(next(iter(by_label.values()))[0][1].name for by_label in views if _is_private(by_label))
    views = [by_label for by_label in views if not (public and _is_private(by_label))]
    style = look(comparison.group)
    by_about: dict[str, list[tuple[str, Panel]]] = {}
    for by_label in views:
        first = next(iter(by_label.values()))[0][1]
        try:
            panel = draw_view(by_label, style)
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:  # runs whose views don't fit together
            unread = (*unread, f"{first.name}: {type(error).__name__}: {' '.join(str(error).split())}")
            continue
        by_about.setdefault(first.about, []).append((f"view {first.name}", panel))
    said = {
        "verdict": (
            "Verdict",
            "Which cell is better, by how much, and how sure can we be?",
            _verdict(comparison, target),
        ),
        "cost": ("Cost", "What does each cell cost, and is it worth it?", _cost(comparison)),
        "failures": ("Runs without a score", "Which runs failed or diverged, and why?", _failures(comparison)),
        "inside": ("Inside the cell", "What do the gates and the state do?", by_about.get("cell", [])),
        "task": ("Task", "What has each cell learnt of the task?", by_about.get("task", [])),
    }
    ids = {kind: names(prefix, kind) for kind, (_, _, panels) in said.items() if panels or kind == "verdict"}
    parts = []
    for kind, part in ids.items():
        title, question, panels = said[kind]
        folded = kind == "verdict"
        placed = [
            Placed(names(prefix, name), panel, folded and name in ("pairs", "coverage")) for name, panel in panels
        ]
        parts.append(Part(part, kind, title, question, tuple(placed)))
    trials = _trials(comparison, record)
    against = against_the_best(comparison)
    return Section(prefix, comparison, tuple(parts), leader(comparison), against, trials, unread, private)


def _verdict(comparison: Comparison, target: float | None) -> list[tuple[str, Panel]]:
    panels = []
    curves = validation_curves(comparison.group)
    if curves:
        variants = {name: learning_curves(comparison, curves, key) for key, name in AGAINST.items()}
        cut = bands_cut(next(iter(variants.values())))
        most = points_of_a_seed(curves)
        thin = f", of at most {most} points each" if most < MOST_POINTS else ""
        bands = f"bands 95 % intervals{f' ({cut})' if cut else ''}"
        note = f"Thick lines are means over seeds, {bands}, thin lines single seeds{thin}."
        ended = {curve.status for each in curves.values() for curve in each} - {"finished"}
        note += " A cross is where a run stands or stopped that has not finished." if ended else ""
        panels.append(
            ("curves", Panel("Learning curves", "Which cell learns faster, and has it stopped?", variants, note=note))
        )
    if any(row.n for row in comparison.rows):
        figure, outside = final_scores(comparison)
        note = f"Each dot is one seed; bars are means with 95 % intervals{_why(comparison.cut)}. {outside}"
        question = "How far apart are the cells, measured by how much the seeds scatter?"
        panels.append(("scores", Panel("Final scores", question, {"": figure}, note=note)))
    if comparison.verdict.pairs:
        panels.append(("improvement", improvement(comparison)))
    if target is not None:
        panels.append(("target", race_panel(comparison, target)))
    if comparison.verdict.pairs:
        panels.append(("pairs", pairs_table(comparison)))
    trust = coverage(comparison)
    return [*panels, *([("coverage", trust)] if trust else [])]


def _cost(comparison: Comparison) -> list[tuple[str, Panel]]:
    drawn = {"pareto": pareto(comparison), "speed": speed(comparison)}
    found = [("costs", _cost_table(comparison))] if any(row.parameters_total for row in comparison.rows) else []
    return found + [(name, panel) for name, panel in drawn.items() if panel is not None]


def _cost_table(comparison: Comparison) -> Panel:
    unit = next((row.throughput_unit for row in comparison.rows if row.throughput_unit), "examples/s")
    ran = engines(comparison)
    heading = (
        *("cell", "parameters", "recurrent parameters", "FLOPs a step", unit),
        *("training (s)", "peak memory (MiB)", "engine"),
    )
    rows = [
        (
            *(row.label, short(row.parameters_total), short(row.parameters_recurrent), short(row.flops_per_step)),
            *(rate(row), short(row.train_seconds, 3), short(row.peak_memory_bytes / 2**20, 3), ran.get(row.label, "–")),
        )
        for row in comparison.rows
    ]
    return Panel(
        "What each cell takes",
        "How large, how fast and how hungry is each cell?",
        heading=heading,
        rows=tuple(rows),
        note="FLOPs are those of the recurrent layers forward, a time step and example. Throughput, time and memory "
        "are medians over seeds, and those of the machine and of the engine.",
    )


def _failures(comparison: Comparison) -> list[tuple[str, Panel]]:
    if not comparison.failures:
        return []
    rows = tuple((f.label, str(f.seed), f.error, f.path) for f in comparison.failures)
    heading = ("cell", "seed", "what happened", "folder")
    question = "A cell that fails often is no better for its good runs."
    counted = f"{len(rows)} run{'s' if len(rows) > 1 else ''} of {len(comparison.group.runs)}"
    return [("failed", Panel(counted, question, heading=heading, rows=rows))]


def _trials(comparison: Comparison, record: TuningRecord | None) -> dict[str, int]:
    """How many trials of tuning each label has behind it; empty where none has."""
    if record is None:
        return {}
    known = {(tuned.cell, tuned.best.identity): tuned.ended for tuned in record.tuned if tuned.best is not None}
    return {label: known[key] for key, label in comparison.group.labels.items() if key in known}


def _over_tasks(comparisons: Sequence[Comparison], names: Names) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    if not has_several_tasks(comparisons):
        return (), ()
    try:
        panels = tasks_panels(comparisons)
    except CellwiseError as error:
        return (), (f"Not compared over tasks: {error}.",)
    part, kind = names("over-tasks"), "over-tasks"
    placed = names.place(panels, "over-tasks")
    return (Part(part, kind, "Over tasks", "Which cell is good at all of them?", placed),), ()


def _over_data(comparisons: Sequence[Comparison], names: Names) -> tuple[Part, ...]:
    panels = data_panels(comparisons)
    if not panels:
        return ()
    part, kind = names("over-data"), "over-data"
    placed = names.place(panels, "over-data")
    return (Part(part, kind, "Over data sets", "What holds on all of the data, and how sure is it?", placed),)


def _search(study: Study, names: Names) -> tuple[Part, ...]:
    """What tuning tried; nothing where the study was not tuned."""
    panels = search_panels(study)
    if not panels:
        return ()
    placed = names.place([(panel.title, panel) for panel in panels], "search")
    return (Part("search", "search", "Search", "Which settings were tried, and was it enough?", placed),)


def _why(cut: str) -> str:
    return f" ({cut}: no score can be below)" if cut else ""


def _stored_views(comparison: Comparison) -> tuple[list[dict[str, list[tuple[int, View]]]], tuple[str, ...]]:
    """Return, for each view (by name and kind), its labels (best first) with (seed, view).

    Of kinds that show the first seed alone the others are not read: they would be most of the reading.
    """
    found: dict[tuple[str, str], dict[str, list[tuple[int, View]]]] = {}
    unread: list[str] = []
    group = comparison.group
    finished = [run for run in group.runs if run.status == "finished"]
    for label in [row.label for row in comparison.rows]:
        enough: set[str] = set()
        for run in finished:
            if group.label(run) == label:
                views, errors = run.read_views(enough)
                unread += errors
                for name, view in views.items():
                    kind = kind_of(view)
                    if name not in enough:
                        found.setdefault((name, kind), {}).setdefault(label, []).append((run.seed, view))
                    if kind in OF_ONE_SEED:
                        enough.add(name)

    def place(key: tuple[str, str]) -> tuple[bool, int, str]:
        """What is of all seeds before pictures of one, what more cells have before what fewer have, then by name."""
        name, kind = key
        return kind in OF_ONE_SEED, -len(found[key]), name

    return [found[key] for key in sorted(found, key=place)], tuple(unread)


def _is_private(by_label: Mapping[str, Sequence[tuple[int, View]]]) -> bool:
    """Whether a view of any run shows data that may not be passed on."""
    return not all(view.redistributable for found in by_label.values() for _, view in found)


def labels_of(each: Iterable[Section]) -> dict[str, str]:
    """Return the colour of every label of the page, best cells of the first comparison first."""
    found: dict[str, str] = {}
    for section in each:
        style = look(section.comparison.group)
        for row in section.comparison.rows:
            found.setdefault(row.label, style[row.label].colour)
    return found
