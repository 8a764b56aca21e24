"""Launchers that share a journal run each trial once, and what one leaves behind another takes over."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellwise.records.tuning import Trial
from cellwise.sweep import journal
from cellwise.sweep.journal import JournalLedger
from cellwise.sweep.ledger import Claim, Outcome
from cellwise.sweep.phases import Pruner, Sampler, Tune
from cellwise.sweep.space import Range, Space, Values, draw
from cellwise.sweep.tuning import Combination
from cellwise.tasks.objective import Objective

SPACE: Space = {
    "optim.learning_rate": Range(1e-4, 1e-1, log=True),
    "optim.momentum": Range(0.0, 0.99, log_of_one_minus=True),
    "network.hidden_size": Range(4, 64, log=True, whole=True),
    "cell.bias": Values((True, None, "x")),
}
CELLS = [
    Combination(cell, cell, {"cell": cell}, (f"cell={cell}",), f"{cell}-0000000{n}") for n, cell in enumerate("abc")
]


def tune(trials: int = 4, sampler: Sampler = "random", prune: Pruner | None = None) -> Tune:
    return Tune((0,), sampler, trials, SPACE, prune, (), 0)


Open = Callable[..., JournalLedger]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Open]:
    """`ledger(how)`: another launcher on the same folder."""
    opened: list[JournalLedger] = []

    def another(how: Tune | None = None) -> JournalLedger:
        opened.append(JournalLedger(tmp_path, CELLS, how or tune(), Objective("error", "min", "")))
        return opened[-1]

    yield another
    for each in opened:
        each.close()


def claims(ledger: JournalLedger) -> list[Claim]:
    found = []
    while (claim := ledger.claim()) is not None:
        found.append(claim)
    return found


def value(claim: Claim) -> float:
    """A made-up validation: better for rates near 0.01."""
    rate = claim.settings["optim.learning_rate"]
    assert isinstance(rate, float)
    return abs(math.log10(rate) + 2)


def finish(ledger: JournalLedger, claim: Claim) -> None:
    ledger.tell(claim, Outcome("finished", value(claim), 1.5))


def names(claims: list[Claim]) -> list[tuple[str, int]]:
    return [(claim.combination.label, claim.number) for claim in claims]


def test_cells_take_turns_and_have_the_same_settings_in_the_same_trial(ledger: Open) -> None:
    claimed = claims(ledger())
    assert names(claimed) == [(cell, number) for number in range(4) for cell in "abc"]
    for claim in claimed:
        assert dict(claim.settings) == draw(SPACE, 0, claim.number)


def test_what_has_ended_is_known_to_the_next_launcher_and_not_claimed_again(ledger: Open) -> None:
    first = ledger()
    for claim in claims(first):
        assert not first.all_ended()
        finish(first, claim)
    assert first.all_ended()
    second = ledger()
    assert second.all_ended()
    assert second.claim() is None
    for cell in CELLS:
        trials = second.trials(cell)
        assert [trial.number for trial in trials] == [0, 1, 2, 3]
        for trial in trials:
            claim = Claim(cell, trial.number, draw(SPACE, 0, trial.number))
            assert trial == Trial(trial.number, claim.settings, "finished", value(claim), 1.5)


def test_a_greater_budget_adds_trials_and_a_smaller_one_leaves_them_out(ledger: Open) -> None:
    for claim in claims(first := ledger(tune(2))):
        finish(first, claim)
    more = ledger(tune(4))
    assert names(claims(more)) == [(cell, number) for number in (2, 3) for cell in "abc"]
    fewer = ledger(tune(1))
    assert fewer.all_ended()
    assert [len(fewer.trials(cell)) for cell in CELLS] == [1, 1, 1]


def test_two_living_launchers_never_have_the_same_trial(ledger: Open) -> None:
    first, second = ledger(), ledger()
    mine, others = [], []
    while (one := first.claim()) is not None:
        mine.append(one)
        if (other := second.claim()) is not None:
            others.append(other)
    assert Counter([*names(mine), *names(others)]) == Counter({(c, n): 1 for c in "abc" for n in range(4)})
    assert len(others) == 6
    for claim in mine:
        finish(first, claim)
    assert not first.all_ended()  # the other's are still running
    for claim in others:
        finish(second, claim)
    assert first.all_ended()


RACE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_journal import CELLS, finish, tune
from cellwise.sweep.journal import JournalLedger
from cellwise.tasks.objective import Objective
ledger = JournalLedger(Path(sys.argv[1]), CELLS, tune(int(sys.argv[2])), Objective("error", "min", ""))
print("ready", flush=True)
sys.stdin.readline()
claimed = []
while (claim := ledger.claim()) is not None:
    claimed.append((claim.combination.label, claim.number))
    finish(ledger, claim)
print(json.dumps(claimed))
ledger.close()
"""


