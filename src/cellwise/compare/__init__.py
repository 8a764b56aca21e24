"""From the runs of a study to rows and sentences; numpy and scipy only."""

from cellwise.compare.statistics import (
    holm,
    interquartile_mean,
    mean_interval,
    paired_difference,
    seeds_needed,
    smallest_detectable_difference,
)

__all__ = [
    "holm",
    "interquartile_mean",
    "mean_interval",
    "paired_difference",
    "seeds_needed",
    "smallest_detectable_difference",
]
