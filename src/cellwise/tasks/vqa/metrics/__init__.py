"""The accuracy of visual question answering, as the official script computes it."""

from cellwise.tasks.vqa.metrics.accuracy import credit_of, official_accuracy

__all__ = ["credit_of", "official_accuracy"]
