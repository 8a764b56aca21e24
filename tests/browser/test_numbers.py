"""What the page plots, read back from the browser, is what the records hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from cellwise.records.schema import Curves, Distribution, Filmstrip, Heatmap, Table, Text, View
from tests.browser.conftest import Opened
from tests.browser.records import CELLS, SEEDS, TRIAL_RATES, VALUES, trial_scores, twelve_views

pytestmark = pytest.mark.browser
AGAINST = {"training steps": "step", "examples seen": "examples", "training time (s)": "seconds"}


def close(found: Iterable[Any], expected: Iterable[Any]) -> None:
    """Equal to the six digits that are plotted."""
    assert np.array(list(found), dtype=float) == pytest.approx(np.array(list(expected), dtype=float), rel=6e-6)


def validation_rows(everything: Path, cell: str, seed: int) -> list[dict[str, Any]]:
    """The rows of validation as they lie on disk."""
    lines = (everything / f"{cell}-0123abcd" / f"seed-{seed}" / "metrics.jsonl").read_text().splitlines()
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    return [row for row in whole if "validation_perplexity" in row]


@pytest.mark.parametrize("against", AGAINST)
def test_learning_curves_are_the_rows_of_every_seed_and_their_mean(
    drawn: Opened, everything: Path, against: str
) -> None:
    drawn.page.get_by_role("button", name=against, exact=True).first.click()
    drawn.until(
        "(said) => document.querySelector(\"[data-figure='curves']\").layout.xaxis.title.text === said", against
    )
    for cell in CELLS:
        seeds = [*SEEDS, *([] if cell == "rnn" else [3])]  # the fourth failed, or was cut off
        rows = {seed: validation_rows(everything, cell, seed) for seed in seeds}
        thin = drawn.trace("curves", name=f"{cell}, every seed")
        parts = [[row[AGAINST[against]] for row in rows[seed]] for seed in seeds]
        close((x for x in thin["x"] if x is not None), (x for part in parts for x in part))
        close((y for y in thin["y"] if y is not None), (r["validation_perplexity"] for s in seeds for r in rows[s]))
        assert sum(x is None for x in thin["x"]) >= len(seeds) - 1  # no line from one seed to the next
        values = np.array([[row["validation_perplexity"] for row in rows[seed]] for seed in SEEDS])
        mean = drawn.trace("curves", name=cell)
        close(mean["x"], np.mean([[row[AGAINST[against]] for row in rows[seed]] for seed in SEEDS], axis=0))
        close(mean["y"], values.mean(axis=0))
        low, high = t_bounds(values)
        band = drawn.trace("curves", legendgroup=cell, fill="toself")
        half = len(band["y"]) // 2
        close(band["y"][:half], low)
        close(reversed(band["y"][half:]), high)


@pytest.fixture(scope="module")
def summaries(everything: Path) -> dict[str, list[dict[str, Any]]]:
    """The summaries as they lie on disk, of each cell, but for the damaged one."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(everything.glob("*/seed-*/summary.json")):
        if path.parent != everything / "lstm-0123abcd" / "seed-4":
            found.setdefault(path.parents[1].name.split("-")[0], []).append(json.loads(path.read_text()))
    return found


def t_bounds(values: Any) -> tuple[Any, Any]:
    """The 95 % interval of the mean over the first axis."""
    n = len(values)
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=0, ddof=1) / math.sqrt(n)
    return values.mean(axis=0) - half, values.mean(axis=0) + half


def test_floors_and_optimum_are_drawn_where_they_are(drawn: Opened) -> None:
    for name, value in (("floor: bigram", 95.7), ("floor: unigram", 310.2), ("optimum", 52.1)):
        close(drawn.trace("curves", name=name)["y"], [value, value])


def test_final_scores_are_the_values_of_the_summaries(drawn: Opened) -> None:
    ticks = drawn.figure("scores")["layout"]["yaxis"]["ticktext"]
    assert ticks == ["rnn", "gru", "lstm"]
    for cell in CELLS:
        dots, mean = drawn.of_cell("scores", cell)
        assert sorted(dots["x"]) == sorted(VALUES[cell])
        close(mean["x"], [np.mean(VALUES[cell])])
        low, high = t_bounds(np.array(VALUES[cell]))
        close(mean["error_x"]["array"], [high - np.mean(VALUES[cell])])
        close(mean["error_x"]["arrayminus"], [np.mean(VALUES[cell]) - low])


