"""Grids of experiments, and what their comparison says about the paper's claims."""
