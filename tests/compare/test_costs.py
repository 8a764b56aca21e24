"""Quality against each cost, from runs on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellwise.compare.costs import fronts
from cellwise.compare.table import compare
from cellwise.records.store import load_study

AddRun = Callable[..., Path]
Made = Callable[..., dict[str, Any]]


def test_each_cost_has_its_front_and_chance_is_told_from_certainty(
    tmp_path: Path, add_run: AddRun, made_up_run_info: Made, made_up_summary: Made
) -> None:
    made = {
        "gru": ([50.0, 51.0, 50.5], 200, 30.0),
        "lstm": ([50.2, 51.1, 50.4], 300, 20.0),
        "rnn": ([90.0, 91.2, 90.4], 400, 10.0),
    }
    for cell, (scores, parameters, seconds) in made.items():
        for seed, score in enumerate(scores):
            costs = {"parameters": {"total": 1000, "recurrent": parameters}, "train_seconds": seconds + seed}
            info = made_up_run_info(cell, seed)
            add_run(tmp_path / f"{cell}-0123abcd" / f"seed-{seed}", info, made_up_summary(cell, seed, score, **costs))
    (comparison,) = compare(load_study(tmp_path))
    found = fronts(comparison)
    assert list(found) == [
        "recurrent parameters",
        "recurrent FLOPs per step",
        "training time (s)",
        "peak memory (bytes)",
    ]
    beaten = {place.label: (place.beaten_by, place.surely_beaten) for place in found["recurrent parameters"]}
    assert beaten == {"gru": ((), False), "lstm": (("gru",), False), "rnn": (("gru", "lstm"), True)}
    assert [(place.label, place.cost) for place in found["training time (s)"]] == [
        ("rnn", 11.0),
        ("lstm", 21.0),
        ("gru", 31.0),
    ]
    assert all(place.on_front for place in found["training time (s)"])


def test_before_a_run_has_finished_there_is_no_front(tmp_path: Path, add_run: AddRun, made_up_run_info: Made) -> None:
    add_run(tmp_path / "gru-0123abcd" / "seed-0", made_up_run_info("gru", 0, status="running"))
    (comparison,) = compare(load_study(tmp_path))
    assert fronts(comparison) == {}