def test_the_leaderboard_says_the_means_best_first_and_floors_below(drawn: Opened) -> None:
    heading, *rows = drawn.table("#verdict-leaderboard")
    column = heading.index("mean")
    assert [row[0] for row in rows[:3]] == list(CELLS)
    for row in rows[:3]:
        values = np.array(VALUES[row[0]])
        assert float(row[column]) == pytest.approx(values.mean(), abs=0.06)
        assert float(row[heading.index("sd")]) == pytest.approx(values.std(ddof=1), abs=0.06)
        assert float(row[heading.index("median")]) == pytest.approx(np.median(values), abs=0.06)
        low, high = (float(part) for part in row[heading.index("95 % interval")].split(" to "))
        assert (low, high) == pytest.approx(t_bounds(values), abs=0.06)
        assert row[heading.index("seeds")] == "3"
    failed = {row[0]: row[heading.index("failed")] for row in rows[:3]}
    assert failed == {"lstm": "1", "gru": "2", "rnn": "0"}
    assert {row[0] for row in rows[3:]} == {"floor: bigram", "floor: unigram", "optimum"}


def test_the_matrix_is_the_share_of_pairs_of_runs_that_are_won(drawn: Opened) -> None:
    (trace,) = drawn.figure("improvement")["data"]
    for row, better in zip(trace["z"], trace["y"], strict=True):
        for shown, other in zip(row, trace["x"], strict=True):
            if better != other:
                won = np.mean([a < b for a in VALUES[better] for b in VALUES[other]])
                assert shown in (pytest.approx(won), pytest.approx(100 * won))


@pytest.mark.parametrize("cost", ["parameters", "FLOPs", "training time", "peak memory", "throughput"])
def test_pareto_points_are_mean_quality_and_median_cost(
    drawn: Opened, summaries: dict[str, list[dict[str, Any]]], cost: str
) -> None:
    button = next(b for b in drawn.page.locator("#pareto .choices button").all() if cost in (b.text_content() or ""))
    button.click()
    costs: dict[str, Callable[[dict[str, Any]], float]] = {
        "parameters": lambda s: s["parameters"]["total"],
        "FLOPs": lambda s: s["flops_per_step"],
        "training time": lambda s: s["train_seconds"],
        "peak memory": lambda s: s["peak_memory_bytes"] / 2**20,
        "throughput": lambda s: 1e6 / s["throughput"]["value"],
    }
    told = costs[cost]
    assert button.get_attribute("aria-pressed") == "true"
    drawn.settled()
    for cell in CELLS:
        point = drawn.trace("pareto", name=cell)
        scored = [s for s in summaries[cell] if s["value"] is not None]
        close(point["y"], [np.mean([s["value"] for s in scored])])
        allowed = {float(np.median([told(s) for s in scored]))}
        if cost == "parameters":  # those of the recurrent layers alone
            allowed.add(float(scored[0]["parameters"]["recurrent"]))
        assert any(point["x"][0] == pytest.approx(one, rel=1e-5) for one in allowed)


def test_speed_is_every_runs_throughput(drawn: Opened, summaries: dict[str, list[dict[str, Any]]]) -> None:
    for cell in CELLS:
        dots, _ = drawn.of_cell("speed", cell)
        assert sorted(dots["x"]) == sorted(s["throughput"]["value"] for s in summaries[cell])


def views_of(name: str) -> dict[str, list[View]]:
    """The stored views of a name, by cell, the best first, in the order of seeds."""
    return {cell: [v for seed in SEEDS for v in twelve_views(cell, seed) if v.name == name] for cell in CELLS}


