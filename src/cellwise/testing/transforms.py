"""Checks that torch's function transforms pass through a layer on the reference engine: vmap, forward derivatives."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from cellwise.testing.layers import INPUT, Build, assert_close, dense, numbers

TIME, BATCH, MEMBERS = 4, 3, 2


def check_vmap(build: Build) -> None:
    """An ensemble of layers with their own weights and inputs under `torch.vmap` is each of them alone."""
    layers = [dense(build, engine="reference", seed=seed) for seed in range(1, MEMBERS + 1)]
    stacked = {
        name: torch.stack([dict(layer.named_parameters())[name] for layer in layers]).detach()
        for name in dict(layers[0].named_parameters())
    }
    x = numbers(MEMBERS, TIME, BATCH, INPUT)

    def run(parameters: dict[str, Tensor], member: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(layers[0], parameters, (member,))[0]
        return output

    together = torch.vmap(run)(stacked, x)
    for number, layer in enumerate(layers):
        assert_close(f"layer {number} of an ensemble under vmap", together[number], layer(x[number])[0])


def check_forward_derivative(build: Build) -> None:
    """The forward derivative (`torch.func.jvp`) agrees with the backward one: v . (J u) = (J^T v) . u."""
    layer = dense(build, engine="reference")
    x, direction = numbers(TIME, BATCH, INPUT), numbers(TIME, BATCH, INPUT, seed=5)

    def run(value: Tensor) -> Tensor:
        output: Tensor = layer(value)[0]
        return output

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, when it first loads its forward formulas
        output, forward, *_ = torch.func.jvp(run, (x,), (direction,))
    cotangent = numbers(*output.shape, seed=6)
    leaf = x.clone().requires_grad_()
    (backward,) = torch.autograd.grad(run(leaf), leaf, cotangent)
    assert_close("v . (J u) of a layer", (cotangent * forward).sum(), (backward * direction).sum())
