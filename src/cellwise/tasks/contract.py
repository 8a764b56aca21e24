"""What a task gives to training: data, network, loss, scores, floors and views; never a training loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from cellwise.cells.contract import Cell
from cellwise.data.loader import SequentialLoader
from cellwise.errors import CellwiseError
from cellwise.records.schema import View
from cellwise.recurrent.layer import ConvRecurrent, Recurrent
from cellwise.tasks.objective import Objective

Split = Literal["train", "valid", "test"]


class Learned(NamedTuple):
    """One training step.

    Attributes:
        loss: what the optimiser minimises, scalar.
        sums: by name with its unit, a detached sum over examples and their number; logged as `train_<name>`.
        examples: how many units of throughput (tokens, frames) the step saw.
        state: carried to the next batch of this split; detached by training.
        weight: of how many the loss is the mean, so that a batch's is the weighted mean of its shares'; None: examples.
    """

    loss: Tensor
    sums: Mapping[str, tuple[Tensor, int]]
    examples: int
    state: Any
    weight: float | None = None


class Probed(NamedTuple):
    """What probes look at again and again while a cell trains.

    Attributes:
        batch: of validation, always the same.
        tokens: what the recurrent layer reads of the batch's first row, a word a step; empty where steps are only
            counted.
        redistributable: whether the tokens may be passed on.
    """

    batch: Any
    tokens: tuple[str, ...] = ()
    redistributable: bool = True


class Scores(ABC):
    """Test or validation scores of one pass: sums over examples, divided at the end, in float64."""

    @abstractmethod
    def update(self, network: nn.Module, batch: Any, state: Any) -> Any:
        """Score one batch and return the state to carry to the next."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Return all scores, units in their names; one of them is the objective's metric."""


class Task(ABC):
    """A problem with its data loaded.

    Attributes:
        name: the task's folder.
        objective: what it is judged by; its settings' `objective` says the same without torch.
        examples: the unit of throughput, plural (`tokens`).
        checksums: sha256 of each source of data, by name.
        remarks: what whoever reads the scores must know of the data, a line each.
    """

    name: str
    objective: Objective
    examples: str
    checksums: Mapping[str, str]
    remarks: Sequence[str] = ()

    @abstractmethod
    def network(self, cell: Cell, engine: str) -> nn.Module:
        """Return a new network around a cell, initialised from torch's default generator."""

    @abstractmethod
    def recurrent_layers(self, network: nn.Module) -> Sequence[Recurrent | ConvRecurrent]:
        """Return the recurrent layers of a network, which budgets count."""

    @abstractmethod
    def loader(self, split: Split) -> SequentialLoader[Any]:
        """Return the batches of a split, in order."""

    @abstractmethod
    def learn(self, network: nn.Module, batch: Any, state: Any) -> Learned:
        """Return the loss of one batch."""

    @abstractmethod
    def scores(self) -> Scores:
        """Return empty scores for one pass over a split."""

    @abstractmethod
    def floors(self) -> dict[str, float]:
        """Return trivial answers' value of the objective on the same test examples, by name."""

    def optimum(self) -> float | None:
        """Return the best possible value of the objective on the test examples, where it is known."""
        return None

    @abstractmethod
    def on_other_data(self, settings: Any, split: Split) -> Task:
        """Return this problem with a split of other data as its test split.

        What was fitted on train (vocabulary, scalers, floors) stays; `checksums` are the other data's.

        Args:
            settings: as `read_task` gives them, where only data and sizes of evaluation differ from this task's.
            split: of the other data.

        Raises:
            CellwiseError: data that are missing, altered, too short, or that the network can't take.
        """

    @abstractmethod
    def views(self, network: nn.Module) -> list[View]:
        """Return the evidence to look at, made from the trained network and the test split."""

    def results(self, network: nn.Module) -> bytes:
        """Return the trained network's answers to the test split, as the file that the task's official judge takes.

        Raises:
            CellwiseError: a task that has no such file.
        """
        raise CellwiseError(f"task={self.name} has no official file of answers; task=vqa has one")

    def probed(self) -> Probed:
        """Return what probes look at; some rows are enough, and few are cheap. The first batch of validation."""
        return Probed(next(iter(self.loader("valid"))))

    def last_loss(self, network: nn.Module, batch: Any) -> Tensor:
        """Return the loss of each row's last prediction alone, (batch,), starting from the initial state.

        Where a row has several predictions, a task must say so itself, or later losses blur how far back one of them
        reaches. Here it is the training loss of the batch, one number, which is right but for a factor where each row
        has one prediction.
        """
        return self.learn(network, batch, None).loss
