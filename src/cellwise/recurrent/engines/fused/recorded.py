"""Which loops over time are recorded on a GPU, once for each kind of call, and how much memory they may take.

A call of a kind that was recorded is replayed (`replayed`), one that is not to be, or can't be, is launched step by
step. Nothing here has been run on a GPU yet: none was at hand.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock

import torch

from cellwise.recurrent.engines.fused.cuda_graphs import CudaGraphs
from cellwise.recurrent.engines.fused.loop import Derivatives, Loop
from cellwise.recurrent.engines.fused.replayed import (
    SHORTEST,
    CannotRecordError,
    Recorder,
    Replayed,
    bytes_of,
    launch,
    most_steps,
)

_ROOM_BYTES = 2**30
"""Of the buffers and weights of all recorded loops."""

_IDLE_RUNS = 1000
"""Runs of others after which a recorded loop makes room for a new one. Dropped sooner, kinds of calls that take turns
would be recorded again at every call; a new one that finds no room is launched step by step instead."""

Make = Callable[[torch.device], Recorder]


def run(loop: Loop, given: Derivatives | None = None) -> None:
    """Run all steps of a call, from recordings where they are of use.

    Args:
        loop: of the call.
        given: for the way back; None for the way forward.
    """
    time, device = loop.buffers.time, loop.buffers.over_time["share"].device
    make = _choose(device) if time >= SHORTEST else None
    if make is None:
        launch(loop, given, 0, time)
        return
    with _lock:
        if not _replayed(loop, given, make):
            launch(loop, given, 0, time)


def where_of_use(device: torch.device) -> Make | None:
    """Return what records on a device, if it has launches; not while the caller records, whose graph has the loop then.

    `CELLWISE_CUDA_GRAPHS=0` in the environment says no.
    """
    if device.type != "cuda" or not _wanted:
        return None
    with torch.cuda.device(device):
        return None if torch.cuda.is_current_stream_capturing() else CudaGraphs


@contextmanager
def recording(make: Make | None) -> Iterator[None]:
    """Record with this within, on any device, or, if None, don't: for tests, and for who compares times."""
    global _choose
    before, kept = _choose, dict(_loops)

    def always(device: torch.device) -> Make | None:
        return make

    _choose = always
    _loops.clear()
    try:
        yield
    finally:
        _choose = before
        _loops.clear()
        _loops.update(kept)


_wanted = os.environ.get("CELLWISE_CUDA_GRAPHS", "1") != "0"
_choose: Callable[[torch.device], Make | None] = where_of_use
_lock = RLock()  # the way back runs in a thread of autograd's
_loops: OrderedDict[Hashable, _Kept] = OrderedDict()  # used last: last
_runs = itertools.count()


@dataclass
class _Kept:
    """What there is of a kind of call: its recorded loop, None where recording failed, and the last run to use it."""

    loop: Replayed | None
    used: int = 0


def _replayed(loop: Loop, given: Derivatives | None, make: Make) -> bool:
    """Run all steps from recordings; False if they can't be, and nothing has been touched."""
    device = loop.buffers.over_time["share"].device
    kind = (loop.kind, device, *_arithmetic())
    try:
        if kind not in _loops:
            steps = most_steps(loop)
            if steps < SHORTEST or not _room(bytes_of(loop, steps)):
                return False
            _loops[kind] = _Kept(Replayed(loop, steps, make(device)))
        kept = _loops[kind]
        _loops.move_to_end(kind)
        kept.used = next(_runs)
        if kept.loop is not None:
            kept.loop.run(loop, given)
    except CannotRecordError as error:
        _say(str(error))
        _loops[kind] = _Kept(None)
    return _loops[kind].loop is not None


def _room(more: int) -> bool:
    """Whether there is room for so many bytes more, after those that have not been used for long are dropped."""
    total = more + sum(kept.loop.bytes for kept in _loops.values() if kept.loop is not None)
    now = next(_runs)
    for kind, kept in list(_loops.items()):
        if total <= _ROOM_BYTES or now - kept.used <= _IDLE_RUNS:
            break
        if kept.loop is not None:
            kept.loop.recorder.wait()
            total -= kept.loop.bytes
        del _loops[kind]
    return total <= _ROOM_BYTES


def _arithmetic() -> tuple[Hashable, ...]:
    """What is set of how torch computes, which a recording keeps as it was."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    return (
        products.fp32_precision,
        products.allow_bf16_reduced_precision_reduction,
        products.allow_fp16_reduced_precision_reduction,
        convolutions.conv.fp32_precision,  # type: ignore[attr-defined]
        convolutions.enabled,
        convolutions.benchmark,
        convolutions.deterministic,
        torch.are_deterministic_algorithms_enabled(),
    )


def _say(why: str) -> None:
    global _said
    if not _said:
        _said = True
        warnings.warn(
            f"CUDA graphs can't be recorded here ({why[:160]}): the fused engine launches step by step, which is "
            "slower and gives the same; CELLWISE_CUDA_GRAPHS=0 does so without trying",
            stacklevel=2,
        )


_said = False
