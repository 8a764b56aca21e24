"""Random streams: each a pure function of the run's seed, the stream's name and the step.

So initialisation, dropout and data order do not disturb each other, every cell of a comparison sees the same data
in the same order, and step n draws the same numbers whether or not the run was interrupted before it.
"""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, stream: str, step: int = 0) -> int:
    """Return a 63-bit seed for one step of one stream."""
    digest = hashlib.sha256(f"{seed}/{stream}/{step}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def reseed(seed: int, stream: str, step: int = 0) -> None:
    """Seed torch's generators for one step of one stream."""
    value = derive(seed, stream, step)
    # Not torch.manual_seed: that costs 300 us a call (it also asks about devices that are not there).
    torch.default_generator.manual_seed(value)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(value)
