"""Scores of nowcasts: each a sum over frames that is divided at the end, each under a mask.

Wherever forecast or observation is NaN, the pixel is in no score. What is undefined (no events, no whole window) is
NaN, never 0 and never 1.
"""

from cellwise.tasks.nowcasting.metrics.categorical import Contingency, contingency
from cellwise.tasks.nowcasting.metrics.verification import Verification

__all__ = ["Contingency", "Verification", "contingency"]
