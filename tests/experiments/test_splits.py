"""One comparison on several splits."""

import numpy as np
import pandas as pd
import pytest

from shl_utils.experiments import splits


def table(gain, **more):
    lines = []
    for key, value in {"base": 0.0, "other": gain, **more}.items():
        ends = {m: 0.5 + value for m in ("micro_f1", "macro_f1_present")} | {
            "row": key,
            "comparable": True,
            "failed": 1,
        }
        ends |= {"micro_f1_low": 0.1, "micro_f1_sd": 0.2, "micro_f1_p_holm": 0.3, "reference": key == "base"}
        for metric in tuple(ends)[:2]:
            ends |= {f"{metric}_gain": value, f"{metric}_gain_low": value - 0.1, f"{metric}_gain_high": value + 0.1}
        lines.append(ends)
    return pd.DataFrame(lines, index=["base", "other", *more])


def test_a_gain_over_splits_by_hand():
    found = splits.pool([table(0.1), table(0.2), table(0.3, third=1.0)], test_to_train=0.25)
    assert found.index.tolist() == ["base", "other"], "what all splits have"
    line = found.loc["other"]
    # t of 2 degrees of freedom: 4.3027; s = 0.1; 1/3 + 1/4 in place of 1/3
    half = 4.3027 * 0.1 * (7 / 12) ** 0.5
    assert line["micro_f1"] == pytest.approx(0.7)
    ends = line[["micro_f1_gain", "micro_f1_gain_low", "micro_f1_gain_high"]].tolist()
    assert ends == pytest.approx([0.2, 0.2 - half, 0.2 + half], rel=1e-4)
    assert line["failed"] == 3
    assert line["micro_f1_p_holm"] == line["micro_f1_p"], "one row is tested"
    assert not {"micro_f1_low", "micro_f1_sd"} & set(found), "those are of the first split"
    assert found.loc["base", "micro_f1_gain_high"] == 0
    assert np.isnan(found.loc["base", "micro_f1_p"])


def test_an_interval_that_is_narrower_than_the_notes_allow_is_tight():
    """Single splits have 0.2; a mean of two of them 0.2 / 2^0.5 = 0.141; t of 1 degree is 12.706, and s = d / 2^0.5."""
    for apart, tight in ((0.009, True), (0.0095, False)):
        line = splits.pool([table(0.1), table(0.1 + apart)], test_to_train=0.2).loc["other"]
        width = 2 * 12.706 * apart / 2**0.5 * (1 / 2 + 0.2) ** 0.5
        assert line["micro_f1_gain_high"] - line["micro_f1_gain_low"] == pytest.approx(width, rel=1e-3)
        assert line["micro_f1_gain_tight"] == (width < 0.2 / 2**0.5) == tight


def test_p_and_interval_agree():
    for gain in (0.01, 0.05, 0.1, 0.2):
        line = splits.pool([table(gain), table(gain + 0.03), table(gain - 0.02)], test_to_train=0.2).loc["other"]
        assert (line["micro_f1_p"] < 0.05) == (line["micro_f1_gain_low"] > 0)


def test_gains_that_do_not_vary():
    assert splits.pool([table(0.1), table(0.1)], test_to_train=0.2).loc["other", "micro_f1_p"] == pytest.approx(0)
    assert splits.pool([table(0.0), table(0.0)], test_to_train=0.2).loc["other", "micro_f1_p"] == 1


def test_changes_over_splits_by_hand():
    ends = {f"{m}{end}": 0.0 for m in ("micro_f1", "macro_f1_present") for end in ("_low", "_high")}
    tables = [
        pd.DataFrame([ends | {"micro_f1": gain, "macro_f1_present": 0.0, "pairs": 2}], index=["eta for none"])
        for gain in (0.1, 0.2, 0.3)
    ]
    line = splits.pool_changes(tables, test_to_train=0.25).loc["eta for none"]
    assert line["micro_f1_low"] == pytest.approx(0.2 - 4.3027 * 0.1 * (7 / 12) ** 0.5, rel=1e-4)
    assert line["pairs"] == 2


def test_claims_over_splits_have_verdicts_of_their_own():
    def lines(gain):
        metrics = {"metric": ["micro_f1", "macro_f1_present"], "gain": [gain, np.nan], "low": 0.0, "high": 0.2}
        return pd.DataFrame(metrics | {"verdict": "inconclusive"}, index=pd.Index(["it gains"] * 2, name="claim"))

    found = splits.pool_claims([lines(0.10), lines(0.11), lines(0.12)], test_to_train=0.2)
    assert found["gain"].tolist() == pytest.approx([0.11, np.nan], nan_ok=True)
    assert found["verdict"].tolist() == ["gains", "not tested"]
    assert found["mark"].tolist() == ["‡", ""], "narrower than 0.2 over the root of 3"
    assert set(found["run"]) == {"3 splits"}
