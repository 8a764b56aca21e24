"""Measures what the project promises, each as a ratio or a time in one run; timings of shared machines are noisy.

`parts.py` lists what can be measured, `run.py` measures it and writes the record. A part returns rows (a thing timed at
a shape) and findings (a number, often with a goal). Everything that is timed is first compared with the reference.
"""
