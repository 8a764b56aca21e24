"""State that is carried from batch to batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def detached(state: Any) -> Any:
    """Return a carried state (a tensor, or a mapping or sequence of states) cut from the graph of its batch."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, Mapping):
        return {name: detached(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return [detached(value) for value in state]
    return state
