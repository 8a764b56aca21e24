"""``run.json`` and ``summary.json``: read, checked and written."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cellwise.errors import CellwiseError
from cellwise.records.schema import RunInfo, Summary

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def test_the_golden_run_is_read_and_written_unchanged() -> None:
    plain = golden("run.json")
    info = RunInfo.from_dict(plain)
    assert info.to_dict() == plain
    assert (info.cell, info.seed, info.git.dirty) == ("peephole_lstm", 3, False)
    assert info.parameters is not None
    assert info.parameters.recurrent == 45678


def test_the_golden_summary_is_read_and_written_unchanged() -> None:
    plain = golden("summary.json")
    read = Summary.from_dict(plain)
    assert read.to_dict() == plain
    assert read.floors == {"unigram": 310.25, "bigram": 95.75}
    assert (read.throughput.unit, read.optimum) == ("tokens/s", 52.125)


def test_a_value_that_is_not_finite_is_null_in_the_file_and_nan_in_memory(
    made_up_summary: Callable[..., dict[str, Any]],
) -> None:
    diverged = Summary.from_dict(made_up_summary("gru", 0, math.inf))
    text = json.dumps(diverged.to_dict(), allow_nan=False)
    assert json.loads(text)["value"] is None
    assert math.isnan(Summary.from_dict(json.loads(text)).value)


def test_an_unknown_optimum_stays_unknown(made_up_summary: Callable[..., dict[str, Any]]) -> None:
    assert Summary.from_dict(made_up_summary("gru", 0, 1.0, optimum=None)).to_dict()["optimum"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema 2 is not known; this cellwise reads 1"),
        ({"direction": "down"}, "direction: 'down' is not allowed; allowed: min, max"),
        ({"value": "12"}, "value: expected a number, found '12'"),
        ({"value": True}, "value: expected a number"),
        ({"seed": 1.5}, "seed: expected a whole number"),
        ({"floors": [1, 2]}, "floors: expected an object"),
        ({"floors": {"unigram": "x"}}, "floors.unigram: expected a number"),
        ({"parameters": {"total": 1}}, "'recurrent' is missing"),
    ],
)
def test_a_wrong_summary_is_one_line_that_says_what_is_allowed(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(CellwiseError) as caught:
        Summary.from_dict({**golden("summary.json"), **change}, "here/summary.json")
    message = str(caught.value)
    assert message.startswith("here/summary.json")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize("key", ["status", "cell", "seed", "identity", "engine"])
def test_a_run_without_a_needed_key_is_refused(key: str) -> None:
    plain = golden("run.json")
    del plain[key]
    with pytest.raises(CellwiseError, match=f"'{key}' is missing"):
        RunInfo.from_dict(plain)


def test_what_a_newer_version_adds_is_passed_over() -> None:
    assert RunInfo.from_dict({**golden("run.json"), "weather": "fine"}) == RunInfo.from_dict(golden("run.json"))


def test_a_run_that_has_only_started_knows_no_sizes_yet() -> None:
    plain = {
        **golden("run.json"),
        "status": "running",
        "parameters": None,
        "flops_per_step": None,
        "steps": None,
        "ended": None,
    }
    info = RunInfo.from_dict(plain)
    assert info.parameters is None
    assert info.to_dict() == plain