@pytest.mark.parametrize("inside", ["", "inside_"])
class TestViews:
    """Every kind of view, of the task and of the cell."""

    def test_curves(self, drawn: Opened, inside: str) -> None:
        panel = f"view-{inside}by-distance".replace("_", "-")
        for cell, views in views_of(f"{inside}by_distance").items():
            series = [v.series[0] for v in views if isinstance(v, Curves)]
            trace = drawn.trace(panel, name=cell)
            close(trace["x"], series[0].x)
            close(trace["y"], np.mean([one.y for one in series], axis=0))
        close(drawn.trace(panel, name="best possible")["y"], [0.95] * 5)

    def test_distribution(self, drawn: Opened, inside: str) -> None:
        pooled = {
            cell: np.concatenate([v.samples["test"] for v in views if isinstance(v, Distribution)])
            for cell, views in views_of(f"{inside}gate").items()
        }
        edges = np.histogram_bin_edges(np.concatenate(list(pooled.values())), 40)
        for cell, values in pooled.items():
            trace = drawn.trace(f"view-{inside}gate".replace("_", "-"), name=cell)
            close(trace["x"], (edges[1:] + edges[:-1]) / 2)
            close(trace["y"], np.histogram(values, edges)[0] / values.size)

    def test_heatmap(self, drawn: Opened, inside: str) -> None:
        traces = drawn.figure(f"view-{inside}units".replace("_", "-"))["data"]
        for trace, views in zip(traces, views_of(f"{inside}units").values(), strict=True):
            first = views[0]
            assert isinstance(first, Heatmap)
            close(np.ravel(trace["z"]), np.array([float(f"{v:.4g}") for v in first.values.ravel()]))
            close(trace["x"], first.x_values)
            close(trace["y"], first.y_values)

    def test_filmstrip(self, drawn: Opened, inside: str) -> None:
        panel = f"view-{inside}film".replace("_", "-")
        first = [views[0] for views in views_of(f"{inside}film").values()]
        images = [v.frames[row, 0] for v in first if isinstance(v, Filmstrip) for row in range(2)]
        for trace, image in zip(drawn.figure(panel)["data"], images, strict=True):
            close(np.ravel(trace["z"]), image.ravel())
        frames = drawn.js(
            "(id) => document.querySelector(`[data-figure='${id}']`)._transitionData._frames.length", panel
        )
        assert frames == 4

    def test_table(self, drawn: Opened, inside: str) -> None:
        heading, *rows = drawn.table(f"#view-{inside}examples-table".replace("_", "-"))
        assert heading == ["cell", "kind", "distance (words)", "probability"]
        expected = []
        for cell, views in views_of(f"{inside}examples").items():
            each = [v.rows for v in views if isinstance(v, Table)]
            for same in zip(*each, strict=True):
                expected.append((cell, "cause", int(same[0][1]), np.mean([float(row[2]) for row in same])))
        assert [(row[0], row[1], int(row[2])) for row in rows] == [row[:3] for row in expected]
        assert [float(row[3]) for row in rows] == pytest.approx([row[3] for row in expected], rel=1e-3)

    def test_text(self, drawn: Opened, inside: str) -> None:
        panel = f"#view-{inside}tokens".replace("_", "-")
        places = drawn.page.locator(f"{panel} .tokens").all()
        for place, (cell, views) in zip(places, views_of(f"{inside}tokens").items(), strict=True):
            first = views[0]
            assert isinstance(first, Text)
            spans = place.locator("span").all()
            assert [span.text_content() for span in spans] == list(first.tokens), cell
            weights = [float((span.get_attribute("title") or "").replace("−", "-")) for span in spans]
            assert weights == pytest.approx(first.weights, rel=6e-3)


def test_the_table_of_runs_has_every_run_with_its_score(drawn: Opened, everything: Path) -> None:
    heading, *rows = drawn.table("#runs")
    shown = {(row[heading.index("cell")], int(row[heading.index("seed")])): row for row in rows}
    paths = sorted(everything.glob("*-0123abcd/seed-*"))
    assert len(shown) == len(paths) == 13
    for path in paths:
        row = shown[path.parent.name.split("-")[0], int(path.name.split("-")[1])]
        try:
            value = json.loads((path / "summary.json").read_text())["value"]
        except (OSError, ValueError):
            value = None
        said = row[heading.index("test")]
        assert (said == "–") if value is None else float(said) == pytest.approx(value, rel=1e-4)
    assert shown["lstm", 4][heading.index("status")] == "failed"
    assert shown["lstm", 3][heading.index("status")] == "running"


def test_tuning_is_told(drawn: Opened, everything: Path) -> None:
    heading, *rows = drawn.table("#verdict-leaderboard")
    column = heading.index("tuning trials")
    assert {row[0]: row[column] for row in rows[:3]} == {cell: str(len(TRIAL_RATES)) for cell in CELLS}
    config = yaml.safe_load((everything / "gru-0123abcd" / "seed-0" / "config.yaml").read_text())
    assert config["optim"]["learning_rate"] == TRIAL_RATES[int(np.argmin(trial_scores("gru")))]


def test_trials_are_plotted_where_their_settings_and_scores_are(drawn: Opened) -> None:
    for cell in CELLS:
        scores = dict(zip(TRIAL_RATES, trial_scores(cell), strict=True))
        each, curve, best = drawn.of_cell("search-sensitivity-to-each-setting", cell)
        assert dict(zip(each["x"], each["y"], strict=True)) == pytest.approx(scores, rel=1e-5)
        assert best["x"] == [min(scores, key=lambda rate: scores[rate])]
        assert curve["x"]
        expected = drawn.trace("search-expected-best-of-k-trials", name=cell)
        close(expected["x"], [1, 2, 3, 4])
        close(expected["y"], np.linspace(91, 61, 4) if expected["y"][0] > 90.5 else np.linspace(90, 60, 4))
