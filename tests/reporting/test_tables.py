"""Tables as they are printed."""

import numpy as np
import pandas as pd
from made_up import invented_record

from shl_utils.evaluation import results
from shl_utils.reporting import formats, html_page, tables, training_tables


def test_numbers_are_printed_with_as_many_decimals_as_their_column_needs():
    table = pd.DataFrame({"notes": [25, 3000], "share": [2.0, np.nan], "kept": [True, False], "code": ["a", "b"]})
    shown = formats.rounded(table, 2)
    assert shown.loc[0].tolist() == ["25", "2", True, "a"]
    assert shown.loc[1].tolist() == ["3,000", "", False, "b"]
    assert formats.rounded(table.assign(share=[2.0, 0.125]), 2)["share"].tolist() == ["2.00", "0.12"]


def test_experiments_are_printed_with_their_intervals_and_what_is_not_comparable_in_parentheses():
    line = {"core_seconds": 12.4, "map": 0.55, "failed": 0}
    for metric in results.HEADLINE_METRICS:
        line |= {
            metric: 0.5,
            f"{metric}_low": 0.4,
            f"{metric}_high": 0.61,
            f"{metric}_sd": 0.012,
            f"{metric}_p": 0.03,
            f"{metric}_p_holm": 0.09,
        }
        line |= {f"{metric}_gain": -0.1, f"{metric}_gain_low": -0.2, f"{metric}_gain_high": 0.05}
    base = {"row": "base", "reference": True, "comparable": True, "micro_f1_sd": None, "micro_f1_p": None}
    base |= {"micro_f1_p_holm": None}
    other = {"row": "other", "reference": False, "comparable": False}
    shown = tables.ablation(pd.DataFrame([line | base, line | other]))
    assert shown.loc["(other)", "micro-F1"] == "50.0 [40.0, 61.0] ±1.2"
    assert shown.loc["(other)", "micro gain"] == "-10.0 [-20.0, +5.0] †", "p says otherwise"
    assert shown.loc["(other)", "micro p"] == "0.0300 / 0.0900"
    tiny = tables.ablation(pd.DataFrame([line | base, line | other | {"micro_f1_p": 2e-5, "micro_f1_p_holm": 1e-4}]))
    assert tiny["micro p"].tolist() == ["", "<0.0001 / 0.0001"]
    assert shown.loc["base", ["micro-F1", "micro gain", "core seconds"]].tolist() == ["50.0 [40.0, 61.0]", "", "12"]


def test_precision_and_recall_leave_out_what_is_not_comparable():
    line = {"row": "a", "comparable": True, "micro_precision": 0.75, "micro_recall": 2 / 3}
    line |= {"false_positives": 1234.0, "positives": 90.0}
    shown = tables.precision_and_recall(pd.DataFrame([line, line | {"row": "b", "comparable": False}]))
    assert shown.T.to_dict("list") == {"a": ["75.0", "66.7", "1,234", "90"]}


def test_the_best_epoch_is_counted_as_curves_are_drawn():
    shown = training_tables.segments([invented_record(), invented_record(segment=1, best_epoch=None)])
    assert shown["best epoch"].tolist() == ["1", ""]


def test_data_are_named_once_where_they_are_the_same():
    one, other = {"codes": "abc"}, {"codes": "def"}
    assert tables.identify_data({"a": one, "b": dict(one)}) == {"measured on": "codes abc"}
    assert tables.identify_data({"a": one, "b": other}) == {"measured on": "a: codes abc; b: codes def"}


def test_a_page_brings_what_sorts_its_tables():
    text = html_page.page("title", [html_page.table(pd.DataFrame({"a": [1]}))])
    assert html_page.sorting() in text
    assert 'class="dataframe"' in text
