"""What this process runs on: how many cores it may use, and which machine it is."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


def cores() -> int:
    """Return how many cores this process may use: a cluster's job has fewer than its machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def machine() -> str:
    """Return what tells this machine from others, and from itself before it was started anew."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()} {boot}".strip()
