"""The recurrent products and the input's map, with their derivatives, outside of autograd.

Dense products in float32 on a CPU go to oneDNN's inner product where torch has it, which is up to twice as fast as the
BLAS of `torch.mm` on some machines; all else to torch's own.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cellwise.recurrent.maps import Convolution, Dense, LinearMap, of_no_input


class Product(Protocol):
    """A linear map with its weight: v -> weight v, plus a bias where one is given."""

    def __call__(self, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return (..., out units) of v (..., in units)."""
        ...

    def back(self, d: Tensor) -> Tensor:
        """Return the derivative by v, (..., in units), of that by the result, (..., out units)."""
        ...

    def weight_gradient(self, d: Tensor, v: Tensor) -> Tensor:
        """Return the derivative by the weight over all leading axes at once."""
        ...


def product_of(map_: LinearMap, weight: Tensor) -> Product | None:
    """Return a map's product with a weight; None for a map that is not known here."""
    if known(map_) and not weight.shape[1]:
        return _NoProduct(weight)
    if isinstance(map_, Dense):
        return _DenseProduct(weight)
    return _ConvolutionProduct(weight) if isinstance(map_, Convolution) else None


def known(map_: LinearMap) -> bool:
    """Whether `product_of` takes a map."""
    return isinstance(map_, Dense | Convolution)


def _has_inner_product(like: Tensor) -> bool:
    """Whether oneDNN's inner product is at hand for a tensor."""
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return there and like.device.type == "cpu" and like.dtype == torch.float32


class _NoProduct:
    """The map of an input without features."""

    def __init__(self, weight: Tensor):
        self._weight = weight.detach()

    def __call__(self, v: Tensor, bias: Tensor | None = None) -> Tensor:
        return of_no_input(v, self._weight, bias)

    def back(self, d: Tensor) -> Tensor:
        return d.new_empty(*d.shape[:-1], 0)

    def weight_gradient(self, d: Tensor, v: Tensor) -> Tensor:
        return torch.zeros_like(self._weight)


class _DenseProduct:
    """`W v`; weight (out, in)."""

    def __init__(self, weight: Tensor):
        self._weight, self._inner = weight.detach(), _has_inner_product(weight)
        self._turned: Tensor | None = None

    def __call__(self, v: Tensor, bias: Tensor | None = None) -> Tensor:
        return self._multiplied(v, self._weight, bias)

    def back(self, d: Tensor) -> Tensor:
        if self._turned is None:  # once a call, not once a step
            self._turned = self._weight.t().contiguous() if self._inner else self._weight.t()
        return self._multiplied(d, self._turned)

    def weight_gradient(self, d: Tensor, v: Tensor) -> Tensor:
        return d.reshape(-1, d.shape[-1]).t() @ v.reshape(-1, v.shape[-1])

    def _multiplied(self, v: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if self._inner:
            found: Tensor = torch.ops.mkldnn._linear_pointwise(v, weight, bias, "none", [], "")
            return found
        return F.linear(v, weight, bias)


class _ConvolutionProduct:
    """The "same" convolution of `maps.Convolution`; weight (out, in, kernel, kernel), v (..., height, width, in)."""

    def __init__(self, weight: Tensor):
        self._weight = weight.detach().contiguous(memory_format=torch.channels_last)
        size = weight.shape[-1]
        self._before, self._after = (size - 1) // 2, size // 2

    def __call__(self, v: Tensor, bias: Tensor | None = None) -> Tensor:
        images = self._padded(_channels_first(v))
        return _units_last(F.conv2d(images, self._weight, bias, padding=self._padding), v.shape[:-3])

    def back(self, d: Tensor) -> Tensor:
        images = _channels_first(d)
        more = 0 if self._before == self._after else self._before + self._after
        height, width = images.shape[-2] + more, images.shape[-1] + more
        # Only the shape of the input counts: the derivative of a linear map does not depend on where it is taken.
        shape = (images.shape[0], self._weight.shape[1], height, width)
        like = torch.empty(shape, dtype=d.dtype, device=d.device, memory_format=torch.channels_last)
        gradient = self._differentiated(images, like, by_input=True)
        if more:
            stop = (height - self._after, width - self._after)
            gradient = gradient[..., self._before : stop[0], self._before : stop[1]]
        return _units_last(gradient, d.shape[:-3])

    def weight_gradient(self, d: Tensor, v: Tensor) -> Tensor:
        return self._differentiated(_channels_first(d), self._padded(_channels_first(v)), by_input=False)

    @property
    def _padding(self) -> int:
        return self._before if self._before == self._after else 0

    def _padded(self, images: Tensor) -> Tensor:
        if self._before == self._after:
            return images
        return F.pad(images, (self._before, self._after, self._before, self._after))

    def _differentiated(self, d: Tensor, images: Tensor, *, by_input: bool) -> Tensor:
        mask = [by_input, not by_input, False]
        ones, zeros, padding = [1, 1], [0, 0], [self._padding] * 2
        gradients = torch.ops.aten.convolution_backward(
            d, images, self._weight, None, ones, padding, ones, False, zeros, 1, mask
        )
        found: Tensor = gradients[0 if by_input else 1]
        return found


def _channels_first(v: Tensor) -> Tensor:
    """(..., height, width, units) as (images, units, height, width), a view where v lies units last."""
    return v.reshape(math.prod(v.shape[:-3]), *v.shape[-3:]).movedim(-1, -3)


def _units_last(images: Tensor, lead: torch.Size) -> Tensor:
    return images.movedim(-3, -1).reshape(*lead, *images.shape[-2:], images.shape[1]).contiguous()
