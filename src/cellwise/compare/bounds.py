"""Where an objective's values end, so that no interval is shown where no score can be.

A t interval knows nothing of such an end: that of two errors near 0 reaches far below 0. It is computed as it is, and
cut where it is shown.
"""

from __future__ import annotations

import math

# The least value that each objective of ours can have at all, whatever the data.
_LEAST = {"bits_per_character": 0.0, "mse": 0.0, "perplexity": 1.0}


def least_value(objective: str, direction: str, optimum: float | None) -> float:
    """Return the value below which no score of an objective can be; minus infinity where none is known.

    Of an objective that is not listed here, the optimum is one where it is 0 and less is better: an error. Another
    optimum is none: that of a source with chance in it is an expectation, which a score on a few examples may pass.
    """
    if objective in _LEAST:
        return _LEAST[objective]
    return 0.0 if direction == "min" and optimum == 0 else -math.inf
