"""`docs/statistics.md` says what the code does."""

from __future__ import annotations

import contextlib
import io
import re

import pytest

from cellwise.compare.comparable import GROUNDS
from tests.compare.coverage_table import PAGE


def test_its_example_runs_and_prints_what_its_comments_promise() -> None:
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    mean, difference, wins, seeds = printed.getvalue().splitlines()
    assert mean.startswith("Interval(value=61.28")
    assert float(re.findall(r"mean=([^,]*)", difference)[0]) == pytest.approx(-0.56)
    assert wins.startswith("Interval(value=0.86")
    assert seeds == "16"


def test_it_names_every_ground_on_which_runs_are_not_compared() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"**{ground}**" in text for ground in GROUNDS)