def test_launchers_that_race_do_each_trial_once_and_no_more_than_the_budget(tmp_path: Path, ledger: Open) -> None:
    words = [sys.executable, "-c", RACE, str(tmp_path), "12", str(Path(__file__).parent)]
    racers = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    told = [racer.communicate("go\n", timeout=120)[0] for racer in racers]
    done = [tuple(claim) for said in told for claim in json.loads(said)]
    assert Counter(done) == Counter({(cell, number): 1 for cell in "abc" for number in range(12)})
    assert ledger(tune(12)).all_ended()


@pytest.mark.parametrize("how", [tune(2), tune(14, "tpe")], ids=["random", "tpe"])
def test_trials_of_a_launcher_that_is_gone_are_taken_over_with_their_settings(ledger: Open, how: Tune) -> None:
    """A lease ends with its process, however that ends; closing it is the same to others."""
    gone, other = ledger(how), ledger(how)
    begun = claims(gone)
    assert other.claim() is None
    assert not other.all_ended()
    gone.close()
    taken = claims(other)
    assert sorted(names(taken)) == sorted(names(begun))
    assert {name: claim.settings for name, claim in zip(names(taken), taken, strict=True)} == {
        name: claim.settings for name, claim in zip(names(begun), begun, strict=True)
    }
    finish(gone, begun[0])  # it was not dead, only silent: nobody listens any more
    assert other.trials(CELLS[0])[0].state == "running"
    for claim in taken:
        finish(other, claim)
    assert other.all_ended()
    assert {trial.state for cell in CELLS for trial in other.trials(cell)} == {"finished"}


