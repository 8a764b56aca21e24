"""How a cell looks in every figure of the project: one fixed colour per cell, whatever else is shown.

The colours are those of Okabe and Ito (2008, Color Universal Design), which people with any colour vision
tell apart; black and yellow are left out, because each vanishes on one of the two backgrounds. A colour
depends on the cell's name alone, so that it is the same in every study; what shares a colour is told apart by
dash and marker.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass

BLUE, VERMILLION, ORANGE = "#0072B2", "#D55E00", "#E69F00"
GREEN, PURPLE, SKY = "#009E73", "#CC79A7", "#56B4E9"
PALETTE = (BLUE, VERMILLION, ORANGE, GREEN, PURPLE, SKY)
NEUTRAL = "#868E96"  # readable on white and on black

# The first chapter's cells appear together most often, so their colours are chosen, not drawn.
CHOSEN = {"lstm": BLUE, "gru": VERMILLION, "rnn": ORANGE, "peephole_lstm": GREEN, "coupled_lstm": PURPLE}
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up")


@dataclass(frozen=True)
class Style:
    """Colour (hex), line dash and marker symbol of one configuration."""

    colour: str
    dash: str
    symbol: str


def colour_of(cell: str) -> str:
    """Return the colour of a cell, a function of its name alone."""
    digest = hashlib.sha256(cell.encode()).digest()
    return CHOSEN.get(cell, PALETTE[digest[0] % len(PALETTE)])


def styles(cells: Mapping[str, str]) -> dict[str, Style]:
    """Return the style of each label; ``cells`` maps a label to its cell.

    Labels of one colour (several configurations of a cell) get different dashes and markers, by name.
    """
    taken: dict[str, int] = {}
    found = {}
    for label in sorted(cells):
        colour = colour_of(cells[label])
        number = taken.get(colour, 0)
        taken[colour] = number + 1
        found[label] = Style(colour, DASHES[number % len(DASHES)], SYMBOLS[number % len(SYMBOLS)])
    return found


def faded(colour: str, opacity: float) -> str:
    """Return a hex colour as ``rgba`` with an opacity from 0 to 1."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:.3g})"


def literal(text: str) -> str:
    """Return text that Plotly shows as it is; Plotly reads tags and links in every text that it draws."""
    return html.escape(str(text), quote=False)
