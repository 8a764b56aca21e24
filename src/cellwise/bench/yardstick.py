"""What no engine can pass on this machine: GFLOP/s of one large product, by how it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cellwise.bench.parts import Device
from cellwise.bench.timing import medians_in_turn

_ROWS, _IN, _OUT = 512, 512, 2048
_ON_GPU = 8  # times each size: a small product does not fill a GPU
_ROUNDS = 15


def gflops(device: Device) -> dict[str, float]:
    """Return GFLOP/s in float32 on a CPU, in bfloat16 on a GPU."""
    on_gpu = device == "cuda"
    scale, dtype = (_ON_GPU, torch.bfloat16) if on_gpu else (1, torch.float32)
    v = torch.randn(_ROWS * scale, _IN * scale, device=device, dtype=dtype)
    weight = torch.randn(_OUT * scale, _IN * scale, device=device, dtype=dtype)
    turned = weight.t().contiguous()
    calls: dict[str, Callable[[], Any]] = {"torch.mm": lambda: torch.mm(v, turned)}
    if not on_gpu and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        inner = torch.ops.mkldnn._linear_pointwise
        calls["oneDNN's inner product"] = lambda: inner(v, weight, None, "none", [], "")
    if on_gpu:
        calls = {name: _waiting(call) for name, call in calls.items()}
    flops = 2 * v.shape[0] * v.shape[1] * weight.shape[0]
    return {name: flops / seconds / 1e9 for name, seconds in medians_in_turn(calls, _ROUNDS, warm_up=3).items()}


def _waiting(call: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> None:
        call()
        torch.cuda.synchronize()

    return run
