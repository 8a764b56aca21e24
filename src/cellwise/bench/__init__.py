"""Measures what the project promises, each as a ratio or a time in one run; timings of shared machines are noisy."""
