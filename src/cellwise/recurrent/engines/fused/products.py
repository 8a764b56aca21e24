"""The recurrent products and the input's map, with their derivatives, outside of autograd.

Rows are (rows, units): the batch, or every pixel of every image. In float32 on a CPU, dense products go to oneDNN's
inner product where torch has it and the matrix is large enough: there it is up to 1.4 times as fast as the BLAS of
`torch.mm`, on small ones up to 1.7 times as slow. All else is torch's own. Which one is taken follows from the weight
alone, so that bits never follow from a measurement. The sizes were measured at 20 to 128 rows, on an AMD EPYC.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cellwise.recurrent.engines.fused.form import Arrival
from cellwise.recurrent.maps import Convolution, Dense, LinearMap, ReplicatedDense, of_no_input

_LARGE_FOR_STEPS = 350_000
"""Numbers in a weight from which on oneDNN is the faster one for the rows of one step, its weight packed."""

_LARGE_FOR_ALL = 16_000
"""The same for the rows of all steps at once."""

_TURNED = 100_000
"""Numbers in a weight from which on its gradient is faster computed turned, though it is turned back afterwards."""


class InputProduct(Protocol):
    """A linear map with its weight: v -> weight v, plus a bias where one is given; all steps at once."""

    def __call__(self, v: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return (..., rows, out units) of v (..., rows, in units)."""
        ...

    def back_all(self, d: Tensor) -> Tensor:
        """Return the derivative by v, (time, rows, in units), of that by the result, (time, rows, out units)."""
        ...

    def weight_gradient(self, d: Tensor, v: Tensor) -> Tensor:
        """Return the derivative by the weight over all leading axes at once."""
        ...


class Product(InputProduct, Protocol):
    """The same, step by step too.

    Attributes:
        arrival: how the results of steps come.
        weight: as the products read it; where it lies in another order than what was given, a copy.
    """

    arrival: Arrival
    weight: Tensor

    def add(self, v: Tensor, place: Tensor) -> Tensor | None:
        """Multiply one step's operand and add what lies in `place`, as `arrival` says.

        Args:
            v: (rows, in units).
            place: (rows, out units), holds the input's share.

        Returns:
            None where the sum has been written into `place`; else the sum, or the product alone.
        """
        ...

    def put(self, v: Tensor, place: Tensor) -> Tensor | None:
        """Multiply one step's operand; the result is returned, or written into `place`, as `arrival` says."""
        ...

    def back(self, d: Tensor) -> Tensor:
        """Return the derivative by one step's operand, (rows, in units), of that by its result, (rows, out units)."""
        ...


def input_product_of(map_: LinearMap, weight: Tensor, image: tuple[int, ...] = ()) -> InputProduct:
    """Return the product of the input's map, as `product_of`; the input may have no features."""
    return product_of(map_, weight, image) if weight.numel() else _NoProduct(weight)


def product_of(map_: LinearMap, weight: Tensor, image: tuple[int, ...] = ()) -> Product:
    """Return a map's product with a weight.

    Args:
        map_: one that is `known`.
        weight: of the map.
        image: height and width, of a convolution.
    """
    kind = _kind(map_, weight)
    return kind(weight, image) if issubclass(kind, _ConvolutionProduct) else kind(weight)


def arrival_of(map_: LinearMap, weight: Tensor) -> Arrival:
    """Return how the results of a map's product with a weight come."""
    return _kind(map_, weight).arrival


def _kind(map_: LinearMap, weight: Tensor) -> type[_DenseProduct | _ReplicatedProduct | _ConvolutionProduct]:
    if isinstance(map_, ReplicatedDense):
        return _ReplicatedProduct
    if isinstance(map_, Convolution):
        return _AddingConvolution if _has_inner(weight, 0) else _ConvolutionProduct
    assert isinstance(map_, Dense)  # `expressible` has looked
    return _PackedProduct if _has_inner(weight, _LARGE_FOR_STEPS) else _DenseProduct


def known(map_: LinearMap) -> bool:
    """Whether `product_of` takes a map."""
    return isinstance(map_, Dense | ReplicatedDense | Convolution)


