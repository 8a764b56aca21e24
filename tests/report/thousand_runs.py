"""A made-up study of 1,000 runs with 500 points each: how large the page is, how long it takes to build.

``python -m tests.report.thousand_runs FOLDER`` writes it, to be looked at.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from cellwise.records.schema import save_view
from tests.conftest import run_info, six_views, summary, write_run

CELLS, SEEDS, ROWS = 20, 50, 500


def write_thousand_runs(folder: Path, cells: int = CELLS, seeds: int = SEEDS, rows: int = ROWS) -> Path:
    """Write ``cells`` configurations with ``seeds`` runs each, every one with ``rows`` validation rows and 6 views."""
    for number in range(cells):
        rng = np.random.default_rng(number)
        cell = f"cell_{number:02}"
        views = folder.parent / f"views-{number}"
        for view in six_views(cell, number):
            save_view(view, views)
        for seed in range(seeds):
            value = float(60 + number + rng.normal(0, 1.5))
            info = run_info(cell, seed, identity=f"{number:08x}", data={f"part-{k}": "c" * 64 for k in range(4)})
            result = summary(cell, seed, value, metrics={f"test_metric_{k}": value / (k + 1) for k in range(12)})
            run = write_run(folder / f"{cell}-{number:08x}" / f"seed-{seed}", info, result, _metrics(value, rows, rng))
            (run / "config.yaml").write_text(json.dumps(_config(cell, number, seed)))
            shutil.copytree(views, run / "views")
        shutil.rmtree(views)
    return folder


def _metrics(value: float, rows: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    noise = rng.normal(0, 0.4, rows)
    return [
        {
            "step": 20 * (k + 1),
            "epoch": k // 50,
            "examples": 700 * 20 * (k + 1),
            "seconds": round(0.04 * 20 * (k + 1) * (1 + rng.normal(0, 0.001)), 4),
            "validation_perplexity": float(value * (1 + 6 * math.exp(-k / (rows / 8))) + noise[k]),
        }
        for k in range(rows)
    ]


def _config(cell: str, number: int, seed: int) -> dict[str, Any]:
    network = {"hidden_size": 64 + number, **{f"option_{k}": k / 7 for k in range(20)}}
    return {"cell": {"name": cell}, "seed": seed, "network": network, "optim": {"learning_rate": 0.002}}


if __name__ == "__main__":
    write_thousand_runs(Path(sys.argv[1]))
