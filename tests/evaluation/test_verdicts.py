"""The rule that turns an interval into a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shl_utils.evaluation import resampling, verdicts
from shl_utils.evaluation.verdicts import verdict


@pytest.mark.parametrize(
    ("low", "high", "micro", "macro"),
    [
        (0.001, 0.002, "gains", "gains"),
        (-0.3, -0.001, "loses", "loses"),
        (-0.009, 0.009, "equivalent", "equivalent"),
        (-0.011, 0.001, "inconclusive", "equivalent"),
        (-0.001, 0.031, "inconclusive", "inconclusive"),
        (0.0, 0.005, "equivalent", "equivalent"),
        (float("nan"), float("nan"), "not tested", "not tested"),
    ],
)
def test_verdicts_by_hand(low, high, micro, macro):
    assert (verdict(low, high, "micro_f1"), verdict(low, high, "macro_f1_present")) == (micro, macro)
    assert verdicts.MARGINS.keys() == resampling.HEADLINE_METRICS.keys()


@given(st.floats(-1, 1), st.floats(0, 1))
def test_a_change_and_its_reverse_have_mirrored_verdicts(low, width):
    mirror = {"gains": "loses", "loses": "gains"}
    for metric in verdicts.MARGINS:
        said = verdict(low, low + width, metric)
        assert verdict(-low - width, -low, metric) == mirror.get(said, said)


def test_an_interval_and_a_p_may_disagree():
    assert verdicts.disagree(0.001, 0.02, 0.06)
    assert verdicts.disagree(-0.001, 0.02, 0.04)
    assert not verdicts.disagree(0.001, 0.02, 0.04)
    assert not verdicts.disagree(-0.001, 0.02, 0.06)
    assert not verdicts.disagree(0.001, 0.02, float("nan"))
