"""Measured claims: every figure is a ratio of two things timed in one run, interleaved, as medians."""
