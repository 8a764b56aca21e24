"""How much memory runs hold, and how much the machine has left: a run that takes all takes the others with it."""

from __future__ import annotations

from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")
_CGROUPS = (  # version 2, version 1: folder, limit, taken, and what of memory.stat can be dropped
    ("", "memory.max", "memory.current", "inactive_file"),
    ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
_GIB = 2**30


def held_bytes(pid: int) -> int:
    """Return what a process and all that it started hold, resident; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    return sum(map(_resident, family))


def left_bytes() -> int:
    """Return how much more memory can be taken here: of the machine, or of the container this runs in."""
    left = psutil.virtual_memory().available
    in_container = _left_in_cgroup()
    return left if in_container is None else min(left, in_container)


def least_left_bytes() -> int:
    """Return how little may be left before a run has to go: 2 % of the machine, at most 1 GiB."""
    return min(psutil.virtual_memory().total // 50, _GIB)


def gib(size: float) -> str:
    """Return a size for people: `1.5 GiB`."""
    return f"{size / _GIB:.1f} GiB"


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _left_in_cgroup() -> int | None:
    """What a container's limit leaves, files that can be dropped from memory not counted as taken."""
    for folder, limit, taken, droppable in _CGROUPS:
        try:
            most = (_CGROUP / folder / limit).read_text(encoding="ascii").strip()
            now = int((_CGROUP / folder / taken).read_text(encoding="ascii"))
            lines = (_CGROUP / folder / "memory.stat").read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):
            continue
        if most.isdecimal():  # "max": no limit
            return int(most) - now + int(dict(line.split() for line in lines).get(droppable, 0))
    return None
