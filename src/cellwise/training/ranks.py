"""The processes of one run, its ranks: each learns from its share of every batch, and all take the same step.

Data parallel training (Li et al. 2020, arXiv 2006.15704) by torch.distributed's collectives: over gloo on CPUs, and
for gradients on GPUs over nccl.

Differences: torch's `DistributedDataParallel` takes the mean of the ranks' gradients, which is that of the whole batch
only where shares are equal; here each counts by what its loss is a mean over. It also sums in an order that follows the
first step after a start, so that three or more ranks would not go on to the same bits. Lightning's strategy broadcasts
within its handler of SIGTERM, where the other ranks do not listen. What it would gain, exchange during the backward
pass, is little for networks of this size. Buffers stay each rank's own; no network here has any.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning_fabric.utilities import move_data_to_device
from torch import nn

T = TypeVar("T")


class Ranks:
    """This process's place among the ranks of its run; each method is called by all of them at the same point.

    Args:
        rank: its number; 0 writes the record, and decides.
        of: how many there are; 1: nothing is exchanged.

    Attributes:
        stream: the name of the random stream of this rank's steps.
    """

    def __init__(self, rank: int = 0, of: int = 1):
        self.rank, self.of = rank, of
        self.stream = f"step/rank-{rank}" if rank else "step"

    def join(self, store: Any, accelerator: str) -> None:
        """Meet the others, who all come to the same store of torch's."""
        backend = "cpu:gloo,cuda:nccl" if accelerator == "gpu" else "gloo"
        dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.of)

    def average(self, parameters: Iterable[nn.Parameter], weight: float) -> None:
        """Give each parameter its gradient of the whole batch, from every rank's of its share.

        Args:
            parameters: of the network; one without a gradient counts as zero.
            weight: of how many this rank's loss is the mean.
        """
        if self.of == 1:
            return
        learning = [p for p in parameters if p.requires_grad]
        parts = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in learning]
        flat = torch.cat([*parts, parts[0].new_ones(1)]) * weight
        dist.all_reduce(flat)
        flat = flat[:-1] / torch.where(flat[-1] > 0, flat[-1], 1.0)  # no rank may have anything to learn from
        for parameter, gradient in zip(learning, torch.split(flat, [p.numel() for p in learning]), strict=True):
            parameter.grad = gradient.view_as(parameter)

    def agreed(self, value: float) -> float:
        """Return rank 0's value."""
        if self.of == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64)
        dist.broadcast(told, 0)
        return told.item()

    def gathered(self, own: T) -> list[T]:
        """Return what each rank has, in their order."""
        if self.of == 1:
            return [own]
        found: list[Any] = [None] * self.of
        dist.all_gather_object(found, move_data_to_device(own, "cpu"))  # a GPU of another rank's is none of this one's
        return found
