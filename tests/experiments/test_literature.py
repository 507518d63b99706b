"""Published tables: groups by hand, and only where the codes are the same."""

from dataclasses import replace

import numpy as np
import pytest

from shl_utils.evaluation import measurement
from shl_utils.experiments import literature
from shl_utils.parameters import check


def test_groups_and_seeds_by_hand():
    counts = np.repeat([100, 35, 34, 9, 8, 1], 15)
    truth = np.ones((1, 90), dtype=np.int8)
    found, half = truth.copy(), truth.copy()
    found[:, counts <= 8] = 0  # the whole tail is missed
    half[:, :45] = 0  # the head and half the medium codes are missed
    measured = measurement.measure(
        truth, [found, half], check({"bootstrap_draws": 100}), patients=np.arange(len(truth))
    )
    table = literature.beside("reuters", {"id": replace(measured, name="ours")}, counts)
    assert "macro (over all codes" in table.index.name, "other tables have another macro"
    assert table.columns.tolist() == ["all (90)", "head (30)", "medium (30)", "tail (30)"]
    micro = [2 * 60 / 150, 2 * 45 / 135]
    macro = [60 / 90, 45 / 90]
    assert table.loc["ours", "all (90)"] == f"{100 * np.mean(micro):.1f} / {100 * np.mean(macro):.1f}"
    assert table.loc["ours", "head (30)"] == "50.0 / 50.0"
    assert table.loc["ours", "medium (30)"] == f"{100 * (1 + 2 / 3) / 2:.1f} / 75.0"
    assert table.loc["published: distribution-balanced", "all (90)"] == "90.6 / 64.5"


@pytest.mark.parametrize(("source", "codes"), [("openi", 90), ("reuters", 60)])
def test_other_codes_have_nothing_beside_them(source, codes):
    assert literature.beside(source, {}, np.ones(codes)) is None
