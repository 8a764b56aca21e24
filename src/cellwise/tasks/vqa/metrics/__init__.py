"""The accuracy of visual question answering, as the official script computes it."""

from cellwise.tasks.vqa.metrics.accuracy import official_accuracy

__all__ = ["official_accuracy"]
