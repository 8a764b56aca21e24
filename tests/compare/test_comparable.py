"""What may be compared, and what is said of what may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cellwise.compare.comparable import GROUNDS, Facts, Ground, differences, partition, read_grounds
from cellwise.compare.table import compare, not_compared
from cellwise.errors import CellwiseError
from cellwise.records.store import Study, load_study

AddRun = Callable[..., Path]
Made = Callable[..., dict[str, Any]]
Add = Callable[..., None]


@pytest.fixture
def add(tmp_path: Path, add_run: AddRun, made_up_run_info: Made, made_up_summary: Made) -> Add:
    """Add runs of a cell: its scores by seed, with changes of the record, the summary and the configuration."""

    def write(cell: str, scores: dict[int, float], config: dict[str, Any] | None = None, **changes: Any) -> None:
        of_summary = {key: changes.pop(key) for key in ("objective", "unit", "direction") if key in changes}
        for seed, score in scores.items():
            run = tmp_path / "study" / f"{cell}-0123abcd" / f"seed-{seed}"
            made = {key: value(seed) if callable(value) else value for key, value in changes.items()}
            add_run(run, made_up_run_info(cell, seed, **made), made_up_summary(cell, seed, score, **of_summary))
            (run / "config.yaml").write_text(yaml.safe_dump({"cell": {"name": cell}, **(config or {})}))

    return write


@pytest.fixture
def study(tmp_path: Path) -> Callable[[], Study]:
    return lambda: load_study(tmp_path / "study")


SCORES = {0: 60.0, 1: 61.0, 2: 60.5}
WORSE = {0: 70.0, 1: 71.0, 2: 70.4}

APART: dict[str, tuple[dict[str, Any], str]] = {
    "data": ({"data": {"ptb": "d" * 64}}, "Not compared with each other: the data that the runs read differ ("),
    "code": ({"code_sha256": "e" * 64}, "Not compared with each other: cellwise's own code differs ("),
    "budget": ({"config": {"budget": "params:100000"}}, "Not compared with each other: the budget differs ("),
}


@pytest.mark.parametrize("ground", APART)
def test_runs_of_other_data_code_or_budget_are_not_compared_and_the_reason_is_one_line(
    ground: str, add: Add, study: Callable[[], Study]
) -> None:
    changes, said = APART[ground]
    add("gru", SCORES)
    add("lstm", WORSE)
    add("rnn", WORSE, **changes)
    first, second = compare(study())
    assert [row.label for row in first.rows] == ["gru", "lstm"]
    assert [row.label for row in second.rows] == ["rnn"]
    assert len(first.verdict.pairs) == 1
    assert second.verdict.separation.startswith("Only rnn has a score")
    assert first.title != second.title
    assert f"; {ground} " in second.scale
    (line,) = not_compared(study())
    assert line.startswith(said)
    assert ": gru, lstm; " in line
    assert ": rnn)" in line
    assert line.endswith(f"type `cellwise report {study().path} --across {ground}`.")
    assert "\n" not in line


@pytest.mark.parametrize("ground", APART)
def test_who_is_told_to_compares_them_all_the_same_and_is_reminded(
    ground: Ground, add: Add, study: Callable[[], Study]
) -> None:
    changes, said = APART[ground]
    add("gru", SCORES)
    add("rnn", WORSE, **changes)
    (comparison,) = compare(study(), {ground})
    assert [pair.better for pair in comparison.verdict.apart] == ["gru"]
    reminded = said.replace("Not compared with each other: ", "Compared all the same, though ")
    assert any(caveat.startswith(reminded) for caveat in comparison.verdict.caveats)
    assert not_compared(study(), {ground}) == ()


def test_the_length_of_training_is_a_budget(add: Add, study: Callable[[], Study]) -> None:
    add("gru", SCORES, config={"trainer": {"max_steps": 100, "max_epochs": None}})
    add("rnn", WORSE, config={"trainer": {"max_steps": 200, "max_epochs": None}})
    assert "(max_steps=100: gru; max_steps=200: rnn)" in not_compared(study())[0]
    assert len(compare(study())) == 2


def test_a_run_whose_configuration_is_lost_is_of_the_budget_of_its_other_seeds(
    add: Add, study: Callable[[], Study], tmp_path: Path
) -> None:
    for cell, scores in (("gru", SCORES), ("rnn", WORSE)):
        add(cell, scores, config={"trainer": {"max_steps": 100}})
    (lost,) = tmp_path.rglob(f"gru-*/seed-{min(SCORES)}/config.yaml")
    lost.unlink()
    assert len(compare(study())) == 1


def test_runs_on_the_same_data_and_code_say_nothing(add: Add, study: Callable[[], Study]) -> None:
    add("gru", SCORES)
    add("rnn", WORSE)
    assert not_compared(study()) == ()
    (comparison,) = compare(study())
    assert comparison.title == "language, perplexity"
    assert not any("all the same" in caveat for caveat in comparison.verdict.caveats)


def test_data_and_code_that_follow_the_seed_are_the_same_where_seeds_pair(add: Add, study: Callable[[], Study]) -> None:
    by_seed = {"data": lambda seed: {"drawn": str(seed) * 64}, "code_sha256": lambda seed: str(seed // 2) * 64}
    add("gru", SCORES, **by_seed)
    add("rnn", WORSE, **by_seed)
    add("lstm", {7: 60.0, 8: 61.0, 9: 62.0}, **by_seed)
    (comparison,) = compare(study())
    assert len(comparison.rows) == 3


def test_one_seed_on_other_data_is_enough_to_refuse(add: Add, study: Callable[[], Study]) -> None:
    add("gru", SCORES)
    add("rnn", WORSE, data=lambda seed: {"embedded": ("c" if seed else "d") * 64})
    assert len(compare(study())) == 2
    assert "2 by seed: rnn" in not_compared(study())[0]


def test_another_unit_or_direction_is_another_objective(add: Add, study: Callable[[], Study]) -> None:
    add("gru", SCORES)
    add("rnn", WORSE, unit="other", direction="max")
    first, second = compare(study())
    assert (first.direction, first.unit) != (second.direction, second.unit)


def test_runs_that_are_not_finished_stay_with_the_first(
    add: Add, study: Callable[[], Study], tmp_path: Path, add_run: AddRun, made_up_run_info: Made
) -> None:
    add("gru", SCORES)
    add("rnn", WORSE, code_sha256="e" * 64)
    add_run(tmp_path / "study" / "mgu-0123abcd" / "seed-0", made_up_run_info("mgu", 0, status="running"))
    add_run(tmp_path / "study" / "rnn-0123abcd" / "seed-5", made_up_run_info("rnn", 5, status="failed", error="x"))
    first, second = compare(study())
    assert {row.label: row.running for row in first.rows} == {"gru": 0, "mgu": 1}
    assert {row.label: row.failed for row in second.rows} == {"rnn": 1}


def facts(name: str, **by_ground: dict[int, str]) -> Facts:
    return Facts((name, "00000000"), {ground: by_ground.get(ground, {0: "same"}) for ground in GROUNDS})


def test_configurations_without_a_shared_seed_are_told_by_what_each_of_them_is() -> None:
    a, b = facts("gru", code={0: "old", 1: "old"}), facts("rnn", code={5: "new"})
    assert len(partition([a, b])) == 2
    assert len(partition([a, b], ["code"])) == 1
    assert len(partition([a, facts("rnn", code={5: "old"})])) == 1


def test_of_many_versions_four_are_named() -> None:
    many = [facts(f"cell{n}", code={0: str(n)}) for n in range(7)]
    (line,) = differences(many, ["code"])
    assert line.endswith("3: cell3; and 3 more)")


def test_a_ground_that_does_not_exist_is_refused() -> None:
    assert read_grounds("data, code") == {"data", "code"}
    assert read_grounds("") == frozenset()
    with pytest.raises(CellwiseError, match=r"unknown ground 'cod'; did you mean 'code'\? allowed: budget, code, data"):
        read_grounds("cod")
