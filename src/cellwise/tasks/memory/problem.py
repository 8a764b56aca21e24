"""What memory problems share: sequences drawn by split, a network with one recurrent stack, no carried state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol, get_args

import numpy as np
import torch
from torch import Tensor, nn

from cellwise.cells.contract import Cell
from cellwise.data.loader import SequentialLoader
from cellwise.data.shuffled import Batches, Rows, ShuffledLoader
from cellwise.network.sequence_model import SequenceModel
from cellwise.recurrent.layer import Recurrent
from cellwise.tasks.contract import Probed, Split, Task
from cellwise.tasks.memory.settings import INPUT_SIZES, MemorySettings

Batch = tuple[Tensor, Tensor]


_PROBED_SEQUENCES = 20


class Drawn(Protocol):
    """The sequences of a split: any of them as a batch of inputs (time, batch, features) and targets."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows, /) -> Batch: ...

    def sha256(self) -> str:
        """Return the checksum of what was drawn."""
        ...


class Problem(Task):
    """A memory problem with its sequences drawn.

    Args:
        settings: checked.
        drawn: the sequences of each split.
        output_size: numbers of an answer, or logits.
        per_step: whether every step is answered, not the last alone.
    """

    name = "memory"
    examples = "sequences"

    def __init__(
        self,
        settings: MemorySettings,
        drawn: Mapping[Split, Drawn],
        *,
        output_size: int,
        per_step: bool,
    ):
        self.settings, self._drawn = settings, drawn
        self._output_size, self._per_step = output_size, per_step
        problem = settings.task.problem
        self.checksums = {f"{problem}/{split}": drawn[split].sha256() for split in get_args(Split)}

    def network(self, cell: Cell, engine: str) -> SequenceModel:
        """Return a new network around a cell."""
        return SequenceModel(
            cell,
            INPUT_SIZES[self.settings.task.problem],
            self._output_size,
            self.settings.network,
            engine=engine,
            per_step=self._per_step,
        )

    def recurrent_layers(self, network: nn.Module) -> Sequence[Recurrent]:
        """Return the network's one recurrent stack."""
        assert isinstance(network, SequenceModel)
        return [network.recurrent]

    def loader(self, split: Split) -> SequentialLoader[Batch]:
        """Return the batches of a split: train in a new order each epoch, the others as they were drawn."""
        task = self.settings.task
        if split == "train":
            return ShuffledLoader(self._drawn[split], task.batch_size, self.settings.order_seed)
        return SequentialLoader(Batches(self._drawn[split], task.eval_batch_size))

    def probed(self) -> Probed:
        """Return the first sequences of validation."""
        valid = self._drawn["valid"]
        return Probed(valid[np.arange(min(len(valid), _PROBED_SEQUENCES))])

    def answers(self, network: nn.Module, split: Split) -> Tensor:
        """Return the network's outputs on a split, in the order in which it was drawn, float64 on the CPU.

        Shape: (sequences, output), or (time, sequences, output) where every step is answered.
        """
        like = next(network.parameters())
        found = [network(inputs.to(like))[0].double().cpu() for inputs, _ in self.loader(split)]
        return torch.cat(found, dim=-2)

    @abstractmethod
    def optimum(self) -> float:
        """Return the best possible value of the objective; a drawn problem always knows it."""
