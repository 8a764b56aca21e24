"""CUDA graphs as the recorder of `recorded`.

This file has not been run on a GPU yet: none was at hand. It follows the rules of torch's documentation ("CUDA
semantics", "CUDA graphs"): a warm-up on a side stream, then the capture on the same stream, so that cuBLAS has the
workspace that the graph will go on using. Compilation and Triton's choice among its variants fall into the warm-up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch


class CudaGraphs:
    """The graphs of one loop on one device; what they make and drop within shares one pool of memory.

    Args:
        device: of CUDA, with its number.
    """

    def __init__(self, device: torch.device):
        self._device, self._pool = device, torch.cuda.graph_pool_handle()

    def record(self, run: Callable[[], None]) -> Callable[[], None]:
        """Return a call that does on the GPU what `run` does, with the same memory.

        Args:
            run: only launches, of a fixed course; it is called twice.

        Raises:
            RuntimeError: something in it can't be captured.
        """
        current, side = torch.cuda.current_stream(), _side_stream(self._device)
        side.wait_stream(current)
        with torch.cuda.stream(side):
            run()
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Other threads, a loader's that pins memory for one, may go on with what a capture does not allow.
        with torch.cuda.graph(graph, pool=self._pool, stream=side, capture_error_mode="thread_local"):
            run()
        return graph.replay

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Within, the current stream comes after whatever was replayed on this device before, on whichever stream.

        All graphs of a device share cuBLAS's workspace, and those of one loop its buffers.
        """
        with torch.cuda.device(self._device):
            stream, done = torch.cuda.current_stream(), _done(self._device)
            stream.wait_event(done)
            try:
                yield
            finally:
                done.record(stream)

    def wait(self) -> None:
        """Wait until nothing is replayed any more: then buffers may be dropped."""
        torch.cuda.synchronize(self._device)


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@cache
def _done(device: torch.device) -> torch.cuda.Event:
    return torch.cuda.Event()  # type: ignore[no-untyped-call]