def test_an_attempt_that_was_claimed_and_never_signed_is_taken_over_in_time(
    ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ledger(tune(1))
    with monkeypatch.context() as patch:
        patch.setattr("optuna.Trial.set_user_attr", _killed)
        with pytest.raises(KeyboardInterrupt):
            first.claim()
    second = ledger(tune(1))
    assert names(claims(second)) == [("b", 0), ("c", 0)]
    monkeypatch.setattr(journal, "_UNSIGNED_SECONDS", -1.0)
    assert names(claims(second)) == [("a", 0)]


def _killed(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_launcher_that_was_killed_before_it_asked_leaves_nothing_undone(
    ledger: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ledger(tune(2))
    with monkeypatch.context() as patch:
        patch.setattr("optuna.Study.ask", _killed)
        with pytest.raises(KeyboardInterrupt):
            first.claim()
    claimed = claims(ledger(tune(2)))
    assert Counter(names(claimed)) == Counter({(cell, number): 1 for cell in "abc" for number in range(2)})


def test_failures_are_told_and_tried_again_by_the_next_command_alone(ledger: Open) -> None:
    first = ledger(tune(2))
    for claim in claims(first):
        bad = claim.combination.label == "b" and claim.number == 1
        first.tell(claim, Outcome("failed", None, 0.5, "seed 0: no luck")) if bad else finish(first, claim)
    assert first.all_ended()
    assert first.claim() is None
    assert first.trials(CELLS[1])[1] == Trial(1, draw(SPACE, 0, 1), "failed", None, 0.5, "seed 0: no luck")
    second = ledger(tune(2))
    [again] = claims(second)
    assert (again.combination.label, again.number, dict(again.settings)) == ("b", 1, draw(SPACE, 0, 1))
    second.tell(again, Outcome("failed", None, 0.5, "again none"))
    assert second.claim() is None
    assert second.trials(CELLS[1])[1].error == "again none"
    third = ledger(tune(2))
    [again] = claims(third)
    finish(third, again)
    assert third.trials(CELLS[1])[1].state == "finished"
    assert ledger(tune(2)).claim() is None


def test_a_pruned_trial_is_none_that_failed_and_is_not_repeated(ledger: Open) -> None:
    first = ledger(tune(1, prune="median"))
    for claim in claims(first):
        first.tell(claim, Outcome("pruned", 0.25, 2.0, "pruned at step 3"))
    assert first.all_ended()
    second = ledger(tune(1, prune="median"))
    assert second.claim() is None
    assert second.trials(CELLS[0]) == [Trial(0, draw(SPACE, 0, 0), "pruned", 0.25, 2.0, "pruned at step 3")]


def test_the_median_pruner_ends_what_falls_behind_from_the_sixth_trial_on(ledger: Open) -> None:
    one = ledger(tune(7, prune="median"))
    told = []
    for number in range(7):
        claimed = [one.claim() for _ in CELLS]
        [claim] = [c for c in claimed if c is not None and c.combination.label == "a"]
        level = 100.0 if number in (2, 6) else 10.0 - number
        told.append([one.report(claim, step, level) for step in (10, 20, 20)])  # a resumed run logs a step again
        for each in claimed:
            assert each is not None
            one.tell(each, Outcome("finished", level, 1.0))
    assert told == [[False] * 3] * 6 + [[True] * 3]


def test_halving_lets_a_part_go_on(ledger: Open) -> None:
    one = ledger(tune(8, prune="halving"))
    pruned = []
    for _ in range(8):
        claimed = [one.claim() for _ in CELLS]
        [claim] = [c for c in claimed if c is not None and c.combination.label == "a"]
        bad = any(one.report(claim, step, float(claim.number)) for step in range(1, 101))
        pruned.append(bad)
        for each in claimed:
            assert each is not None
            one.tell(each, Outcome("pruned" if bad else "finished", float(claim.number), 1.0))
    assert pruned[0] is False
    assert sum(pruned) >= 4


def test_tpe_draws_like_random_search_first_then_learns_and_follows_from_its_history_alone(
    ledger: Open, tmp_path: Path
) -> None:
    def searched(folder: Path) -> list[Claim]:
        how = tune(30, "tpe")
        found: list[Claim] = []
        for start in range(3):  # a launcher that goes on after another draws as that one would have
            one = JournalLedger(folder, CELLS[:1], how, Objective("error", "min", ""))
            for _ in range(10):
                claim = one.claim()
                assert claim is not None
                assert claim.number == 10 * start + len(found) % 10
                found.append(claim)
                finish(one, claim)
            one.close()
        return found

    found = searched(tmp_path / "one")
    assert [dict(c.settings) for c in found[:10]] == [draw(SPACE, 0, number) for number in range(10)]
    assert [c.settings for c in searched(tmp_path / "two")] == [c.settings for c in found]
    assert [dict(c.settings) for c in found[10:]] != [draw(SPACE, 0, number) for number in range(10, 30)]
    at_random = [Claim(CELLS[0], n, draw(SPACE, 0, n)) for n in range(10, 30)]
    assert sum(map(value, found[20:])) < 0.8 * sum(map(value, at_random[10:]))
    assert len({str(c.settings) for c in found}) == 30


def test_half_a_line_at_the_end_of_the_journal_is_cut_off(ledger: Open, tmp_path: Path) -> None:
    for claim in claims(first := ledger()):
        finish(first, claim)
    first.close()
    path = tmp_path / "optuna.journal"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":5,"work')
    assert ledger().all_ended()
    mended = path.read_bytes()
    assert mended.startswith(whole)
    assert all(json.loads(line) for line in mended.splitlines())
