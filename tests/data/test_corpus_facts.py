"""A corpus is described by hand."""

import numpy as np
from scipy import sparse

from shl_utils.data.corpus_facts import describe


def test_a_corpus_is_described_before_training():
    labels = sparse.csr_array(np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0]]))
    assert describe(labels, np.array([1, 0, 0])) == {
        "training notes": 5,
        "codes": 3,
        "codes per note": 7 / 5,
        "training notes per code, median": 2,
        "segments": 2,
        "training notes per segment, median": 3,
        "segments per note with a code": 6 / 4,
        "share of shared notes": 2 / 4,
    }
