"""Which GPUs a sweep shares out, without importing torch: that would take a second, and CUDA's memory."""

from __future__ import annotations

import os
import subprocess


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
