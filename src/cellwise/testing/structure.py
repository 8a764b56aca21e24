"""Checks of the products of a layer: those declared and no more, the input's share outside the loop, structures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cellwise.testing.layers import HIDDEN, INPUT, Build, dense, engine_names, images, numbers
from cellwise.testing.lengths import BATCH  # so that the graphs of those checks serve here too

TIME = 3
_aten: Any = torch.ops.aten
_PRODUCTS = {_aten.mm.default, _aten.addmm.default, _aten.bmm.default, _aten.baddbmm.default, _aten.mv.default}
_CONVOLUTIONS = {_aten.convolution.default}


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch publishes no types for it
    """Counts matrix products and convolutions as torch's kernels see them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.products += func in _PRODUCTS or func in _CONVOLUTIONS
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def _count(layer: nn.Module, x: Tensor) -> int:
    counter = _Counter()
    with counter:
        layer(x)
    return counter.products


def check_product_count(build: Build) -> None:
    """A step costs the declared products, on every engine; on dense maps the input's share is one product for all."""
    declared = len(build().products)
    for engine in engine_names(build()):
        layer = dense(build, engine=engine)
        once, twice = (_count(layer, numbers(steps, BATCH, INPUT)) for steps in (TIME, 2 * TIME))
        a_step = (twice - once) / TIME
        assert a_step == declared, f"engine {engine}: {a_step:g} products a step; declared: {declared}"
        outside = once - TIME * declared
        assert outside == 1, f"engine {engine}: {outside} products outside the loop; the input's share is one"


def check_convolution_count(build: Build) -> None:
    """On images a step costs the declared products as convolutions; the input's may be inside the loop or outside."""
    declared = len(build().products)
    layer = images(build, 3)
    once, twice = (_count(layer, numbers(steps, BATCH, INPUT, 3, 2)) for steps in (TIME, 2 * TIME))
    a_step = (twice - once) / TIME
    assert a_step in (declared, declared + 1), f"{a_step:g} convolutions a step; declared products: {declared}"


def check_antisymmetric(build: Build) -> None:
    """A product that is declared antisymmetric has v . (A v) = 0 for any v, dense and under even and odd kernels."""
    declared = [name for name, structure in build().structure.items() if structure == "antisymmetric"]
    if not declared:
        return
    for where, layer, image in (
        ("dense", dense(build), ()),
        ("kernel 2", images(build, 2), (5, 4)),
        ("kernel 3", images(build, 3), (5, 4)),
    ):
        weights, v = layer.weights()[0], numbers(1, *image, HIDDEN)
        for product in declared:
            feeds, _ = weights.cell.products[product]
            shares = weights.recurrent_map(v, weights.matrices()[product]).chunk(len(feeds), dim=-1)
            for fed, share in zip(feeds, shares, strict=True):
                size = ((v * share).sum().abs() / (v.norm() * share.norm())).item()
                assert size < 1e-12, (
                    f"{where}: product {product!r} to {fed!r} has v . (A v) = {size:.1e} |v| |A v|, not 0"
                )
