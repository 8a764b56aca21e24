"""Quality against cost: places, fronts and speeds are those of the records."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from cellwise.compare.table import Comparison, compare
from cellwise.records.store import load_study
from cellwise.report.cost import costs, pareto, speed

# cell: (perplexity, recurrent parameters, training seconds, throughput)
CELLS = {"small": (70.0, 1_000, 40.0, 5_000), "good": (60.0, 8_000, 20.0, 4_000), "bad": (80.0, 9_000, 30.0, 2_000)}


def score(cell: str, seed: int) -> float:
    """Seeds pair, with a little scatter of their own, so that differences are told apart."""
    return CELLS[cell][0] + seed / 10 + (0.03 * len(cell) if seed == 1 else 0.0)


def mean(cell: str) -> float:
    return statistics.fmean(score(cell, seed) for seed in range(3))


@pytest.fixture
def comparison(tmp_path: Path, add_run: Callable[..., Path], made_up_run_info: Any, made_up_summary: Any) -> Comparison:
    """Three cells, three seeds: one cheap, one good, one neither."""
    for cell, (_, parameters, seconds, throughput) in CELLS.items():
        for seed in range(3):
            changes = {
                "parameters": {"total": 2 * parameters, "recurrent": parameters},
                "flops_per_step": 2 * parameters,
                "train_seconds": seconds + seed,
                "throughput": {"value": throughput + 100 * seed, "unit": "tokens/s"},
            }
            result = made_up_summary(cell, seed, score(cell, seed), **changes)
            engine = "native" if cell == "good" else "fused"
            add_run(tmp_path / f"{cell}-00000000" / f"seed-{seed}", made_up_run_info(cell, seed, engine=engine), result)
    (found,) = compare(load_study(tmp_path))
    return found


def test_each_cell_stands_at_its_quality_and_cost(comparison: Comparison) -> None:
    panel = pareto(comparison)
    assert panel is not None
    names = ["recurrent parameters", "recurrent FLOPs", "training time", "peak memory", "throughput"]
    assert list(panel.variants) == names
    expected: dict[str, Callable[[str], float]] = {
        "recurrent parameters": lambda cell: CELLS[cell][1],
        "recurrent FLOPs": lambda cell: 2 * CELLS[cell][1],
        "training time": lambda cell: CELLS[cell][2] + 1,
        "peak memory": lambda cell: 220,
        "throughput": lambda cell: 1e6 / (CELLS[cell][3] + 100),
    }
    for name, figure in panel.variants.items():
        go.Figure(figure)
        json.dumps(figure, allow_nan=False)
        for cell in CELLS:
            (point,) = [t for t in figure["data"] if t["name"] == cell]
            assert point["x"] == pytest.approx([expected[name](cell)], rel=1e-5)
            assert point["y"] == pytest.approx([mean(cell)], rel=1e-5)
            (row,) = [row for row in comparison.rows if row.label == cell]
            assert point["error_y"]["array"] == pytest.approx([row.high - row.mean], rel=1e-4)


def test_who_is_on_the_front_is_drawn_tabled_and_said(comparison: Comparison) -> None:
    panel = pareto(comparison)
    assert panel is not None
    figure = panel.variants["recurrent parameters"]
    (front,) = [t for t in figure["data"] if t["name"] == "front"]
    assert front["x"] == [1000, 8000]
    assert front["y"] == pytest.approx([mean("small"), mean("good")], rel=1e-5)
    symbols = {t["name"]: t["marker"]["symbol"].endswith("-open") for t in figure["data"] if "marker" in t}
    assert symbols == {"small": False, "good": False, "bad": True}
    rows = {row[0]: row[1:] for row in panel.rows}
    assert rows["good"] == ("front",) * 5
    assert rows["small"] == ("front", "front", "beaten", "beaten", "front")
    assert rows["bad"] == ("beaten",) * 5
    assert panel.note.startswith(
        "On the front of every cost: good; on some: small (recurrent parameters, recurrent FLOPs, throughput); "
        "on none: bad."
    )


def test_a_cost_that_spans_much_is_on_a_log_axis(comparison: Comparison) -> None:
    panel = pareto(comparison)
    assert panel is not None
    axes = {name: figure["layout"]["xaxis"].get("type") for name, figure in panel.variants.items()}
    assert axes["recurrent parameters"] == "log"  # 1,000 to 9,000
    assert axes["training time"] is None
    low, high = panel.variants["recurrent parameters"]["layout"]["xaxis"]["range"]
    assert 2.8 < low < 3 < high < 4.2


def test_throughput_is_the_time_of_one_example(comparison: Comparison) -> None:
    (found,) = [cost for cost in costs(comparison) if cost.name == "throughput"]
    assert found.axis == "training time of one token (µs), 1 / throughput"


def test_speed_shows_every_run_and_the_median_the_fastest_on_top(comparison: Comparison) -> None:
    panel = speed(comparison)
    assert panel is not None
    figure = panel.variants[""]
    assert figure["layout"]["yaxis"]["ticktext"] == ["bad", "good", "small"]  # from below
    for cell, (*_, throughput) in CELLS.items():
        dots, bar = [t for t in figure["data"] if t["name"] == cell]
        assert dots["x"] == [throughput, throughput + 100, throughput + 200]
        assert bar["x"] == [statistics.median(dots["x"])]
    assert panel.note.endswith("(fused: bad, small; native: good).")


def test_without_a_score_there_is_nothing_to_draw(
    tmp_path: Path, add_run: Callable[..., Path], made_up_run_info: Any
) -> None:
    add_run(tmp_path / "gru-00000000" / "seed-0", made_up_run_info("gru", 0, status="running"))
    (comparison,) = compare(load_study(tmp_path))
    assert pareto(comparison) is None
    assert speed(comparison) is None
