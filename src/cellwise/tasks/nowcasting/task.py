"""Precipitation nowcasting as a task: from the last frames of a radar, or of moving digits, the next ones.

Protocol of Shi et al. 2015, arXiv 1506.04214: the network sees `in_steps` frames and forecasts `lead_steps`. It is
scored in the data's own unit, on observed pixels alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
from torch import Tensor, nn

from cellwise.cells.contract import Cell
from cellwise.data.loader import SequentialLoader
from cellwise.data.shuffled import Batches, ShuffledLoader
from cellwise.records.schema import View
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.tasks.contract import Learned, Probed, Split, Task
from cellwise.tasks.nowcasting import views
from cellwise.tasks.nowcasting.data_settings import DataSettings, Radar, build_sequences
from cellwise.tasks.nowcasting.floors import floors_of
from cellwise.tasks.nowcasting.frames import Batch, Sequences
from cellwise.tasks.nowcasting.losses import activated, lost
from cellwise.tasks.nowcasting.metrics.verification import Verification
from cellwise.tasks.nowcasting.network import Forecaster, build_network
from cellwise.tasks.nowcasting.scores import FrameScores, verified_floor
from cellwise.tasks.nowcasting.settings import NowcastingSettings, frame_size, objective_of, require_alike

_PROBED_SEQUENCES = 4


def build(settings: NowcastingSettings) -> NowcastingTask:
    """Return the task with its frames at hand.

    Raises:
        CellwiseError: data that are missing, altered or too few.
    """
    return NowcastingTask(settings, build_sequences(settings.data, settings.seed, settings.data_dir))


class NowcastingTask(Task):
    """Nowcasting on one source of frames.

    Args:
        settings: checked.
        sequences: of each split.
    """

    name = "nowcasting"
    examples = "frames"

    def __init__(self, settings: NowcastingSettings, sequences: Mapping[Split, Sequences]):
        self.settings, self.sequences = settings, sequences
        self.field = sequences["train"].field
        self.objective = objective_of(settings.task, rain=self.field.unit == "mm/h")
        self._floors: dict[str, Verification] | None = None
        self.checksums = {_called(settings.data, split): sequences[split].sha256() for split in get_args(Split)}
        self.remarks = tuple(dict.fromkeys(line for split in get_args(Split) for line in sequences[split].remarks))

    def network(self, cell: Cell, engine: str) -> Forecaster:
        """Return a new network, around a cell but for a cnn."""
        data = self.settings.data
        return build_network(
            cell,
            self.settings.network,
            frame=frame_size(data),
            in_steps=data.in_steps,
            lead=data.lead_steps,
            engine=engine,
        )

    def recurrent_layers(self, network: nn.Module) -> Sequence[Recurrent | ConvRecurrent]:
        """Return the encoder's layers, then the forecaster's; a cnn has none."""
        assert isinstance(network, Forecaster)
        return network.recurrent_layers()

    def loader(self, split: Split) -> SequentialLoader[Batch]:
        """Return the batches of a split: train in a new order each epoch, and anew where it is drawn."""
        task, sequences = self.settings.task, self.sequences[split]
        if split == "train":
            return ShuffledLoader(sequences, task.batch_size, self.settings.seed, endless=True)
        return SequentialLoader(Batches(sequences, task.eval_batch_size))

    def learn(self, network: nn.Module, batch: Batch, state: None) -> Learned:
        """Return the loss of one batch: the mean over observed pixels."""
        inputs, observed, *_ = batch
        name = self.settings.loss
        found = lost(name, network(inputs), observed, self.field)
        count, frames = found.pixels, (len(inputs) + len(observed)) * inputs.shape[1]
        logged = (found.of_pixel.detach().double().sum(), max(count, 1))
        return Learned(found.mean(), {f"{name}_pixel": logged}, frames, None, count)

    def forecast(self, network: nn.Module, inputs: Tensor) -> Tensor:
        """Return what a network forecasts, in the data's unit, (lead, batch, 1, height, width)."""
        return self.field.to_unit(activated(self.settings.loss, network(inputs)))

    def probed(self) -> Probed:
        """Return the first sequences of validation; few, because each pixel is a row of the cell."""
        valid = self.sequences["valid"]
        return Probed(valid[np.arange(min(len(valid), _PROBED_SEQUENCES))])

    def last_loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the loss of each sequence's last frame, (batch,)."""
        inputs, observed, *_ = batch
        found = lost(self.settings.loss, network(inputs)[-1:], observed[-1:], self.field)
        pixels = found.there.flatten(2).sum(-1)[0]
        return found.of_pixel.flatten(2).sum(-1)[0] / pixels.clamp(min=1)

    def scores(self) -> FrameScores:
        """Return empty scores for one pass over a split."""
        return FrameScores(self.field, self.forecast)

    def floors(self) -> dict[str, float]:
        """Return the objective of nothing at all, of persistence and, of rain, of Lagrangian persistence."""
        return {name: found.pooled()[self.objective.metric] for name, found in self.verified_floors().items()}

    def verified_floors(self) -> dict[str, Verification]:
        """Return all scores of the floors on the test sequences, by name; computed once."""
        if self._floors is None:
            floors = floors_of(self.sequences["test"])
            self._floors = {
                name: verified_floor(floor, self.loader("test"), self.field) for name, floor in floors.items()
            }
        return self._floors

    def on_other_data(self, settings: NowcastingSettings, split: Split) -> NowcastingTask:
        """Return this task with a split of other frames as its test split.

        Raises:
            CellwiseError: frames of another kind, number or size than the network can take.
        """
        require_alike(self.settings, settings)
        other = build_sequences(settings.data, settings.seed, settings.data_dir)[split]
        task = NowcastingTask(dataclasses.replace(self.settings, data=settings.data), {**self.sequences, "test": other})
        task.checksums = {_called(settings.data, split): other.sha256()}
        task.remarks = (f"{len(other):,} sequences of {split}", *other.remarks)
        return task

    def views(self, network: nn.Module) -> list[View]:
        """Return skill against lead time, spectra, and a film of the test sequence in which most happens."""
        like, scores = next(network.parameters()), self.scores()
        most, shown = -1.0, None
        for batch in self.loader("test"):
            forecast = self.forecast(network, batch.inputs.to(like)).cpu()
            scores.verification.add(forecast, batch.observed, batch.event)
            sums = batch.observed.nan_to_num().flatten(2).sum((0, 2))
            if float(sums.max()) > most:
                row = int(sums.argmax())
                most, shown = float(sums.max()), (batch.observed[:, row], forecast[:, row])
        assert shown is not None
        skill = views.skill_views(scores.verification, self.verified_floors(), self.field)
        data = self.settings.data
        redistributable = data.redistributable if isinstance(data, Radar) else True
        return [*skill, views.film(*shown, self.field, redistributable=redistributable)]


def _called(data: DataSettings, split: Split) -> str:
    """What a split's data are called in the record: of radar by its hours, which tell folds of one archive apart."""
    hours = f" of {', '.join(getattr(data, split)[:2])}" if isinstance(data, Radar) else ""
    return f"{data.name}/{split}{hours}"
