"""What the translation of one torch operation gets, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch

from cellwise.interop.onnx.graph import Graph


class Operands(Protocol):
    """What a translation sees of a step under translation."""

    graph: Graph

    def value(self, given: Any, dtype: torch.dtype | None = None) -> str:
        """Return a tensor or number of the traced graph as a value, cast to `dtype` where that is given."""
        ...

    def shape(self, sizes: Sequence[int]) -> str:
        """Return a shape as a value; a size that came from the batch is that of the batch at hand."""
        ...


Arguments = Mapping[str, Any]
Translation = Callable[[Operands, Arguments, Any], "str | list[str]"]  # arguments by name; torch's result, without data
