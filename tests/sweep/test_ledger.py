"""A grid is every combination of listed values, the same for every cell."""

from __future__ import annotations

from cellwise.records.tuning import Setting, Trial
from cellwise.sweep.ledger import Claim, GridLedger, Outcome
from cellwise.sweep.space import Values
from cellwise.sweep.tuning import Combination

CELLS = [Combination(cell, cell, {"cell": cell}, (f"cell={cell}",), f"{cell}-00000000") for cell in ("rnn", "gru")]


def test_each_combination_of_values_is_claimed_once_and_cells_take_turns() -> None:
    ledger = GridLedger(CELLS, {"a": Values((1, 2)), "b": Values(("x", None))})
    points: list[dict[str, Setting]] = [
        {"a": 1, "b": "x"},
        {"a": 1, "b": None},
        {"a": 2, "b": "x"},
        {"a": 2, "b": None},
    ]
    claims: list[Claim] = []
    while (claim := ledger.claim()) is not None:
        claims.append(claim)
    assert [(c.number, c.combination.label, c.settings) for c in claims] == [
        (number, label, point) for number, point in enumerate(points) for label in ("rnn", "gru")
    ]
    assert not ledger.report(claims[0], 1, 0.5)
    for claim in claims:
        assert not ledger.all_ended()
        ledger.tell(claim, Outcome("finished", float(claim.number), 2.0))
    assert ledger.all_ended()
    assert ledger.trials(CELLS[1])[2] == Trial(2, points[2], "finished", 2.0, 2.0)


def test_a_trial_that_has_not_ended_waits_with_its_settings() -> None:
    ledger = GridLedger(CELLS[:1], {"a": Values((1, 2))})
    claim = ledger.claim()
    assert claim is not None
    ledger.tell(claim, Outcome("failed", error="no luck"))
    assert ledger.trials(CELLS[0]) == [Trial(0, {"a": 1}, "failed", error="no luck"), Trial(1, {"a": 2}, "waiting")]
    ledger.close()
