"""The ledger of random and TPE search: an Optuna study for each combination, in one journal that launchers share.

Optuna draws (TPE), prunes and keeps the books; what runs and when is ours. A trial of ours is one *attempt* in the
journal or several: an attempt of a launcher that died is closed and the trial claimed again, and so is one that failed
under an earlier command. Both have the same settings, which mean the same run folder, so the run goes on where it was.

Of a trial's attempts the first that has not failed counts. So two launchers that claim one trial at the same moment
agree on whose it is, and there are never more trials than the budget.
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from cellwise.records.lease import is_being_run, take_lease
from cellwise.records.tuning import State, Trial
from cellwise.sweep.ledger import Claim, Outcome
from cellwise.sweep.phases import Tune
from cellwise.sweep.samplers import STARTUP, OptunaSpace, make_pruner, make_sampler
from cellwise.sweep.space import draw
from cellwise.sweep.tuning import Combination
from cellwise.tasks.objective import Objective

# A launcher that died between claiming an attempt and signing it leaves one that is nobody's; signing takes no time.
_UNSIGNED_SECONDS = 10.0

_STATES: dict[TrialState, State] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class JournalLedger:
    """The trials of a search as Optuna's journal holds them.

    Args:
        folder: of tuning; the journal is its `optuna.journal`.
        combinations: what is tuned.
        tune: how.
        objective: of validation.
    """

    def __init__(self, folder: Path, combinations: Sequence[Combination], tune: Tune, objective: Objective):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._token = folder, uuid.uuid4().hex[:12]
        self._lease = take_lease(_launcher(folder, self._token))
        journal = folder / "optuna.journal"
        _mend(journal)
        storage = JournalStorage(JournalFileBackend(str(journal)))
        self._studies = {c.name: _Attempts(storage, c, tune, objective, self._token) for c in combinations}

    def claim(self) -> Claim | None:
        """Return a trial of the combination of which the fewest have begun."""
        for attempts in self._studies.values():
            attempts.close_orphans(self._is_alive)
        for attempts in sorted(self._studies.values(), key=lambda each: each.begun()):
            claim = attempts.claim()
            if claim is not None:
                return claim
        return None

    def report(self, claim: Claim, step: int, value: float) -> bool:
        """Take a value of validation of a running trial; returns whether to prune it."""
        return self._studies[claim.combination.name].report(claim.held, step, value)

    def tell(self, claim: Claim, outcome: Outcome) -> None:
        """Take the end of a trial."""
        self._studies[claim.combination.name].tell(claim.held, outcome)

    def all_ended(self) -> bool:
        """Whether each trial has ended, whoever ran it."""
        return all(attempts.all_ended() for attempts in self._studies.values())

    def trials(self, combination: Combination) -> list[Trial]:
        """Return the trials of a combination by number; those that nobody has begun have no settings."""
        return self._studies[combination.name].trials()

    def close(self) -> None:
        """Sign off: what this launcher has claimed and not ended is anybody's."""
        self._lease.close()
        for path in self._folder.glob(f".{_launcher(self._folder, self._token).name}*"):
            path.unlink(missing_ok=True)

    def _is_alive(self, token: str) -> bool:
        return token == self._token or is_being_run(_launcher(self._folder, token))


