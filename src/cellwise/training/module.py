"""The one LightningModule: runs any task's loss and scores, and carries state from batch to batch.

State is kept per split and dropped when a pass over the split begins, so validation (Lightning's sanity check included)
never reaches training. Rows go straight to the record, every so many steps: `self.log` costs 0.25 ms a metric and step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from cellwise.tasks.contract import Scores, Split, Task
from cellwise.training.checkpoint import Checkpoints
from cellwise.training.optim import learning_rate, make_optimizer
from cellwise.training.patience import Patience
from cellwise.training.ranks import Ranks
from cellwise.training.seeds import reseed
from cellwise.training.selection import Selection
from cellwise.training.settings import OptimSettings
from cellwise.training.state import detached
from cellwise.training.stopping import Stop
from cellwise.training.tally import Row, Tally, require_finite

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
        steps_in_all: of the run, unless it stops early: for schedules that end with it, and for its last checkpoint.
        patience: validations in a row without improvement that end training; None: none do.
        non_finite: whether a loss that is lost ends the run.
        note: takes lines for the log.
        stop: whether the run was asked to stop.
        ranks: the processes of the run; all but the first have no checkpoints, and report nothing.
    """

    def __init__(
        self,
        task: Task,
        network: nn.Module,
        optim: OptimSettings,
        *,
        seed: int,
        report: Report = lambda row: None,
        selection: Selection,
        log_every_steps: int,
        checkpoints: Checkpoints | None = None,
        logged: Callable[[], int] = lambda: 0,
        steps_in_all: int = 1,
        patience: int | None = None,
        non_finite: Literal["stop", "go_on"] = "stop",
        note: Callable[[str], None] = lambda text: None,
        stop: Stop | None = None,
        ranks: Ranks | None = None,
    ):
        super().__init__()
        self.task, self.network, self.optim, self.seed = task, network, optim, seed
        self.report, self.selection, self.log_every_steps = report, selection, log_every_steps
        self.checkpoints, self._logged, self._note = checkpoints, logged, note
        self.steps_in_all, self.non_finite, self.stop = steps_in_all, non_finite, stop or Stop()
        self.ranks, self._weight = ranks or Ranks(), 0.0
        self.patience, self._plateau, self._reductions = Patience(patience), Patience(optim.plateau_patience), 0
        self.examples = 0
        self.train_seconds = 0.0
        self.validated_step = -1
        self.test_scores: dict[str, float] = {}
        self._carried: dict[Split, Any] = {}
        self._scores: Scores | None = None
        self._tally = Tally()
        self._started = 0.0
        self._epoch = 0  # of the last step; Lightning has counted on when training ends
        self._epoch_ended = True  # with the last step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser; the learning rate is set at each step."""
        return make_optimizer(self.optim, self.network.parameters())

    def on_train_start(self) -> None:
        """Train, unless the checkpoint is of a run whose patience is lost already."""
        self.trainer.should_stop = self.patience.is_lost()
        self.stop.listen()  # Lightning has put a handler before ours, which would end the run without a checkpoint
        self.stop.can_wait = True

    def on_validation_start(self) -> None:
        """Take the signals back from Lightning, which takes them anew for each fit, validation and test."""
        self.stop.listen()

    def on_test_start(self) -> None:
        """The same."""
        self.stop.listen()

    def on_train_epoch_start(self) -> None:
        """Begin the text anew; Lightning does not call this where an epoch goes on."""
        self._carried["train"] = None
        self._epoch = self.current_epoch

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Give this step its own learning rate and random numbers, whatever happened before it."""
        self._started = time.perf_counter()
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = learning_rate(
                self.optim,
                epoch=self._epoch,
                step=self.global_step,
                steps_in_all=self.steps_in_all,
                reductions=self._reductions,
            )
        reseed(self.seed, self.ranks.stream, self.global_step)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of one batch, carrying the state on."""
        learned = self.task.learn(self.network, batch, self._carried["train"])
        self._carried["train"] = detached(learned.state)
        self._tally.add(learned)
        self._weight = learned.examples if learned.weight is None else learned.weight
        return learned.loss

    def on_after_backward(self) -> None:
        """Learn what the other ranks learned, before gradients are clipped."""
        self.ranks.average(self.network.parameters(), self._weight)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Write a row when it is time."""
        self.train_seconds += time.perf_counter() - self._started
        self._epoch_ended = batch_idx + 1 == self.trainer.num_training_batches
        if self.global_step % self.log_every_steps == 0:
            self._write_row()
        if self._is_between_steps():
            self._save_when_due()

    def on_validation_batch_end(self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Stop if that was asked for: in the middle of a validation there is nothing to keep."""
        self.stop.check()

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
            "ranks": self.ranks.gathered(self._of_this_rank()),
            "examples": self.examples,
            "train_seconds": self.train_seconds,
            "validated_step": self.validated_step,
            "epoch": self._epoch,
            "selected": self.selection.state(),
            "waited": (self.patience.waited, self._plateau.waited, self._reductions),
            "logged": self._logged(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there."""
        kept = checkpoint["cellwise"]
        own = kept["ranks"][self.ranks.rank]
        self._carried["train"] = own["carried"]
        self._tally.load(own["tally"])
        self.examples, self.train_seconds = kept["examples"], kept["train_seconds"]
        self.validated_step, self._epoch = kept["validated_step"], kept["epoch"]
        self.selection.load(kept["selected"])
        self.patience.waited, self._plateau.waited, self._reductions = kept["waited"]

    def on_train_end(self) -> None:
        """Write the row of the steps since the last one."""
        self.stop.can_wait = False
        if self._tally.examples:
            self._write_row()
        self.stop.check()

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
        value = self.ranks.agreed(scores[self.task.objective.metric])
        improved = self.selection.offer(self.network, value, self.global_step)
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._hear(improved=improved)
        self.report({**self._place(), **{f"validation_{name}": value for name, value in scores.items()}})

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
        """Report the training steps since the last row; stop a run whose loss is lost.

        Rows hold sums over steps, in which one infinity or NaN stays: nothing need be looked at in between.
        """
        row, examples = self._tally.take(self.ranks.gathered)
        self.examples += examples
        rate: float = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.report({**self._place(), **row, "learning_rate": rate})
        if self.non_finite == "stop":
            require_finite(row, self.global_step)

    def _hear(self, *, improved: bool) -> None:
        """Follow a validation: the rate of a plateau, the end of a run whose patience is lost."""
        self._plateau.hear(improved=improved)
        if self._plateau.is_lost():
            self._plateau.waited, self._reductions = 0, self._reductions + 1
        self.patience.hear(improved=improved)
        if self.patience.is_lost():
            self.trainer.should_stop = True
            self._note(
                f"stops early at step {self.global_step}: {self.patience.waited} validations in a row no better than "
                f"{self.task.objective.metric} {self.selection.value:.5g} at step {self.selection.step}"
            )

    def _save_when_due(self) -> None:
        """Write a checkpoint if it is time for one, or the last moment; stop if that was asked for."""
        asked = self.stop.by
        last = asked is not None or self.global_step == self.steps_in_all
        due = self.checkpoints is not None and self.checkpoints.due(now=last)
        if self.ranks.agreed(due):
            if self.checkpoints is not None:
                self.checkpoints.save(self.trainer)
            else:
                self.ranks.gathered(self._of_this_rank())  # for rank 0, which writes it
            if asked is not None:
                self._note(f"stops at step {self.global_step} with a checkpoint: {asked.name}")
        if asked is not None:  # who asks from here on is heard after the next step
            self.stop.check()

    def _of_this_rank(self) -> dict[str, Any]:
        """Return what a checkpoint holds of each rank."""
        return {"carried": self._carried.get("train"), "tally": self._tally.state()}

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
            "examples": self.examples + sum(self.ranks.gathered(self._tally.examples)),
            "seconds": round(self.train_seconds, 3),
        }
