"""Mirrors of a run's record: Weights & Biases, TensorBoard, a CSV file; never a source of it, never its end."""
