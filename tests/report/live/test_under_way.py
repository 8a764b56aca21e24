"""How far runs are that have not ended: step of all steps, the last scores, the time left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellwise.records.follow import Follower
from cellwise.records.lease import take_lease
from cellwise.records.planned import write_plan
from cellwise.report.live.under_way import Running, under_way
from cellwise.report.terminal.status import status_lines

ROWS = [
    {"step": 100, "seconds": 10.0, "train_nll_nats": 5.5},
    {"step": 200, "seconds": 20.0, "validation_perplexity": 70.25, "validation_nll_nats": None},
    {"step": 250, "seconds": 25.0, "train_nll_nats": 4.25},
]


def test_a_run_says_its_step_its_scores_and_the_time_left(
    make_study: Callable[..., Path], add_run: Callable[..., Path], made_up_run_info: Any
) -> None:
    folder = make_study("study", 2, ("gru",))
    configuration = folder / "lstm-0123abcd"
    for seed, rows, steps in ((0, ROWS, 1000), (1, ROWS, None), (2, [], 1000), (3, [{"step": "x"}, *ROWS], 200)):
        add_run(
            configuration / f"seed-{seed}", made_up_run_info("lstm", seed, status="running", steps=steps), rows=rows
        )
    write_plan([*configuration.glob("seed-*"), folder / "rnn-0123abcd" / "seed-0"])
    with (
        take_lease(configuration / "seed-0"),
        take_lease(configuration / "seed-1"),
        take_lease(configuration / "seed-2"),
    ):
        found = under_way(Follower(folder).read())
        assert status_lines(folder)[0] == f"{folder}: {found.told}"
    assert found.told == "7 runs: 3 running, 1 cut off, 2 finished, 1 waiting"
    scores = ("nll nats 4.250", "perplexity 70.25")
    assert found.runs == (
        Running("lstm", 0, "running", "250 of 1,000", 0.25, *scores, "75 s"),
        Running("lstm", 1, "running", "250", None, *scores, ""),
        Running("lstm", 2, "running", "nothing logged yet", None, "", "", ""),
        Running("lstm", 3, "cut off", "250 of 200", 1.0, *scores, ""),
    )


def test_several_configurations_of_a_cell_are_told_apart(
    tmp_path: Path, add_run: Callable[..., Path], made_up_run_info: Any
) -> None:
    for identity in ("00000001", "00000002"):
        info = made_up_run_info("gru", 0, status="running", steps=10_000)
        rows = [{"step": 1, "seconds": 1.0}]
        with take_lease(add_run(tmp_path / "s" / f"gru-{identity}" / "seed-0", info, rows=rows)):
            last = under_way(Follower(tmp_path / "s").read()).runs[0]
    assert (last.label, last.left) == ("gru-00000002", "2.8 h")
