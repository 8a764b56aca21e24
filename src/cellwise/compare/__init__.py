"""From the runs of a study to rows and sentences; numpy and scipy only."""

from cellwise.compare.improvement import probability_of_improvement
from cellwise.compare.power import seeds_needed, smallest_detectable_difference
from cellwise.compare.statistics import holm, interquartile_mean, mean_interval, paired_difference

__all__ = [
    "holm",
    "interquartile_mean",
    "mean_interval",
    "paired_difference",
    "probability_of_improvement",
    "seeds_needed",
    "smallest_detectable_difference",
]
