"""Where evidence stands on the page: panels with names that links can lead to, in parts with a heading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cellwise.report.overlay import Panel


@dataclass(frozen=True)
class Placed:
    """A panel with its ``id``; one that is ``folded`` opens on a click, for what most readers pass over."""

    id: str
    panel: Panel
    folded: bool = False


@dataclass(frozen=True)
class Part:
    """A heading with its question and panels; ``kind`` is the id that it has where a study has one comparison."""

    id: str
    kind: str
    title: str
    question: str
    panels: tuple[Placed, ...] = ()


class Names:
    """Ids that are each given once: letters, digits and hyphens of what they are for, numbered where that is taken."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, *words: str) -> str:
        """Return the id for some words."""
        wanted = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-") or "part"
        found = next(name for name in self._numbered(wanted) if name not in self._taken)
        self._taken.add(found)
        return found

    def place(self, panels: Iterable[tuple[str, Panel]], *prefix: str, folded: bool = False) -> tuple[Placed, ...]:
        """Return panels with ids from the names beside them."""
        return tuple(Placed(self(*prefix, name), panel, folded) for name, panel in panels)

    @staticmethod
    def _numbered(wanted: str) -> Iterator[str]:
        yield wanted
        number = 2
        while True:
            yield f"{wanted}-{number}"
            number += 1