class _Attempts:
    """The attempts at the trials of one combination."""

    def __init__(
        self, storage: JournalStorage, combination: Combination, tune: Tune, objective: Objective, token: str
    ) -> None:
        self._combination, self._tune, self._token = combination, tune, token
        self._space = OptunaSpace(tune.space)
        self._study = optuna.create_study(
            storage=storage,
            study_name=combination.name,
            direction="minimize" if objective.direction == "min" else "maximize",
            pruner=make_pruner(tune.prune),
            load_if_exists=True,
        )
        self._failed_before = {frozen.number for frozen in self._all() if "error" in frozen.user_attrs}
        self._unsigned: dict[int, float] = {}

    def begun(self) -> int:
        """How many trials have begun."""
        return sum(not self._is_to_begin(attempts) for attempts in self._by_trial().values())

    def all_ended(self) -> bool:
        """Whether each trial has ended."""
        by_trial = self._by_trial()
        return all(
            not self._is_open(attempts) and _counting(attempts).state.is_finished() for attempts in by_trial.values()
        )

    def claim(self) -> Claim | None:
        """Claim the first trial that nobody has begun, or that was given up."""
        for number, attempts in self._by_trial().items():
            if self._is_open(attempts):
                self._study.enqueue_trial(self._given(number, attempts), {"trial": number})
            if self._is_to_begin(attempts):
                claim = self._ask(number)
                if claim is not None:
                    return claim
        return None

    def close_orphans(self, is_alive: Callable[[str], bool]) -> None:
        """Fail the attempts of launchers that are gone, without an error: their trials are open again."""
        for frozen in self._all():
            if frozen.state == TrialState.RUNNING and self._is_orphan(frozen, is_alive):
                self._end(frozen.number, TrialState.FAIL)

    def report(self, trial: optuna.Trial, step: int, value: float) -> bool:
        """Take a value of validation; one step counts once, though a resumed run logs it again."""
        if self._tune.prune is None:
            return False
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*already reported.*")
                trial.report(value, step)
            return bool(trial.should_prune())  # a NumPy one
        except UpdateFinishedTrialError:  # another launcher took the trial over
            return False

    def tell(self, trial: optuna.Trial, outcome: Outcome) -> None:
        """Take the end of an attempt; nothing where another launcher took the trial over."""
        told = {"validation": outcome.validation, "seconds": outcome.seconds, "error": outcome.error}
        try:
            for name, value in told.items():
                if value is not None:
                    trial.set_user_attr(name, value)
        except UpdateFinishedTrialError:
            return
        states = {"finished": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        finished = outcome.state == "finished"
        self._end(trial.number, states[outcome.state], outcome.validation if finished else None)

    def trials(self) -> list[Trial]:
        """Return the trials by number."""
        return [self._trial(number, attempts) for number, attempts in self._by_trial().items()]

    def _ask(self, number: int) -> Claim | None:
        """Take an attempt from the queue; None where it turned out to be one too many."""
        self._study.sampler = make_sampler(self._tune, self._combination.name, number)
        trial = self._study.ask(self._space.distributions)
        trial.set_user_attr("launcher", self._token)
        found = trial.user_attrs.get("trial")
        attempts = self._by_trial().get(found, []) if isinstance(found, int) else []
        if not attempts or _counting(attempts).number != trial.number:
            self._end(trial.number, TrialState.FAIL)
            return None
        assert isinstance(found, int)
        return Claim(self._combination, found, self._space.settings(trial.params), trial)

    def _end(self, number: int, state: TrialState, value: float | None = None) -> None:
        with suppress(UpdateFinishedTrialError):  # between its look and its word, somebody else's came
            self._study.tell(number, value, state, skip_if_finished=True)

    def _given(self, number: int, attempts: Sequence[FrozenTrial]) -> dict[str, Any]:
        """The settings that are not the sampler's to choose: of an earlier attempt, or drawn."""
        for frozen in attempts:
            if len(frozen.params) == len(self._tune.space):
                return dict(frozen.params)
        if self._tune.sampler == "tpe" and number >= STARTUP:
            return {}
        return self._space.params(draw(self._tune.space, self._tune.sampler_seed, number))

    def _is_open(self, attempts: Sequence[FrozenTrial]) -> bool:
        """Whether nobody runs the trial: no attempt but such as were given up, or failed under an earlier command."""
        return all(
            frozen.state == TrialState.FAIL
            and ("error" not in frozen.user_attrs or frozen.number in self._failed_before)
            for frozen in attempts
        )

    def _is_to_begin(self, attempts: Sequence[FrozenTrial]) -> bool:
        return self._is_open(attempts) or _counting(attempts).state == TrialState.WAITING

    def _is_orphan(self, frozen: FrozenTrial, is_alive: Callable[[str], bool]) -> bool:
        token = frozen.user_attrs.get("launcher")
        if token is not None:
            return not is_alive(token)
        since = self._unsigned.setdefault(frozen.number, time.monotonic())
        return time.monotonic() - since > _UNSIGNED_SECONDS

    def _trial(self, number: int, attempts: Sequence[FrozenTrial]) -> Trial:
        if not attempts:
            return Trial(number, {}, "waiting")
        counting = _counting(attempts)
        told = counting.user_attrs
        state: State = _STATES[counting.state]
        if state == "failed" and "error" not in told:
            state = "waiting"  # given up by its launcher; somebody goes on with it
        settings = self._space.settings(counting.params)
        return Trial(number, settings, state, told.get("validation"), told.get("seconds"), told.get("error"))

    def _by_trial(self) -> dict[int, list[FrozenTrial]]:
        found: dict[int, list[FrozenTrial]] = {number: [] for number in range(self._tune.trials)}
        for frozen in self._all():
            number = frozen.user_attrs.get("trial")
            if number in found:
                found[number].append(frozen)
        return found

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)


def _counting(attempts: Sequence[FrozenTrial]) -> FrozenTrial:
    """The attempt that counts: the first that has not failed; of failed ones the last with an error."""
    ranked = [frozen for frozen in attempts if frozen.state != TrialState.FAIL]
    failed = [frozen for frozen in attempts if "error" in frozen.user_attrs]
    return ranked[0] if ranked else (failed or list(attempts))[-1]


def _launcher(folder: Path, token: str) -> Path:
    return folder / f"launcher-{token}"


def _mend(journal: Path) -> None:
    """Cut off half a line that a full disk or a loss of power left at the end; with it no line after can be read."""
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        if journal.exists():
            with open(journal, "rb+") as file:
                content = file.read()
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()
