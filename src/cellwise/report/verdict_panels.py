"""Evidence beside the verdict's sentences: every pair in numbers, who wins single runs, what an interval is worth."""

from __future__ import annotations

from collections.abc import Mapping

from cellwise.compare.coverage import RUNS, stated
from cellwise.compare.numbers import decimals, short
from cellwise.compare.statistics import Interval
from cellwise.compare.table import Comparison
from cellwise.compare.verdict import Pair
from cellwise.report.overlay import Panel
from cellwise.report.theme import BLUE, VERMILLION, literal
from cellwise.report.traces import Figure, figure

# With more cells than this a number does not fit its square; hovering tells it.
MOST_NUMBERED = 12
# Neither white nor black, so that an even chance is quiet on both backgrounds.
_EVEN = "#c9ced3"
_INTERVALS = (
    "mean of n runs",
    "paired difference of n seeds",
    "difference of n and n runs",
    "probability of improvement, truth 0.5",
    "probability of improvement, truth 0.75",
)


def leader(comparison: Comparison) -> str:
    """Say which cell is in front and which others may be as good; "" where there is no pair to say it of."""
    first = next((row.label for row in comparison.rows if row.n), None)
    pairs = [pair for pair in comparison.verdict.pairs if first in (pair.better, pair.other)]
    if first is None or not pairs:
        return ""
    open_ = [pair.other if pair.better == first else pair.better for pair in pairs if not pair.told_apart]
    if not open_:
        return f"{first} is in front, and told apart from every other cell."
    if len(open_) == len(pairs):
        return f"{first} is in front by its mean, but not told apart from any other cell."
    return f"{first} is in front; not told apart from it: {', '.join(open_)}."


def against_the_best(comparison: Comparison) -> dict[str, str]:
    """Return by label what is known of it and the best cell: `best`, `not told apart`, `worse (p = 0.01)`."""
    first = next((row.label for row in comparison.rows if row.n), None)
    found = {} if first is None else {first: "best mean"}
    for pair in comparison.verdict.pairs:
        if first in (pair.better, pair.other):
            label = pair.other if pair.better == first else pair.better
            found[label] = f"worse, p {said_p(pair.p)}" if pair.told_apart else "not told apart"
    return found


