"""Grids of configurations, and what their comparison says of the paper's claims."""
