"""Helper package of the Segmented Harmonic Loss notebooks (Ray et al. 2023, arXiv 2310.04595)."""

__version__ = "0.5.0"
