"""A GPU's loop over time, recorded once and replayed: Python launches a chunk of steps, not each product and graph.

Launched one by one, a step of two products and graphs takes tens of microseconds whatever its size, many times what a
GPU needs for it. A CUDA graph holds the launches of a chunk of steps, and the addresses that they read and write. So
what is recorded is a loop on buffers and weights of its own, a chunk long (`Loop.of_its_own`). To run a call, its
weights are copied there; then, chunk by chunk, what the steps read is copied in, the recording is replayed, and what
they have written is copied out: a step's rows pass through memory twice more, little beside its products. In return

* a recording belongs to no call. It is in use from one copy to the next, in the order of the stream; between a forward
  and its backward, other calls of the same kind use it. Where the tensors of a call lie does not matter.
* chunks are powers of two, so that calls of any number of steps share few recordings, and recording does not take
  longer for more steps.

Nothing here has been run on a GPU yet: none was at hand. What this file does is tested on a CPU, with a stand-in that
does a chunk's operators again on the same memory; `cuda_graphs`, which does so on a GPU, is read, not tested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor

from cellwise.recurrent.engines.fused.loop import Derivatives, Loop

LONGEST, SHORTEST = 64, 4
"""Steps of a recorded chunk. Copying takes a few launches a chunk: little for 64 steps, as many as under 4 take."""

_CHUNK_BYTES = 2**26
"""Of a chunk's buffers at most. Steps so large that four do not fit keep a GPU busy until the next is launched."""

_WEIGHT_BYTES = 2**28
"""Of the weights at most. To read more than that takes a GPU longer than to launch a step."""


class Recorder(Protocol):
    """What records loops on buffers that live as long as it does."""

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        """Return a call that does to memory what `run` does."""
        ...

    def turn(self) -> AbstractContextManager[None]:
        """Within, copies and replays come after those of other streams."""
        ...

    def wait(self) -> None:
        """Wait until nothing is replayed."""
        ...


class CannotRecordError(Exception):
    """Recording failed, before anything of the call was touched."""


class Replayed:
    """A loop of its own, as long as the longest chunk, and its recordings.

    Args:
        loop: of a call of the same kind.
        steps: of the longest chunk.
        recorder: for this loop alone.

    Raises:
        CannotRecordError: there is no memory for it.
    """

    def __init__(self, loop: Loop, steps: int, recorder: Recorder):
        self.recorder, self.bytes, self._steps = recorder, bytes_of(loop, steps), steps
        self._derivatives: Derivatives | None = None
        self._replays: dict[tuple[bool, int], Callable[[], None]] = {}
        with _recording():
            self._own = loop.of_its_own(steps)

    def run(self, loop: Loop, given: Derivatives | None) -> None:
        """Run all steps of a call.

        Raises:
            CannotRecordError: a chunk can't be recorded.
        """
        own, chunks = self._own, _chunks(loop.buffers.time, self._steps)
        with self.recorder.turn():
            with _recording():
                derivatives = None if given is None else self._derivatives_like(given)
                lengths = {last - first for first, last in chunks if last - first >= SHORTEST}
                replays = {steps: self._replay(steps, derivatives) for steps in sorted(lengths)}
            _copy(_of_call(own), _of_call(loop))
            for first, last in chunks if given is None else chunks[::-1]:
                steps = last - first
                if steps not in replays:
                    launch(loop, given, first, last)
                    continue
                _copy(_read(own, derivatives, 0, steps), _read(loop, given, first, last))
                replays[steps]()
                _copy(_written(loop, given, first, last), _written(own, derivatives, 0, steps))

    def _replay(self, steps: int, derivatives: Derivatives | None) -> Callable[[], None]:
        key = (derivatives is None, steps)
        if key not in self._replays:
            self._replays[key] = self.recorder.record(lambda: launch(self._own, derivatives, 0, steps))
        return self._replays[key]

    def _derivatives_like(self, given: Derivatives) -> Derivatives:
        if self._derivatives is None:
            d_output, running = given.d_output, given.running
            self._derivatives = Derivatives(
                d_output.new_zeros(self._steps, *d_output.shape[1:]),
                {name: torch.zeros_like(value) for name, value in running.items()},
            )
        return self._derivatives


@contextmanager
def _recording() -> Iterator[None]:
    """Turn whatever fails within, a kernel that waits, a full memory, a driver, into one error."""
    try:
        with torch.inference_mode(False):  # whose tensors could not be written into outside of it
            yield
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        raise CannotRecordError(f"{type(error).__name__}: {line}") from error


def bytes_of(loop: Loop, steps: int) -> int:
    """Return the bytes that a loop of its own, so many steps long, takes, like this one."""
    return steps * _bytes_of_step(loop) + sum(value.nbytes for value in _of_call(loop))


def _bytes_of_step(loop: Loop) -> int:
    return sum(value[0].nbytes for value in loop.buffers.over_time.values())


def most_steps(loop: Loop) -> int:
    """Return the steps of the longest chunk, a power of two; 0 where chunks are of no use."""
    if sum(product.weight.nbytes for product in loop.products.values()) > _WEIGHT_BYTES:
        return 0
    steps = LONGEST
    while steps and steps * _bytes_of_step(loop) > _CHUNK_BYTES:
        steps //= 2
    return steps


def _chunks(time: int, longest: int) -> list[tuple[int, int]]:
    """First and last (excluded) step of each chunk: the longest first, then one of each shorter length that fits.

    What is left, fewer steps than the shortest, is a chunk as it is.
    """
    found, first, steps = list[tuple[int, int]](), 0, longest
    while time - first >= SHORTEST:
        if steps <= time - first:
            found.append((first, first + steps))
            first += steps
        else:
            steps //= 2
    return [*found, (first, time)] if first < time else found


def launch(loop: Loop, given: Derivatives | None, first: int, last: int) -> None:
    """Run steps as they are, forward, or back where `given` is."""
    if given is None:
        loop.forward(first, last)
    else:
        loop.backward(first, last, given)


def _of_call(loop: Loop) -> list[Tensor]:
    """What all steps read: constants and weights."""
    return [*loop.buffers.constants.values(), *(product.weight for product in loop.products.values())]


def _read(loop: Loop, given: Derivatives | None, first: int, last: int) -> list[Tensor]:
    """What steps read that is not the same for all."""
    over_time, before = loop.buffers.over_time, [*loop.before(first).values()]
    if given is None:
        return [value[first:last] for name, value in over_time.items() if _is_given(name)] + before
    kept = [value[first:last] for name, value in over_time.items() if name != "output"]
    return [*kept, *before, given.d_output[first:last], *given.running.values()]


def _written(loop: Loop, given: Derivatives | None, first: int, last: int) -> list[Tensor]:
    """What steps write that is read later."""
    over_time = loop.buffers.over_time
    if given is None:
        return [value[first:last] for name, value in over_time.items() if name == "share" or not _is_given(name)]
    derived = [value[first:last] for name, value in over_time.items() if name.partition(":")[0] in ("share", "result")]
    return [*derived, *given.running.values()]


def _is_given(name: str) -> bool:
    """Whether a buffer over time is filled before the loop."""
    return name.partition(":")[0] in ("share", "kept", "valid", "reset")


def _copy(to: Sequence[Tensor], of: Sequence[Tensor]) -> None:
    """Copy tensors into others, those of one dtype in one launch."""
    pairs = list(zip(to, of, strict=True))
    for dtype in dict.fromkeys(value.dtype for value in to):
        places, values = zip(*((a, b) for a, b in pairs if a.dtype == dtype), strict=True)
        torch._foreach_copy_(list(places), list(values))
