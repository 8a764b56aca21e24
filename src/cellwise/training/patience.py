"""How many validations in a row were no better than the best one, against how many may be."""

from __future__ import annotations


class Patience:
    """Counts validations without improvement; what is better is decided by `Selection`.

    Args:
        limit: so many in a row are too many; None: never.
    """

    def __init__(self, limit: int | None):
        self.limit, self.waited = limit, 0

    def hear(self, *, improved: bool) -> None:
        """Take the outcome of a validation."""
        self.waited = 0 if improved else self.waited + 1

    def is_lost(self) -> bool:
        """Whether there were too many."""
        return self.limit is not None and self.waited >= self.limit
