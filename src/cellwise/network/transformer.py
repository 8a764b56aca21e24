"""A Transformer encoder over the states of a recurrent layer.

Source: Vaswani et al. 2017, arXiv 1706.03762, section 3.1 (norm after), by torch.nn.TransformerEncoderLayer; norm
before: Xiong et al. 2020, arXiv 2002.04745. Dense states only.

Differences: no positions are added, because the states that come in carry the order of the steps already. The layers
are drawn one by one, where torch.nn.TransformerEncoder starts them as copies of one another. Norm before ends with one
more layer norm, as in Xiong et al. A row of length 0 is answered with zeros, where torch's kernels differ (NaN or
zeros).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from cellwise.errors import CellwiseError, unknown
from cellwise.network.checks import check_shape, lengths_of
from cellwise.recurrent.checks import check_rate, check_sizes
from cellwise.recurrent.guard import blank

Norm = Literal["before", "after"]
NORMS: tuple[str, ...] = get_args(Norm)


class TransformerEncoder(nn.Module):
    """Self-attention layers over steps.

    Args:
        units: features of a step, in and out.
        num_layers: layers.
        heads: attention heads; they divide `units`.
        feedforward_size: width inside a layer; None for 4 * units.
        norm: layer norm `after` each sum (Vaswani et al.) or `before` each part (Xiong et al.).
        dropout: inside the layers.
        causal: a step sees itself and earlier steps only.

    Raises:
        CellwiseError: sizes that do not fit, an unknown norm, a dropout outside [0, 1).
    """

    def __init__(
        self,
        units: int,
        num_layers: int = 1,
        *,
        heads: int = 4,
        feedforward_size: int | None = None,
        norm: Norm = "after",
        dropout: float = 0.0,
        causal: bool = False,
    ):
        super().__init__()
        width = 4 * units if feedforward_size is None else feedforward_size
        check_sizes(units=units, num_layers=num_layers, heads=heads, feedforward_size=width)
        check_rate("dropout", dropout)
        if units % heads:
            raise CellwiseError(
                f"{heads} attention heads (network.transformer_heads) do not divide {units} units (hidden size times "
                f"directions); allowed: {', '.join(str(n) for n in range(1, min(units, 64) + 1) if units % n == 0)}"
            )
        if norm not in NORMS:
            raise unknown("norm", norm, NORMS)

        def layer() -> nn.TransformerEncoderLayer:
            return nn.TransformerEncoderLayer(units, heads, width, dropout, norm_first=norm == "before")

        last_norm = nn.LayerNorm(units) if norm == "before" else None
        # Nested tensors would drop the padding, and with it the shape (time, batch) that the caller knows.
        self.encoder = nn.TransformerEncoder(layer(), num_layers, last_norm, enable_nested_tensor=False)
        self.encoder.layers = nn.ModuleList(layer() for _ in range(num_layers))
        self.units, self.causal = units, causal

    def forward(self, x: Tensor, lengths: Tensor | list[int] | None = None) -> Tensor:
        """Let the steps of each row see one another.

        Args:
            x: (time, batch, units).
            lengths: (batch,) valid steps per row, 0 to time; None when all rows are full.

        Returns:
            (time, batch, units), zero after a row's length.

        Raises:
            ValueError: a shape or length that does not fit.
        """
        check_shape(x, "time, batch, units", self.units, "units")
        guard = lengths_of(x, lengths)
        if x.numel() == 0:
            return x
        x = blank(x, guard.valid)
        # (batch, time). A row with every step hidden is NaN on some of torch's attention kernels, zero on others; so it
        # sees its own zeros, and is blanked below.
        hidden = ~guard.valid.T & (guard.steps > 0)[:, None]
        future = torch.ones(len(x), len(x), dtype=torch.bool, device=x.device).triu(1) if self.causal else None
        y: Tensor = self.encoder(x, mask=future, src_key_padding_mask=hidden)
        return blank(y, guard.valid)
