"""What a run cost, read back from what it left; what may be removed; how operations grow."""

import json
import shutil

import pandas as pd
import pytest
from conftest import PROJECT, shl

from shl_utils.encoder import encoder, weight_files
from shl_utils.evaluation import cost, disk
from shl_utils.parameters import STAGES, check
from shl_utils.reporting import findings
from shl_utils.training import variants
from shl_utils.training.segment_record import SegmentRecord


def test_a_runs_cost_is_what_its_models_say(smoke):
    folder, _ = smoke
    lines, spent = cost.segments(folder), cost.stages(folder)
    assert list(spent.index) == list(STAGES)
    assert {"main", "reference"} < set(lines["model"])
    record = SegmentRecord.read(folder / "reference" / "segments" / "0")
    reference = lines[lines["model"] == "reference"].iloc[0]
    assert reference["notes"] == (record.positives + record.negatives_per_pass) * len(record.history)
    assert reference["core_seconds"] == record.seconds * record.threads
    sums = cost.models(lines)
    assert sums["segments"].sum() == len(lines)
    main = lines[lines["model"] == "main"]
    assert sums.loc["main", "MB_kept"] == main["MB_kept"].sum() == pytest.approx(disk.size(folder / "segments") / 1e6)


def test_what_a_bench_trained_is_no_model_of_the_run(smoke, tmp_path):
    folder, _ = smoke
    for place in ("reference", "bench/one"):
        shutil.copytree(folder / "reference" / "segments", tmp_path / place / "segments")
    assert set(cost.segments(tmp_path)["model"]) == {"reference"}


def test_segments_against_one_model_by_hand():
    lines = pd.DataFrame({"model": ["main", "main", "reference"], "segment": [0, 1, 0], "notes": [30, 50, 40]})
    lines = lines.assign(trainable_parameters=1, core_seconds=[2.0, 4.0, 3.0], MB_kept=1)
    a_note = pd.Series({"frozen": 5.0, "trained": 2.0})
    ratios = cost.against_one(lines, a_note, notes=20, reference="reference")
    assert ratios.tolist() == [2, 2, (20 * 5 + 80 * 2) / (20 * 5 + 40 * 2), 2]
    said = "2 models instead of the one plain BCE model: 2.0 times the notes seen in training, 1.4 "
    assert findings.summarize_costs(ratios).startswith(said)
    alone = cost.against_one(lines, a_note, notes=20, reference=variants.MAIN)
    assert alone.tolist() == [1, 1, 1, 1], "a main model that is the reference, beside one of earlier parameters"
    assert findings.summarize_costs(alone * [1, 2, 2, 2]).startswith(
        "One model instead of the one plain BCE model: 2.0 "
    )
    assert (
        findings.summarize_costs(alone) == "The run trained one model of all codes, which costs what one model costs."
    )


def test_cleaning_takes_what_is_made_again_and_no_more(smoke, tmp_path):
    folder = tmp_path / "smoke"
    shutil.copytree(smoke[0], folder)
    (folder / "segments" / "0.epoch").write_bytes(b"123")
    (folder / "bench" / "0").mkdir(parents=True)
    (folder / "bench" / "training.json").write_text("{}")
    trunk, before = disk.size(folder / "trunk"), disk.usage(folder)
    assert before.sum() == pytest.approx(disk.size(folder) / 1e6)
    kept = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "trunk" not in path.parts}
    del kept[folder / "segments" / "0.epoch"]
    done = shl("clean", PROJECT / "params" / "smoke.yaml", SHL_RUNS=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"{(trunk + 3) / 1e6:.1f} MB removed" in done.stdout
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == kept
    again = shl("run", PROJECT / "params" / "smoke.yaml", SHL_RUNS=str(tmp_path))
    assert again.stdout.count("done before, kept") == len(STAGES)


def test_a_run_that_is_not_there_cannot_be_cleaned(tmp_path):
    done = shl("clean", PROJECT / "params" / "smoke.yaml", SHL_RUNS=str(tmp_path))
    assert done.returncode == 2
    assert "is not there: nothing was run yet" in done.stderr


def test_operations_by_hand():
    _, base = encoder.load(weight_files.MINILM)
    parameters = check({"lora_layers": 1, "lora_rank": 8, "lora_targets": "all"})
    by_tokens, by_codes = cost.growth(base, parameters, tokens=[32, 64], codes=[10, 1000])
    width, inner, n = 384, 1536, 32
    maps = 2 * n * (4 * width**2 + 2 * width * inner)  # of a layer: query, key, value, output, and two of the inner
    attention = 2 * 2 * n**2 * width
    assert by_tokens.loc[32, "frozen"] == 5 * (maps + attention)
    assert by_codes["frozen"].nunique() == 1
    more = by_codes.loc[1000, "trained"] - by_codes.loc[10, "trained"]
    assert more == 3 * 2 * width * 990, "the head: forward, and backward to its weights and its input"
    lora = 2 * n * 8 * (5 * width + inner)  # a rank of 8 times the widths that go into the six maps, or out of them
    forward = maps + attention + 2 * lora
    inside = 2 * n * (width**2 + 2 * width * inner)  # of the three maps whose input needs a gradient
    backward = inside + 2 * attention + 3 * lora + 2 * n * 8 * (2 * width + inner)
    assert by_codes.loc[10, "trained"] == forward + backward + 3 * 2 * width * 10
    whole, _ = cost.growth(base, parameters.model_copy(update={"lora_layers": -1}), tokens=[32], codes=[10])
    assert whole.loc[32, "frozen"] == 0
    assert whole.loc[32, "trained"] > by_tokens.loc[32].sum()


def test_benches_are_shown_where_they_were_made(tmp_path):
    assert cost.benches(tmp_path) == {}
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "sizes.json").write_text(json.dumps({"notes": {"100": {"load seconds": 1.5}}}))
    assert cost.benches(tmp_path) == {"sizes": {"notes": {"100": {"load seconds": 1.5}}}}
