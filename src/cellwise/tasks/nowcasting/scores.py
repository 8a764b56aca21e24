"""Scores of a network, or of a floor, over a split: in the data's unit, of observed pixels alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from cellwise.tasks.contract import Scores
from cellwise.tasks.nowcasting.floors import Floor
from cellwise.tasks.nowcasting.frames import Batch, Field
from cellwise.tasks.nowcasting.metrics.verification import Scored, Verification

Forecast = Callable[[nn.Module, Tensor], Tensor]


class FrameScores(Scores):
    """All scores over all lead times together; see `verification.scores_of` for their names.

    Args:
        field: what frames show.
        forecast: what a network says of inputs, in the field's unit.
    """

    def __init__(self, field: Field, forecast: Forecast) -> None:
        self._forecast = forecast
        self.verification = Verification(Scored(field))

    def update(self, network: nn.Module, batch: Batch, state: None) -> None:
        """Score one batch."""
        self.verification.add(self._forecast(network, batch.inputs), batch.observed, batch.event)

    def compute(self) -> dict[str, float]:
        """Return the scores.

        Raises:
            CellwiseError: nothing was scored.
        """
        return self.verification.pooled()


def verified_floor(floor: Floor, batches: Iterable[Batch], field: Field) -> Verification:
    """Return the scores of a floor over a split."""
    found = Verification(Scored(field))
    for batch in batches:
        found.add(floor(batch).frames, batch.observed, batch.event)
    return found
