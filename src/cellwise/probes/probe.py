"""Looks inside a cell while it trains, and changes nothing of the run: weights, rows and scores stay what they were.

`light` counts the gates' values before training steps 0, 1, 2, 3, 4, 6, 8, 12, 16, ... and after the last; before the
first and after the last step it also takes half-lives, gradients against lag, and at the end gates and states along one
sequence. `full` adds the step's Jacobian, which alone costs seconds. The steps do not depend on how many there are, so
a run that is extended has the views of one that was trained as long from the start. They are about two for each
doubling of the steps taken. The end is that of training, not the weights that validation selected.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from cellwise.probes import Level, along, gates, memory, spectrum
from cellwise.probes.insides import Insides, at_rest, look, places
from cellwise.records.schema import View
from cellwise.tasks.contract import Probed, Task

Measured = dict[str, Tensor]


def is_moment(step: int) -> bool:
    """Whether gates are counted before this training step: 0, powers of two, and those times one and a half."""
    halved = step
    while halved > 3 and halved % 2 == 0:
        halved //= 2
    return halved in (0, 1, 2, 3)


class Probe(pl.Callback):
    """The probe of one run.

    Args:
        level: how closely it looks; `off` on every rank but the first.
        task: gives the batch and the loss that are looked at.
        network: what is trained.
        note: takes lines for the log.

    Attributes:
        seconds: spent looking.
    """

    def __init__(self, level: Level, task: Task, network: nn.Module, note: Callable[[str], None] = lambda text: None):
        self.level, self.seconds = level, 0.0
        self._task, self._network, self._note = task, network, note
        self._probed: Probed | None = None
        self._moments: dict[int, Measured] = {}
        self._end: tuple[int, Measured] | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Look, where this step is a moment to do so; before the step's own clock and random numbers start."""
        if self.level != "off" and is_moment(trainer.global_step):
            self._moments[trainer.global_step] = self._measured(trainer, first=trainer.global_step == 0)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look for the last time."""
        if self.level != "off":
            self._end = trainer.global_step, self._measured(trainer, last=True)

    def state_dict(self) -> dict[str, Any]:
        """Return what was seen so far, for a checkpoint."""
        return {"level": self.level, "moments": {step: dict(seen) for step, seen in self._moments.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned; what was not looked at from the start is not looked at."""
        if self.level not in ("off", state_dict["level"]):
            self._note(
                f"probe={self.level} has no effect: the run began with probe={state_dict['level']}; again=true starts "
                "over"
            )
            self.level = "off"
        self._moments = {step: dict(seen) for step, seen in state_dict["moments"].items()}

    def views(self) -> list[View]:
        """Return what was seen; nothing where training has not ended."""
        if self.level == "off" or self._end is None:
            return []
        step, end = self._end
        names, start = places(self._task.recurrent_layers(self._network)), self._moments[0]
        return [
            *gates.views({**self._moments, step: end}, end, names),
            *memory.views(start, end, names),
            *along.views(end, self._looked_at(), names),
            *spectrum.views(start, end, names),
        ]

    def _measured(self, trainer: pl.Trainer, *, first: bool = False, last: bool = False) -> Measured:
        """What is seen now of the probed batch."""
        started = time.perf_counter()
        batch = trainer.precision_plugin.convert_input(self._looked_at().batch)
        batch = trainer.strategy.batch_to_device(batch)
        layers = self._task.recurrent_layers(self._network)
        with at_rest(self._network), torch.set_grad_enabled(first or last):
            loss, seen = look(layers, lambda: self._task.last_loss(self._network, batch))
            found = {} if not (first or last) else memory.gradients(loss, seen)
            for insides in seen:
                found |= self._of_one(insides, first=first, last=last)
        self.seconds += time.perf_counter() - started
        return found

    def _looked_at(self) -> Probed:
        """The same at every moment, and made once."""
        if self._probed is None:
            self._probed = self._task.probed()
        return self._probed

    def _of_one(self, insides: Insides, *, first: bool, last: bool) -> Measured:
        found: Measured = {}
        if (first or last) and self.level == "full":
            found |= spectrum.spectrum(insides)
        with torch.no_grad():
            found |= gates.count(insides)
            if first or last:
                found |= memory.log_kept(insides)
            if last:
                found |= gates.saturation(insides) | along.along(insides)
        return found
