"""Tables as they are printed."""

import pandas as pd

from shl_utils.evaluation import cost, results
from shl_utils.reporting import html_page, plots, tables


def test_experiments_are_printed_with_their_intervals_and_what_is_not_comparable_in_parentheses():
    line = {"core_seconds": 12.4, "map": 0.55, "failed": 0}
    for metric in results.HEADLINE_METRICS:
        line |= {metric: 0.5, f"{metric}_low": 0.4, f"{metric}_high": 0.61, f"{metric}_sd": 0.012, f"{metric}_p": 0.03}
        line |= {f"{metric}_gain": -0.1, f"{metric}_gain_low": -0.2, f"{metric}_gain_high": 0.05}
    base = {"row": "base", "reference": True, "comparable": True, "micro_f1_sd": None, "micro_f1_p": None}
    other = {"row": "other", "reference": False, "comparable": False}
    shown = tables.ablation(pd.DataFrame([line | base, line | other]))
    assert shown.loc["(other)", "micro-F1"] == "50.0 [40.0, 61.0] ±1.2"
    assert shown.loc["(other)", "micro gain"] == "-10.0 [-20.0, +5.0] p 0.030"
    assert shown.loc["base", ["micro-F1", "micro gain", "core seconds"]].tolist() == ["50.0 [40.0, 61.0]", "", "12"]


def test_data_are_named_once_where_they_are_the_same():
    one, other = {"codes": "abc"}, {"codes": "def"}
    assert tables.identify_data({"a": one, "b": dict(one)}) == {"measured on": "codes abc"}
    assert tables.identify_data({"a": one, "b": other}) == {"measured on": "a: codes abc; b: codes def"}


def test_a_page_brings_what_sorts_its_tables():
    text = html_page.page("title", [html_page.table(pd.DataFrame({"a": [1]}))])
    assert html_page.sorting() in text
    assert 'class="dataframe"' in text


def trained(seconds, *, segments=0, runner="ours", one=False):
    """A way of `shl bench`. seconds: by factor on the learning rates and seed; the first factor is the chosen one."""
    line = {"predict_seconds": 2.0, "peak_memory_mb": 1500, "models": 7, "notes_seen": 20_000, "bytes": 3e6}
    line |= {"validation_ranking": 0.7, "micro_f1": 0.8, "macro_f1_present": 0.5, "revision": "abc"}
    lines = [line | {"factor": factor, "seed": seed, "seconds": value} for (factor, seed), value in seconds.items()]
    way = {"runner": runner, "changes": {"segmentation": "none"} if one else {}, "segments": segments}
    way |= {"factor": lines[0]["factor"], "trainings": lines, "flops": 2e12, "trainable_parameters": 5e5}
    return way


def bench(**ways):
    return {"matrix_rate": 1e11, "ways": {name: way | {"name": name} for name, way in ways.items()}}


def test_seconds_are_compared_seed_by_seed_at_the_chosen_rates():
    found = bench(
        theirs_one=trained({(1.0, 0): 100, (1.0, 1): 120}, runner="Trainer", one=True),
        theirs=trained({(0.5, 0): 400, (0.5, 1): 600, (1.0, 0): 9}, runner="Trainer"),
        ours=trained({(1.0, 0): 50, (2.0, 0): 7, (1.0, 1): 60}),
    )
    gain = {"micro_f1": 0.01, "micro_f1_low": -0.02, "micro_f1_high": 0.03}
    found["ways"]["ours"]["gain"] = gain | {f"macro_f1_present{end}": 0.0 for end in results.ENDS}
    line = tables.training_cost(found).loc["ours"]
    assert line["x one"] == "0.50 (0.50 to 0.50)"
    assert line["x segments"] == "0.11 (0.10 to 0.12)", "50 of 400, 60 of 600"
    assert line["seconds"] == "55"
    assert line["of matrix rate"] == "36%", "2 10^12 in 55 s"
    assert line["micro gain"] == "+1.0 [-2.0, +3.0]"
    assert line["micro-F1"] == "80.0 ±0.0"
    alone = bench(ours=trained({(1.0, 0): 50}))
    assert tables.training_cost(alone).loc["ours", ["x one", "x segments", "micro gain"]].tolist() == ["", "", ""]


def test_cost_by_number_of_segments_is_a_mean_over_seeds_at_the_chosen_rates():
    many = trained({(1.0, 0): 90, (1.0, 1): 110, (2.0, 0): 9000}, segments=14)
    found = bench(many=many, one=trained({(1.0, 0): 40}, segments=1), other=trained({(1.0, 0): 5}))
    table = cost.by_segment_count(found)
    assert table["seconds"].to_dict() == {1: 40.0, 14: 100.0}
    _, axes = plots.plt.subplots(1, 3)
    plots.segment_counts(table, axes)
    assert axes[0].get_title(loc=plots.plt.rcParams["axes.titlelocation"]) == "14 segments: 2.5 times the seconds of 1"
    assert tables.segment_cost(found).loc[14, ["seconds", "micro-F1"]].tolist() == ["100", "80.0"]
    assert tables.training_cost(found).index.tolist() == ["other"]
    assert cost.by_segment_count(bench()).empty
