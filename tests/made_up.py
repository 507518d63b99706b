"""Figures of a row that were never measured, for tests of what is made of them."""

import numpy as np
from scipy import sparse

from shl_utils import evaluation


def invented(f1, draws=50):
    """A row's figures: `f1` everywhere, its draws around it by the same noise for all rows."""
    noise = np.random.default_rng(0).normal(0, 0.01, draws)
    return evaluation.Measured(
        points={figure: f1 for figure in evaluation.FIGURES},
        samples={figure: f1 + noise for figure in evaluation.FIGURES},
        seeds={figure: np.array([f1]) for figure in evaluation.FIGURES},
        truth=sparse.csr_array((1, 1), dtype=np.int8),
        predicted=[],
    )
