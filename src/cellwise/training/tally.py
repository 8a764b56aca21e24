"""What training steps log between two rows of `metrics.jsonl`: sums, so that a row is a mean over examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from cellwise.tasks.contract import Learned

Row = dict[str, float | int]


class Tally:
    """Sums of what training steps logged since the last row; they stay on the device until the row is written."""

    def __init__(self) -> None:
        self.examples = 0
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, learned: Learned) -> None:
        """Take what a step logged; on its device, so that nothing waits for it."""
        self.examples += learned.examples
        for name, (total, count) in learned.sums.items():
            self._sums[name] = self._sums[name] + total if name in self._sums else total.double()
            self._counts[name] = self._counts.get(name, 0) + count

    def row(self) -> Row:
        """Return the means and start over."""
        row: Row = {f"train_{name}": float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return row

    def state(self) -> dict[str, Any]:
        """Return the sums so far, for a checkpoint."""
        return {"examples": self.examples, "sums": dict(self._sums), "counts": dict(self._counts)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.examples, self._sums, self._counts = state["examples"], dict(state["sums"]), dict(state["counts"])

    def take_examples(self) -> int:
        """Return how many examples there were and start over."""
        taken, self.examples = self.examples, 0
        return taken