def _has_inner(weight: Tensor, numbers: int) -> bool:
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return there and weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= numbers


class _DenseProduct:
    """`W v`; weight (out, in). Steps by torch's BLAS."""

    arrival: Arrival = "written"

    def __init__(self, weight: Tensor):
        self.weight = weight.detach()
        self._turned = self.weight.t()
        self._multiply = _inner if _has_inner(weight, _LARGE_FOR_ALL) else F.linear

    def __call__(self, v: Tensor, bias: Tensor | None = None) -> Tensor:
        return self._multiply(v, self.weight, bias)

    def add(self, v: Tensor, place: Tensor) -> Tensor | None:
        place.addmm_(v, self._turned)
        return None

    def put(self, v: Tensor, place: Tensor) -> Tensor | None:
        torch.mm(v, self._turned, out=place)
        return None

    def back(self, d: Tensor) -> Tensor:
        return torch.mm(d, self.weight)

    def back_all(self, d: Tensor) -> Tensor:
        return self._multiply(d, self._turned, None)

    def weight_gradient(self, d: Tensor, v: Tensor) -> Tensor:
        d, v = d.reshape(-1, d.shape[-1]), v.reshape(-1, v.shape[-1])
        # A part of the rows, as of one of several products, sends oneDNN to a loop that is a hundred times slower.
        if self.weight.is_cuda or self.weight.numel() < _TURNED or not d.is_contiguous():
            return d.t() @ v
        return self._multiply(v.t(), d.t(), None).t()


class _PackedProduct(_DenseProduct):
    """`W v`, steps by oneDNN, the weight in its own order."""

    arrival: Arrival = "complete"

    def __init__(self, weight: Tensor):
        super().__init__(weight)
        self._packed: Tensor | None = None

    def add(self, v: Tensor, place: Tensor) -> Tensor | None:
        found: Tensor = torch.ops.mkldnn._linear_pointwise.binary(v, place, self._of_steps(v), None, "add")
        return found

    def put(self, v: Tensor, place: Tensor) -> Tensor | None:
        return _inner(v, self._of_steps(v), None)

    def back(self, d: Tensor) -> Tensor:
        return _inner(d, self._turned, None)  # turned, it is as fast as packed

    def _of_steps(self, v: Tensor) -> Tensor:
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, v.shape[-2])
        return self._packed


