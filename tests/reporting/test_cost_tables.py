"""Tables of what benches measured."""

from shl_utils.evaluation import cost, measurement
from shl_utils.reporting import cost_tables, plots


def trained(seconds, *, segments=0, runner="ours", one=False):
    """A way of `shl bench`. seconds: by factor on the learning rates and seed; the first factor is the chosen one."""
    line = {"predict_seconds": 2.0, "peak_memory_mb": 1500, "models": 7, "notes_seen": 20_000, "bytes": 3e6}
    line |= {"validation_ranking": 0.7, "micro_f1": 0.8, "macro_f1_present": 0.5, "revision": "abc"}
    lines = [line | {"factor": factor, "seed": seed, "seconds": value} for (factor, seed), value in seconds.items()]
    changes = {"segmentation": "none"} if one else {"eta": 0.25}
    way = {"runner": runner, "changes": changes, "segments": segments}
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
    found["ways"]["ours"]["gain"] = gain | {f"macro_f1_present{end}": 0.0 for end in measurement.ENDS}
    line = cost_tables.training(found).loc["ours"]
    assert line["x one"] == "0.50 (0.50 to 0.50)"
    assert line["x segments"] == "0.11 (0.10 to 0.12)", "50 of 400, 60 of 600"
    assert line["seconds"] == "55"
    assert line["of peak"] == "36%", "2 10^12 in 55 s"
    assert line[["micro gain", "micro verdict"]].tolist() == ["+1.0 [-2.0, +3.0]", "inconclusive"]
    assert line["micro-F1"] == "80.0 ±0.0"
    alone = bench(ours=trained({(1.0, 0): 50}))
    assert cost_tables.training(alone).loc["ours", ["x one", "x segments", "micro gain"]].tolist() == ["", "", ""]


def test_cost_by_number_of_segments_is_a_mean_over_seeds_at_the_chosen_rates():
    many = trained({(1.0, 0): 90, (1.0, 1): 110, (2.0, 0): 9000}, segments=14)
    found = bench(many=many, one=trained({(1.0, 0): 40}, segments=1))
    table = cost.by_segment_count(found)
    assert table["seconds"].to_dict() == {1: 40.0, 14: 100.0}
    _, axes = plots.plt.subplots(1, 2)
    plots.segment_counts(table, axes)
    assert axes[0].get_title(loc=plots.plt.rcParams["axes.titlelocation"]) == "14 segments: 2.5 x the seconds of 1"
    assert cost_tables.segments(found).loc[14, ["eta", "seconds", "micro-F1"]].tolist() == ["0.25", "100", "80.0"]


def test_sizes_stand_side_by_side():
    line = {"csv_mb": 740.4, "load seconds": 3.2, "load peak_memory_mb": 1260, "03_train seconds": 74, "01 csv": 0}
    line |= {"03_train peak_memory_mb": 1900}
    table = cost_tables.sizes({"notes": {"1000": line | {"csv_mb": 80}, "10000": line}})
    assert table.index.tolist() == ["CSV", "load", "03_train"]
    assert table["10,000 notes"].tolist() == ["0.74 GB", "3 s, 1.3 GB", "74 s, 1.9 GB"]
    assert table.loc["CSV", "1,000 notes"] == "0.08 GB"
