"""From an image to its regions, and to a summary of them.

Of pixels, the regions are the cells of the grid that convolutions leave: 3 x 3 kernels in steps of 2 with rectifiers,
as Santoro et al. 2017, arXiv 1706.01427, have them for Sort-of-CLEVR (four of 24 channels), with the places of pixels
as two more channels (Liu et al. 2018, arXiv 1807.03247). Features that somebody else computed are regions already.

Differences: no normalisation or group normalisation (Wu and He 2018, arXiv 1803.08494) where Santoro et al. have batch
normalisation, so that an image's features do not depend on the images beside it, nor on training or evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cellwise.network.attention import Attention, AttentionPooling
from cellwise.tasks.vqa.network_settings import JointSettings
from cellwise.tasks.vqa.questions import ImageKind


class Grid(nn.Module):
    """The cells of a grid of convolution features, of images (batch, channels, height, width) in [0, 1].

    Args:
        in_channels: of the images.
        channels: of the convolutions, each of which halves height and width, rounded up.
        groups: of each one's normalisation; None: it has none.
        coordinates: whether pixels say where they are.
    """

    def __init__(self, in_channels: int, channels: Sequence[int], *, groups: int | None, coordinates: bool):
        super().__init__()
        self.coordinates = coordinates
        blocks: list[nn.Module] = []
        for before, after in zip((in_channels + 2 * coordinates, *channels), channels, strict=False):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1)
            # He et al. 2015, arXiv 1502.01852: torch's own start leaves little of an image after three rectifiers.
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            blocks.append(convolution)
            blocks += [nn.GroupNorm(groups, after)] if groups is not None else []
            blocks.append(nn.ReLU())
        self.blocks = nn.Sequential(*blocks)

    def forward(self, images: Tensor) -> Tensor:
        """Return (cells, batch, channels), row by row of the grid."""
        images = 2 * images - 1
        if self.coordinates:
            images = torch.cat([images, _places(images)], dim=1)
        cells: Tensor = self.blocks(images)
        return cells.flatten(2).permute(2, 0, 1)


def _places(images: Tensor) -> Tensor:
    """Height and width of each pixel from -1 to 1, (batch, 2, height, width)."""
    height, width = (torch.linspace(-1, 1, size).to(images) for size in images.shape[-2:])
    places = torch.stack(torch.meshgrid(height, width, indexing="ij"))
    return places.expand(len(images), *places.shape)


class ImageEncoder(nn.Module):
    """One vector of an image, or, where it is to be joined region by region, one of each.

    Args:
        kind: what an image is.
        shape: (channels, height, width), or (regions, features).
        settings: of the network.
        question_size: features of the question that guides attention; None: attention asks a learned question, the
            same of every image.

    Attributes:
        output_size: features of a vector.
    """

    def __init__(self, kind: ImageKind, shape: Sequence[int], settings: JointSettings, question_size: int | None):
        super().__init__()
        self.grid: Grid | None = None
        regions, features = shape[0], shape[-1]
        if kind == "pixels":
            channels = settings.image_channels
            self.grid = Grid(shape[0], channels, groups=settings.image_groups, coordinates=settings.image_coordinates)
            height, width = (-(-size // 2 ** len(channels)) for size in shape[1:])
            regions, features = height * width, channels[-1]
        self.unit_length, self.summary = settings.image_unit_length, settings.image_summary
        self.attention: Attention | AttentionPooling | None = None
        if self.summary == "attention":
            pooled = question_size is None
            self.attention = AttentionPooling(features) if pooled else Attention(features, question_size or 0)
        self.output_size = regions * features if self.summary == "flat" else features

    def forward(self, images: Tensor, question: Tensor | None = None) -> Tensor:
        """Return (batch, output size), or (regions, batch, output size) where no summary is made.

        Args:
            images: (batch, channels, height, width) or (batch, regions, features).
            question: (batch, question size), where it guides attention.
        """
        regions = images.transpose(0, 1) if self.grid is None else self.grid(images)  # (regions, batch, features)
        if self.unit_length:
            regions = F.normalize(regions, dim=-1)
        if self.attention is not None:
            asked = (regions,) if question is None else (regions, question)
            context: Tensor = self.attention(*asked)[0]
            return context
        if self.summary == "joined":
            return regions
        return regions.mean(0) if self.summary == "mean" else regions.transpose(0, 1).flatten(1)