def _inner(v: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(v, weight, bias, "none", [], "")
    return found


class _ReplicatedProduct:
    """`W v` of each replica; weight (replicas, out, in), operands (..., replicas, rows, in).

    Also over all steps it goes step by step: a replica's rows of all steps do not lie together, and to gather them
    takes longer than the products of a small layer.
    """

    arrival: Arrival = "written"

    def __init__(self, weight: Tensor):
        self.weight = weight.detach()
        self._turned = self.weight.mT

    def __call__(self, v: Tensor, bias: Tensor | None = None) -> Tensor:
        out = self._over_steps(v, self._turned)
        return out if bias is None else out.add_(bias)

    def add(self, v: Tensor, place: Tensor) -> Tensor | None:
        place.baddbmm_(v, self._turned)
        return None

    def put(self, v: Tensor, place: Tensor) -> Tensor | None:
        place.copy_(torch.bmm(v, self._turned))
        return None

    def back(self, d: Tensor) -> Tensor:
        return torch.bmm(d, self.weight)

    def back_all(self, d: Tensor) -> Tensor:
        return self._over_steps(d, self.weight)

    def weight_gradient(self, d: Tensor, v: Tensor) -> Tensor:
        total = torch.zeros_like(self.weight)
        for d_t, v_t in zip(d.unbind(0), v.unbind(0), strict=True):
            total.baddbmm_(d_t.mT, v_t)
        return total

    def _over_steps(self, v: Tensor, turned: Tensor) -> Tensor:
        out = v.new_empty(*v.shape[:-1], turned.shape[-1])
        for v_t, out_t in zip(v.unbind(0), out.unbind(0), strict=True):
            torch.bmm(v_t, turned, out=out_t)
        return out


class _NoProduct:
    """The map of an input without features, of all steps at once; weight (out, 0, ...)."""

    def __init__(self, weight: Tensor):
        self._weight = weight.detach()

    def __call__(self, v: Tensor, bias: Tensor | None = None) -> Tensor:
        return of_no_input(v, self._weight, bias)

    def back_all(self, d: Tensor) -> Tensor:
        return d.new_empty(*d.shape[:-1], 0)

    def weight_gradient(self, d: Tensor, v: Tensor) -> Tensor:
        return torch.zeros_like(self._weight)


class _ConvolutionProduct:
    """Convolution that keeps the image's size, rows being pixels; weight (out, in, kernel, kernel).

    Args:
        weight: of the map.
        image: height and width.
    """

    arrival: Arrival = "alone"

    def __init__(self, weight: Tensor, image: tuple[int, ...]):
        self.weight, self._image = weight.detach().contiguous(memory_format=torch.channels_last), image
        size = weight.shape[-1]
        self._before, self._after = (size - 1) // 2, size // 2

    def __call__(self, v: Tensor, bias: Tensor | None = None) -> Tensor:
        out = F.conv2d(self._padded(self._images(v)), self.weight, bias, padding=self._padding)
        return _rows(out, v.shape[:-1])

    def add(self, v: Tensor, place: Tensor) -> Tensor | None:
        return self(v)

    def put(self, v: Tensor, place: Tensor) -> Tensor | None:
        return self(v)

    def back(self, d: Tensor) -> Tensor:
        images = self._images(d)
        more = 0 if self._before == self._after else self._before + self._after
        height, width = images.shape[-2] + more, images.shape[-1] + more
        # Only the shape of the input counts: the derivative of a linear map does not depend on where it is taken.
        shape = (images.shape[0], self.weight.shape[1], height, width)
        like = torch.empty(shape, dtype=d.dtype, device=d.device, memory_format=torch.channels_last)
        gradient = self._differentiated(images, like, by_input=True)
        if more:
            stop = (height - self._after, width - self._after)
            gradient = gradient[..., self._before : stop[0], self._before : stop[1]]
        return _rows(gradient, d.shape[:-1])

    back_all = back

    def weight_gradient(self, d: Tensor, v: Tensor) -> Tensor:
        return self._differentiated(self._images(d), self._padded(self._images(v)), by_input=False)

    @property
    def _padding(self) -> int:
        return self._before if self._before == self._after else 0

    def _images(self, v: Tensor) -> Tensor:
        """(..., rows, units) as (images, units, height, width), a view where v lies units last."""
        return v.reshape(-1, *self._image, v.shape[-1]).movedim(-1, -3)

    def _padded(self, images: Tensor) -> Tensor:
        if self._before == self._after:
            return images
        return F.pad(images, (self._before, self._after, self._before, self._after))

    def _differentiated(self, d: Tensor, images: Tensor, *, by_input: bool) -> Tensor:
        mask = [by_input, not by_input, False]
        ones, zeros, padding = [1, 1], [0, 0], [self._padding] * 2
        gradients = torch.ops.aten.convolution_backward(
            d, images, self.weight, None, ones, padding, ones, False, zeros, 1, mask
        )
        found: Tensor = gradients[0 if by_input else 1]
        return found


class _AddingConvolution(_ConvolutionProduct):
    """The same by oneDNN, which adds into a place in the same pass."""

    arrival: Arrival = "written"

    def add(self, v: Tensor, place: Tensor) -> Tensor | None:
        ones, padding = [1, 1], [self._padding] * 2
        images = self._padded(self._images(v))
        torch.ops.mkldnn._convolution_pointwise_.binary(
            self._images(place), images, self.weight, None, padding, ones, ones, 1, "add", 1.0, None, [], None
        )
        return None

    def put(self, v: Tensor, place: Tensor) -> Tensor | None:
        place.copy_(self(v))
        return None


def _rows(images: Tensor, lead: torch.Size) -> Tensor:
    """(images, units, height, width) as (..., rows, units)."""
    return images.movedim(-3, -1).reshape(*lead, images.shape[1]).contiguous()
