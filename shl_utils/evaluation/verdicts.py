"""What an interval of a difference in F1 says: one rule for every table and sentence."""

from __future__ import annotations

GAINS, LOSES, EQUIVALENT, INCONCLUSIVE, UNTESTED = "gains", "loses", "equivalent", "inconclusive", "not tested"
TESTED = (GAINS, LOSES, EQUIVALENT, INCONCLUSIVE)
MARGINS = {"micro_f1": 0.01, "macro_f1_present": 0.03}  # differences in F1 that are taken as none
LEVEL = 0.05  # of tests and intervals
MARK = "†"
MARKED = "the interval of the gain and the uncorrected p disagree: take it as inconclusive"
TIGHT = "‡"  # an interval over splits that is narrower than so many independent ones would allow


def verdict(low: float, high: float, metric: str) -> str:
    """One of TESTED, or UNTESTED where the ends are NaN.

    low, high: of the 95% interval of a difference, from -1 to 1. metric: of MARGINS. An interval of 95% within the
    margins is two one-sided tests at 2.5% each (Schuirmann 1987).
    """
    if low != low:
        return UNTESTED
    if low > 0:
        return GAINS
    if high < 0:
        return LOSES
    margin = MARGINS[metric]
    return EQUIVALENT if -margin < low and high < margin else INCONCLUSIVE


def disagree(low: float, high: float, p: float) -> bool:
    """Whether a 95% interval and an uncorrected p answer differently whether there is a difference."""
    return bool(p == p and (p < LEVEL) != (low > 0 or high < 0))
