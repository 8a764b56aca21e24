"""The one LightningModule: runs any task's loss and scores, and carries state from batch to batch.

State is kept per split and dropped when a pass over the split begins, so validation (Lightning's sanity check included)
never reaches training. Rows go straight to the record, every so many steps: `self.log` costs 0.25 ms a metric and step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from cellwise.errors import CellwiseError
from cellwise.tasks.contract import Learned, Scores, Split, Task
from cellwise.training.checkpoint import Checkpoints
from cellwise.training.optim import learning_rate, make_optimizer
from cellwise.training.seeds import reseed
from cellwise.training.selection import Selection
from cellwise.training.settings import OptimSettings

Row = dict[str, float | int]
Report = Callable[[Row], None]


class TrainingModule(pl.LightningModule):
    """Trains a task's network.

    Args:
        task: loss, scores and state.
        network: what is trained.
        optim: optimiser settings.
        seed: the run's seed, for the random stream of each step.
        report: takes the rows of `metrics.jsonl`.
        selection: offered the network after each validation.
        log_every_steps: steps of one training row.
        checkpoints: of a run that may be cut off; None for none.
        logged: how many bytes of rows are written, for the checkpoint.
        steps_in_all: after which the run ends; its last step gets a checkpoint, from which more epochs can go on.
    """

    def __init__(
        self,
        task: Task,
        network: nn.Module,
        optim: OptimSettings,
        *,
        seed: int,
        report: Report,
        selection: Selection,
        log_every_steps: int,
        checkpoints: Checkpoints | None = None,
        logged: Callable[[], int] = lambda: 0,
        steps_in_all: int = 1,
    ):
        super().__init__()
        self.task, self.network, self.optim, self.seed = task, network, optim, seed
        self.report, self.selection, self.log_every_steps = report, selection, log_every_steps
        self.checkpoints, self._logged, self.steps_in_all = checkpoints, logged, steps_in_all
        self.examples = 0
        self.train_seconds = 0.0
        self.validated_step = -1
        self.test_scores: dict[str, float] = {}
        self._carried: dict[Split, Any] = {}
        self._scores: Scores | None = None
        self._tally = _Tally()
        self._started = 0.0
        self._epoch = 0  # of the last step; Lightning has counted on when training ends
        self._epoch_ended = True  # with the last step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser; the learning rate is set at each epoch's start."""
        return make_optimizer(self.optim, self.network.parameters())

    def on_train_epoch_start(self) -> None:
        """Begin the text anew, at this epoch's learning rate; Lightning does not call this where an epoch goes on."""
        self._carried["train"] = None
        self._epoch = self.current_epoch
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(self.optim, self.current_epoch)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Give this step its own random numbers, whatever happened before it."""
        self._started = time.perf_counter()
        reseed(self.seed, "step", self.global_step)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of one batch, carrying the state on."""
        learned = self.task.learn(self.network, batch, self._carried["train"])
        self._carried["train"] = detached(learned.state)
        self._tally.add(learned)
        return learned.loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Write a row when it is time."""
        self.train_seconds += time.perf_counter() - self._started
        self._epoch_ended = batch_idx + 1 == self.trainer.num_training_batches
        if self.global_step % self.log_every_steps == 0:
            self._write_row()
        if self._is_between_steps():
            self._save_when_due()

    def on_validation_end(self) -> None:
        """Keep what a validation in training cost."""
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._save_when_due()

    def on_train_epoch_end(self) -> None:
        """Keep an epoch whose end no validation follows; Lightning comes here from the middle of the last one too."""
        if self._epoch_ended and self.validated_step != self.global_step:
            self._save_when_due()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know of: the carried state, what is logged, what was selected."""
        checkpoint["cellwise"] = {
            "carried": self._carried.get("train"),
            "tally": self._tally.state(),
            "examples": self.examples,
            "train_seconds": self.train_seconds,
            "validated_step": self.validated_step,
            "epoch": self._epoch,
            "selected": self.selection.state(),
            "logged": self._logged(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there."""
        kept = checkpoint["cellwise"]
        self._carried["train"] = kept["carried"]
        self._tally.load(kept["tally"])
        self.examples, self.train_seconds = kept["examples"], kept["train_seconds"]
        self.validated_step, self._epoch = kept["validated_step"], kept["epoch"]
        self.selection.load(kept["selected"])

    def on_train_end(self) -> None:
        """Write the row of the steps since the last one."""
        if self._tally.examples:
            self._write_row()

    def on_validation_epoch_start(self) -> None:
        """Begin a pass over validation."""
        self._begin("valid")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Score one batch."""
        self._score("valid", batch)

    def on_validation_epoch_end(self) -> None:
        """Report validation's scores and offer the weights for selection."""
        scores = self._computed()
        if self.trainer.sanity_checking:
            return
        self.validated_step = self.global_step
        self.report({**self._place(), **{f"validation_{name}": value for name, value in scores.items()}})
        self.selection.offer(self.network, scores[self.task.objective.metric], self.global_step)

    def on_test_epoch_start(self) -> None:
        """Begin the one pass over test."""
        self._begin("test")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Score one batch."""
        self._score("test", batch)

    def on_test_epoch_end(self) -> None:
        """Keep test's scores."""
        self.test_scores = self._computed()

    def _write_row(self) -> None:
        """Report the training steps since the last row; stop a run whose loss is lost."""
        row = self._tally.row()
        self.examples += self._tally.take_examples()
        rate: float = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
        self.report({**self._place(), **row, "learning_rate": rate})
        self._require_finite(row)

    def _save_when_due(self) -> None:
        if self.checkpoints is not None and self.checkpoints.due(now=self.global_step == self.steps_in_all):
            self.checkpoints.save(self.trainer)

    def _is_between_steps(self) -> bool:
        """Whether nothing but the next step of the same epoch follows, so that a checkpoint means just one thing.

        Where validation follows, its end is the better place; from a checkpoint at an epoch's last step Lightning would
        not begin the next epoch.
        """
        every = self.trainer.val_check_interval
        by_steps = isinstance(every, int) and self.trainer.check_val_every_n_epoch is None
        return not self._epoch_ended and not (by_steps and self.global_step % every == 0)

    def _begin(self, split: Split) -> None:
        self._carried[split] = None
        self._scores = self.task.scores()

    def _score(self, split: Split, batch: Any) -> None:
        assert self._scores is not None
        self._carried[split] = self._scores.update(self.network, batch, self._carried[split])

    def _computed(self) -> dict[str, float]:
        assert self._scores is not None
        scores, self._scores = self._scores.compute(), None
        return scores

    def _place(self) -> Row:
        return {
            "step": self.global_step,
            "epoch": self._epoch,
            "examples": self.examples + self._tally.examples,
            "seconds": round(self.train_seconds, 3),
        }

    def _require_finite(self, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if not abs(value) < float("inf"):
                raise CellwiseError(
                    f"{name} is {value} at step {self.global_step}; lower optim.learning_rate or optim.clip_norm"
                )


class _Tally:
    """Sums of what training steps logged since the last row; they stay on the device until the row is written."""

    def __init__(self) -> None:
        self.examples = 0
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, learned: Learned) -> None:
        self.examples += learned.examples
        for name, (total, count) in learned.sums.items():
            self._sums[name] = self._sums[name] + total if name in self._sums else total.double()
            self._counts[name] = self._counts.get(name, 0) + count

    def row(self) -> Row:
        """Return the means and start over."""
        row: Row = {f"train_{name}": float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return row

    def state(self) -> dict[str, Any]:
        return {"examples": self.examples, "sums": dict(self._sums), "counts": dict(self._counts)}

    def load(self, state: Mapping[str, Any]) -> None:
        self.examples, self._sums, self._counts = state["examples"], dict(state["sums"]), dict(state["counts"])

    def take_examples(self) -> int:
        taken, self.examples = self.examples, 0
        return taken


def detached(state: Any) -> Any:
    """Return a carried state (a tensor, or a mapping or sequence of states) cut from the graph of its batch."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, Mapping):
        return {name: detached(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return [detached(value) for value in state]
    return state
