"""Benchmarks of the cost of training, for `shl bench`; no run imports them."""
