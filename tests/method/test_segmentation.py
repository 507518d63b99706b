"""Segments of codes: hand-worked boundaries, and a slow exact reference."""

import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shl_utils.method.segmentation import segment

counts_of_codes = st.lists(st.integers(1, 60) | st.integers(1, 5000), min_size=1, max_size=60)
etas = st.sampled_from([0.125, 0.25, 0.5, 1.0, 2.0])  # exact in binary, so that the reference can be exact


def reference(counts, eta):
    """The rule word for word, one code at a time, in fractions."""
    order = sorted(range(len(counts)), key=lambda i: counts[i])
    names, start, name = [0] * len(counts), 0, 0
    while start < len(order):
        end = start + 1
        while end < len(order):
            values = [counts[order[i]] for i in range(start, end + 1)]
            mean = Fraction(sum(values), len(values))
            variance = sum((v - mean) ** 2 for v in values) / len(values)
            if variance > (Fraction(eta) * values[0]) ** 2:
                while counts[order[end - 1]] == counts[order[end]]:
                    end -= 1
                break
            end += 1
        for i in range(start, end):
            names[order[i]] = name
        start, name = end, name + 1
    return names


def test_by_hand():
    # deviation of 1,1,2 is 0.47 <= 0.5; with 3 it is 0.83. Of 3 alone 0; with 8 it is 2.5 > 1.5. Of 8,10: 1 <= 4
    assert segment([1, 1, 2, 3, 8, 10, 30, 700], eta=0.5).tolist() == [0, 0, 0, 1, 2, 2, 3, 4]


def test_bound_itself_is_allowed():
    assert segment([2, 4], eta=0.5).tolist() == [0, 0]  # deviation 1, bound 1
    assert segment([2, 5], eta=0.5).tolist() == [0, 1]


def test_ties_move_the_boundary_back():
    # 4,4,5: 0.47; the second 7 would break the bound of 1, the first would not: both open the next segment
    assert segment([3, 4, 4, 5, 7, 7, 7], eta=0.5).tolist() == reference([3, 4, 4, 5, 7, 7, 7], 0.5)
    assert segment([2, 3, 4, 4, 4], eta=0.375).tolist() == [0, 0, 1, 1, 1]


@given(counts_of_codes, etas)
def test_equals_the_rule_word_for_word(counts, eta):
    assert segment(counts, eta=eta).tolist() == reference(counts, eta)


@pytest.mark.parametrize("counts", [[0, 1], [], [[1, 2]], [-3]])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match=r"training note|one number per code"):
        segment(counts, eta=0.5)


@pytest.mark.parametrize("eta", [0, -1, float("nan"), float("inf")])
def test_impossible_eta_is_refused(eta):
    with pytest.raises(ValueError, match="eta must be above"):
        segment([1, 2], eta=eta)


def test_a_power_law_of_ratio_700_gives_six_to_eight_segments():
    counts = (700 * np.arange(1, 701) ** -1.0).astype(int)
    assert 6 <= segment(counts, eta=0.5).max() + 1 <= 8


def test_a_million_codes_in_under_a_second():
    # the one bound on time that is part of the promise; it takes about 0.15 s
    counts = np.random.default_rng(0).permutation(1_000_000) + 1
    started = time.process_time()  # whoever else is at work does not count
    segment(counts, eta=0.5)
    assert time.process_time() - started < 1
