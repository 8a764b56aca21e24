"""Which GPUs a sweep shares out, without importing torch: that would take a second, and CUDA's memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence


def visible_gpus() -> list[str]:
    """Return what CUDA_VISIBLE_DEVICES may say of one GPU each; none where there is no NVIDIA GPU."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [name.strip() for name in told.split(",") if name.strip()]
    try:
        done = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number, line in enumerate(done.stdout.splitlines()) if line.startswith("GPU ")]


def only_gpus(gpus: Sequence[str], place: int, devices: int) -> dict[str, str]:
    """Return what to set for a run to see the GPUs of its place alone; nothing where there are none.

    Args:
        gpus: all that are shared out.
        place: of the run, from 0 on; after the last GPUs come the first ones again.
        devices: how many the run has.
    """
    if not gpus:
        return {}
    own = [gpus[number % len(gpus)] for number in range(place * devices, (place + 1) * devices)]
    return {"CUDA_VISIBLE_DEVICES": ",".join(dict.fromkeys(own))}
