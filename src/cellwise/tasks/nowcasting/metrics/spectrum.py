"""How much of what is small is left: the radially averaged power spectrum of a frame.

Source: Ruzanski and Chandrasekar 2011 (doi 10.1175/JAMC-D-11-051.1), as pysteps computes it: |FFT|^2 / pixels, averaged
over all wave numbers whose distance from 0 rounds to the same whole number k. A wave of number k is L / k pixels long,
L being the longer side of the frame.
"""

from __future__ import annotations

import torch
from torch import Tensor


def wave_numbers(height: int, width: int) -> int:
    """Return how many wave numbers the spectrum of a frame has, 0 among them."""
    return (max(height, width) + 1) // 2


def power_spectrum(frames: Tensor) -> Tensor:
    """Return the spectrum of each frame, float64 (frames, wave numbers); frames (frames, height, width), no NaN."""
    height, width = frames.shape[-2:]
    power = torch.fft.fft2(frames.double()).abs().square() / (height * width)
    rows, columns = (torch.fft.fftfreq(n, 1 / n, dtype=torch.float64, device=frames.device) for n in (height, width))
    ring = torch.hypot(rows[:, None], columns[None, :]).round().long().flatten()
    count = wave_numbers(height, width)
    inside = ring < count  # the corners of the plane are beyond the last ring
    summed = power.new_zeros(len(frames), count).index_add_(1, ring[inside], power.flatten(1)[:, inside])
    mean: Tensor = summed / torch.bincount(ring[inside], minlength=count)
    return mean
