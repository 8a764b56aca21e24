"""Which cells are worth their cost: those that no other cell beats in quality and in cost at once.

Means have scatter, so a cell can be off the front by chance: `pareto_front` says who beats it, and a cell that is
beaten only by cells that it is not told apart from is not off it for sure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from cellwise.compare.values import finite
from cellwise.errors import CellwiseError
from cellwise.records.schema import Direction


@dataclass(frozen=True)
class Place:
    """Where a cell stands: ``beaten_by`` are the cells at least as good and as cheap, and better in one of the two.

    ``surely_beaten``: one of them is told apart from it.
    """

    label: str
    quality: float
    cost: float
    beaten_by: tuple[str, ...]
    surely_beaten: bool

    @property
    def on_front(self) -> bool:
        """Whether no cell beats it."""
        return not self.beaten_by


def pareto_front(
    quality: Mapping[str, float],
    cost: Mapping[str, float],
    direction: Direction,
    told_apart: Collection[frozenset[str]] = (),
) -> tuple[Place, ...]:
    """Return where each cell stands, cheapest first.

    Args:
        quality: mean score by label.
        cost: parameters, FLOPs, seconds or bytes by label; less is better. A label without a cost is left out.
        direction: whether less or more quality is better.
        told_apart: the pairs of labels whose qualities are told apart.

    Raises:
        CellwiseError: a number that is not finite, or another direction.
    """
    if direction not in ("min", "max"):
        raise CellwiseError(f"unknown direction {direction!r}; allowed: max, min")
    labels = sorted(quality.keys() & cost.keys())
    finite([quality[label] for label in labels], "quality")
    finite([cost[label] for label in labels], "cost")
    sign = 1 if direction == "min" else -1
    at = {label: (sign * quality[label], cost[label]) for label in labels}
    places = []
    for label in labels:
        here = at[label]
        better = tuple(o for o in labels if at[o] != here and at[o][0] <= here[0] and at[o][1] <= here[1])
        surely = any(frozenset((label, other)) in told_apart for other in better)
        places.append(Place(label, quality[label], cost[label], better, surely))
    return tuple(sorted(places, key=lambda place: (place.cost, sign * place.quality, place.label)))