def said_p(p: float) -> str:
    """Return a p-value as tables have it: ``< 0.001``, ``0.012``."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def pairs_table(comparison: Comparison) -> Panel:
    """Return every pair of cells in numbers, the clearest first."""
    unit = f" ({comparison.unit})" if comparison.unit else ""
    heading = (
        "better by mean",
        "other",
        f"difference{unit}",
        "95 % interval",
        "p (Holm)",
        "wins of single runs",
        "95 % interval",
        "smallest detectable",
        "seeds",
        "told apart",
    )
    ordered = sorted(comparison.verdict.pairs, key=lambda pair: (pair.p, pair.better, pair.other))
    return Panel(
        "Every pair in numbers",
        "How large is each difference, how sure is it, and how small a one would these seeds have shown?",
        heading=heading,
        rows=tuple(_pair_row(pair) for pair in ordered),
        note="Differences by seed where seeds pair, else of means (Welch); t intervals; p corrected for all pairs "
        "(Holm). Smallest detectable: with 80 % power at the scatter of this pair.",
    )


def _pair_row(pair: Pair) -> tuple[str, ...]:
    d = pair.difference
    sign = 1 if d.mean >= 0 else -1  # the pair is in the order of means over all seeds, the difference as subtracted
    low, high = sorted((sign * d.low, sign * d.high))
    places = decimals(high - low) if high > low else 4
    wins = pair.wins
    return (
        pair.better,
        pair.other,
        f"{abs(d.mean):,.{places}f}",
        f"{low:,.{places}f} to {high:,.{places}f}",
        said_p(pair.p),
        f"{100 * wins.value:.0f} %",
        f"{100 * wins.low:.0f} to {100 * wins.high:.0f} %",
        short(pair.smallest, 3),
        str(d.n),
        "yes" if pair.told_apart else "no",
    )


def improvement(comparison: Comparison) -> Panel:
    """Return the matrix of how often a run of one cell beats one of another, best cells first."""
    labels = [row.label for row in comparison.rows if row.n]
    return Panel(
        "Probability of improvement",
        "If you train one network of each, how often is the one of the row better than the one of the column?",
        {"": _matrix(labels, comparison.verdict.pairs)},
        note="Blue: the row's cell wins more often, vermillion: less often; an asterisk: the 95 % interval excludes "
        "one half. Hovering tells the interval (Newcombe; not corrected for the number of pairs).",
    )


def _matrix(labels: list[str], pairs: tuple[Pair, ...]) -> Figure:
    wins = {(pair.better, pair.other): pair.wins for pair in pairs}
    share: list[list[float | None]] = []
    said: list[list[str]] = []
    text: list[list[str]] = []
    for row in labels:
        found = [_wins(wins, row, column) for column in labels]
        share.append([None if one is None else round(one.value, 4) for one in found])
        said.append([_said_wins(row, column, one) for column, one in zip(labels, found, strict=True)])
        text.append(["" if one is None else f"{one.value:.2f}{'*' if _sure(one) else ''}" for one in found])
    names = [literal(label) for label in labels]
    trace = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": share,
        "customdata": said,
        "hovertemplate": "%{customdata}<extra></extra>",
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, VERMILLION], [0.5, _EVEN], [1, BLUE]],
        "colorbar": {"title": {"text": "share of wins", "side": "right"}, "thickness": 14, "tickformat": ".0%"},
        "xgap": 2,
        "ygap": 2,
    }
    if len(labels) <= MOST_NUMBERED:
        trace |= {"text": text, "texttemplate": "%{text}"}
    category = {"type": "category", "automargin": True, "showgrid": False, "ticks": ""}
    x = {**category, "side": "top", "title": {"text": "... than a run of"}}
    y = {**category, "autorange": "reversed", "title": {"text": "a run of ... is better"}}
    # ``matrix`` tells the page that a cell's row and column can be taken out, ``narrow`` that it is better not as wide.
    each = 44 if len(labels) <= MOST_NUMBERED else 24
    meta = {"matrix": each, "narrow": True}
    return figure(
        [trace],
        90 + max(160, each * len(labels)),
        xaxis=x,
        yaxis=y,
        meta=meta,
        margin={"l": 64, "r": 24, "t": 70, "b": 12},
    )


def _wins(wins: Mapping[tuple[str, str], Interval], row: str, column: str) -> Interval | None:
    """How often ``row`` beats ``column``, with its bounds; None of a cell with itself, or where no pair tells."""
    if (row, column) in wins:
        return wins[row, column]
    if (column, row) in wins:
        value, low, high = wins[column, row]
        return Interval(1 - value, 1 - high, 1 - low)
    return None


def _sure(wins: Interval) -> bool:
    return wins.low > 0.5 or wins.high < 0.5


def _said_wins(row: str, column: str, wins: Interval | None) -> str:
    if wins is None:
        return literal(row)
    value, low, high = (100 * part for part in wins)
    said = f"{row} beats {column} in {value:.0f} % of single runs, 95 % interval {low:.0f} to {high:.0f} %"
    return literal(said)


def coverage(comparison: Comparison) -> Panel | None:
    """Return how often intervals of so many runs hold the truth; None below the fewest that was simulated."""
    fewest = min((row.n for row in comparison.rows if row.n > 1), default=0)
    here = max((n for n in RUNS if n <= fewest), default=None)
    if here is None:
        return None
    found = {(one.interval, one.scores, one.n): one.percent for one in stated()}
    rows = [
        (interval, scores, *(f"{found[interval, scores, n]:.0f} %" for n in RUNS))
        for interval in _INTERVALS
        for scores in ("normal", "lognormal")
    ]
    return Panel(
        "How far to trust an interval",
        "How often does such an interval at 95 % hold the truth?",
        heading=("interval at 95 %", "scores", *(f"n = {n}{' (as here)' if n == here else ''}" for n in RUNS)),
        rows=tuple(rows),
        note=f"By simulation; n is the number of runs, here {fewest} where fewest. Lognormal (sd 1 of the logarithm) "
        "is more skewed than most test scores.",
    )
