"""What the textbooks say of a cell in words, shown on a real run: gates, memory, gradients, spectrum."""

from typing import Literal

Level = Literal["off", "light", "full"]
"""How closely a run is looked at; see conf/config.yaml."""
