"""Convolution before the recurrent layer: on each image of a sequence, or over the steps of a sequence of vectors.

Source: `ImageFront`: Donahue et al., CVPR 2015, arXiv 1411.4389, section 3 (visual features at each step, then a
recurrent layer). `TemporalFront`: the causal convolution of van den Oord et al. 2016, arXiv 1609.03499, section 2.1,
without dilation.

Differences: `ImageFront` is small and trained from the start, where Donahue et al. take a network trained on ImageNet;
it ends in a pooled grid, so that images may have any size. Neither has batch norm: its averages would see the padding
and the other rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from cellwise.errors import CellwiseError
from cellwise.network.checks import check_shape, lengths_of
from cellwise.recurrent.checks import check_sizes
from cellwise.recurrent.guard import blank


class ImageFront(nn.Module):
    """Convolution blocks on each image, pooled to a grid, mapped to features.

    Args:
        in_channels: channels of the images.
        output_size: features of a step.
        channels: of the blocks, one after the other; each is convolution, rectifier and pooling.
        kernel_size: of the convolutions; odd, so that the image keeps its size.
        pool: each block's maximum over pool x pool pixels; 1 for none.
        grid: rows and columns of the pooled grid.

    Raises:
        CellwiseError: sizes that do not fit.
    """

    def __init__(
        self,
        in_channels: int,
        output_size: int,
        *,
        channels: Sequence[int] = (16, 32),
        kernel_size: int = 3,
        pool: int = 2,
        grid: int = 2,
    ):
        super().__init__()
        check_sizes(in_channels=in_channels, output_size=output_size, kernel_size=kernel_size, pool=pool, grid=grid)
        if not channels:
            raise CellwiseError("channels=() has no block; give at least one, for example (16, 32)")
        if kernel_size % 2 == 0:
            raise CellwiseError(f"kernel_size={kernel_size} must be odd, so that the image keeps its size")
        blocks: list[nn.Module] = []
        for before, after in zip((in_channels, *channels), channels, strict=False):
            check_sizes(channels=after)
            blocks += [nn.Conv2d(before, after, kernel_size, padding=kernel_size // 2), nn.ReLU()]
            if pool > 1:
                blocks.append(nn.MaxPool2d(pool, ceil_mode=True))  # ceil: a single pixel stays one
        self.blocks = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(grid), nn.Flatten())
        self.output = nn.Linear(channels[-1] * grid * grid, output_size)
        self.in_channels, self.output_size = in_channels, output_size

    def forward(self, x: Tensor, lengths: Tensor | list[int] | None = None) -> Tensor:
        """See each image for itself.

        Args:
            x: (time, batch, channels, height, width), of any height and width.
            lengths: (batch,) valid steps per row, 0 to time; None when all rows are full.

        Returns:
            (time, batch, output size), zero after a row's length.

        Raises:
            ValueError: a shape or length that does not fit.
        """
        if x.dim() != 5:
            raise ValueError(f"input must be (time, batch, channels, height, width), not of shape {tuple(x.shape)}")
        if x.shape[2] != self.in_channels:
            raise ValueError(f"input has {x.shape[2]} channels; this front takes {self.in_channels}")
        valid = lengths_of(x, lengths).valid
        images = blank(x, valid).flatten(0, 1)  # (time * batch, channels, height, width)
        return blank(self.output(self.blocks(images)).unflatten(0, x.shape[:2]), valid)


class TemporalFront(nn.Module):
    """Convolutions over time, each followed by a rectifier; as many steps come out as go in.

    The steps before the first count as zeros: a convolution carries nothing from one call to the next.

    Args:
        input_size: features of a step.
        output_size: features of a step that comes out.
        kernel_size: steps that one convolution sees.
        num_layers: convolutions.
        causal: a step sees itself and earlier steps only; else as many later ones, one less if the kernel is even.

    Raises:
        CellwiseError: a size that is not a whole number of 1 or more.
    """

    def __init__(
        self, input_size: int, output_size: int, *, kernel_size: int = 3, num_layers: int = 1, causal: bool = True
    ):
        super().__init__()
        check_sizes(input_size=input_size, output_size=output_size, kernel_size=kernel_size, num_layers=num_layers)
        sizes = (input_size, *[output_size] * num_layers)
        self.convolutions = nn.ModuleList(nn.Conv1d(before, after, kernel_size) for before, after in pairwise(sizes))
        self.input_size, self.output_size, self.causal = input_size, output_size, causal
        later = 0 if causal else (kernel_size - 1) // 2
        self.padding = (kernel_size - 1 - later, later)

    def forward(self, x: Tensor, lengths: Tensor | list[int] | None = None) -> Tensor:
        """See each row's steps.

        Args:
            x: (time, batch, features).
            lengths: (batch,) valid steps per row, 0 to time; None when all rows are full.

        Returns:
            (time, batch, output size), zero after a row's length.

        Raises:
            ValueError: a shape or length that does not fit.
        """
        check_shape(x, "time, batch, features", self.input_size)
        valid = lengths_of(x, lengths).valid
        if x.shape[0] == 0:  # torch refuses to convolve fewer steps than the kernel has
            return x.new_zeros(*x.shape[:2], self.output_size)
        x = blank(x, valid)
        for convolution in self.convolutions:
            over_time = F.pad(x.permute(1, 2, 0), self.padding)  # (batch, features, time and what is before and after)
            # Blanked each time: the next convolution must not see what a bias made of the padding.
            x = blank(convolution(over_time).relu().permute(2, 0, 1), valid)
        return x
