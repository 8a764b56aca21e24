"""What training steps log between two rows of `metrics.jsonl`: sums, so that a row is a mean over examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from cellwise.errors import RunFailedError
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

    def take(self, gathered: Callable[[Any], list[Any]]) -> tuple[Row, int]:
        """Return the means and how many examples there were, and start over.

        Args:
            gathered: gives what each rank has, for what this one has.
        """
        all_ranks = gathered((self.examples, {name: float(total) for name, total in self._sums.items()}, self._counts))
        row: Row = {
            f"train_{name}": sum(sums[name] for _, sums, _ in all_ranks)
            / max(sum(counts[name] for _, _, counts in all_ranks), 1)  # of nothing: 0
            for name in self._sums
        }
        self.examples, self._sums, self._counts = 0, {}, {}
        return row, sum(examples for examples, _, _ in all_ranks)

    def state(self) -> dict[str, Any]:
        """Return the sums so far, for a checkpoint."""
        return {"examples": self.examples, "sums": dict(self._sums), "counts": dict(self._counts)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.examples, self._sums, self._counts = state["examples"], dict(state["sums"]), dict(state["counts"])


def require_finite(row: Mapping[str, float], step: int) -> None:
    """Refuse to go on with a loss that is lost.

    Raises:
        RunFailedError: a number of the row is infinite or NaN.
    """
    for name, value in row.items():
        if not abs(value) < float("inf"):
            raise RunFailedError(
                f"{name} is {value} at step {step}; lower optim.learning_rate or optim.clip_norm, or "
                "type trainer.non_finite=go_on to go on all the same"
            )
