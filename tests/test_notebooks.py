"""The notebooks as users run them: `shl run`, plain papermill, an interruption, and notes that must not leak."""

import csv
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import nbformat
import pandas as pd
import pyarrow.parquet as pq
import pytest
from conftest import LACKING, PRIMER, PROJECT, shl
from safetensors.torch import load_file, save_file

from shl_utils import runner
from shl_utils.data import corpus
from shl_utils.data.sources import synthetic
from shl_utils.encoder import weight_files
from shl_utils.evaluation import predictions, results
from shl_utils.inference import coding, export
from shl_utils.parameters import STAGES, check
from shl_utils.reporting import site, tables
from shl_utils.runs import mixed_precision, reuse, stages, stamps
from shl_utils.training import jobs, similarities, variants

SMOKE = PROJECT / "params" / "smoke.yaml"
SECRET = "zqxfarnholm"


def started(place, text, *words, **variables):
    """What `shl run` says of a parameter file with this text, in a folder of runs there."""
    path = place / "p.yaml"
    path.write_text(text, encoding="utf-8")
    return shl("run", path, *words, SHL_RUNS=str(place / "runs"), **variables)


def cells(folder, stage):
    """Cells of code of an executed notebook."""
    found = nbformat.read(folder / "notebooks" / f"{stage}.ipynb", as_version=4).cells
    return [cell for cell in found if cell.cell_type == "code"]


def outputs(folder, stage):
    return [output for cell in cells(folder, stage) for output in cell.outputs]


def provenance(folder):
    return json.loads((folder / "provenance.json").read_text())


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_artefacts_are_there(smoke):
    folder, done = smoke
    for stage in STAGES:
        assert all(cell.get("execution_count") for cell in cells(folder, stage))
        assert f"{stage}: done" in done.stdout
    assert list(pq.read_schema(folder / "filter.parquet").names) == ["note", "code", "similarity", "kept"]
    segments = pd.read_parquet(folder / "segments.parquet")
    assert list(segments.columns) == ["code", "description", "train_count", "segment"]
    assert segments["train_count"].min() >= 1
    assert segments.groupby("segment")["train_count"].min().is_monotonic_increasing
    for k in segments["segment"].unique():
        assert (folder / "segments" / str(k) / "adapter_model.safetensors").exists()


def test_every_picture_has_its_words(smoke):
    for stage in STAGES[:-1]:
        pictures = [o for o in outputs(smoke[0], stage) if "image/png" in o.get("data", {})]
        assert pictures, stage
        assert all(len(o.metadata["image/png"]["alt"]) > 20 for o in pictures), stage


def test_figures_are_complete_and_measured_on_given_labels(smoke):
    metrics = json.loads((smoke[0] / "metrics.json").read_text())
    assert metrics["test_labels"] == "as the source has them"
    assert set(metrics["models"]) == {"segments, sh_focal, filter", "one model, bce, no filter", "TF-IDF + logistic"}
    for row in metrics["models"].values():
        assert 0 <= row["micro_f1_low"] <= row["micro_f1"] <= row["micro_f1_high"] <= 1
        assert 0 < row["threshold"] < 1
    table = pd.read_parquet(smoke[0] / "ablation.parquet")
    assert len(table) == 6
    assert "TF-IDF + logistic" in table["row"].tolist()
    assert "| one model, bce, no filter |" in smoke[1].stdout
    assert "\r" not in smoke[1].stderr, "bars are lines where no terminal is"


def test_what_is_printed_is_defined_where_it_is_printed(smoke):
    folder, done = smoke
    macro = f"- macro: {tables.DEFINITIONS['macro']}"
    for text in (done.stdout, *((folder / name).read_text() for name in ("ablation.md", "verdict.md"))):
        assert macro in text
    for stage in ("05_ablate", "07_verdict"):
        assert any(macro in o.get("data", {}).get("text/markdown", "") for o in outputs(folder, stage))
    assert "- mAP: " in done.stdout
    assert "- p: of no gain" in done.stdout


def test_saved_thresholds_are_those_that_validation_gives(smoke):
    folder, _ = smoke
    parameters = check(provenance(folder)["parameters"])
    notes = corpus.read(folder)
    gold = similarities.read_labels(folder, notes, parameters)
    for place in (folder, folder / "reference", folder / "tfidf"):
        found = predictions.read(place / "predictions.parquet", notes)
        saved = pd.read_parquet(place / "thresholds.parquet")
        pd.testing.assert_frame_equal(saved, results.threshold_table(notes, gold, found, parameters))


def test_predictions_carry_their_codes_and_leave_out_training_notes(smoke):
    table = pq.read_table(smoke[0] / "predictions.parquet")
    codes = pd.read_parquet(smoke[0] / "codes.parquet")["code"].tolist()
    assert json.loads(table.schema.metadata[b"codes"]) == codes
    assert set(table["split"].to_pylist()) == {"validation", "test"}
    assert len(table["probability"][0]) == len(codes)


def test_the_filter_is_measured_against_the_truth(smoke):
    facts = provenance(smoke[0])["stages"]["01_filter"]["against_truth"]
    assert facts["without evidence"] > 0
    assert 0 <= facts["precision"] <= 1
    assert 0 <= facts["recall"] <= 1


def test_provenance_is_complete(smoke):
    facts, asked = provenance(smoke[0]), check({"run": "smoke"} | runner.read(SMOKE)[0])
    assert set(facts["stages"]) == set(STAGES)
    assert facts["parameters"] == asked.model_dump(exclude={"run", "interactive", "based_on"})
    for stage in facts["stages"].values():
        assert stage["versions"]["torch"].startswith("2.")
        assert {"cores", "gpus", "model"} <= set(stage["hardware"])
        assert stage["seconds_of_last_attempt"] > 0
        assert stage["peak_memory_mb"] > 0
        assert {"executable", "project", "variables"} <= set(stage["environment"])
        assert {"revision", "dirty"} <= set(stage["git"]) or not (PROJECT / ".git").exists()
    here = {"device": mixed_precision.device(), "precision": mixed_precision.resolve("auto"), "processes": 1}
    for name, stage in facts["stages"].items():
        computes = name in ("01_filter", "03_train", "04_evaluate", "05_ablate", "08_one_note")
        assert stage["computed"] == ([here] if computes else []), name
    assert set(facts["stages"]["00_imbalance"]["fingerprints"]) == {"notes and split", "codes", "labels"}


def test_a_second_run_does_nothing_and_a_changed_one_only_what_changed(smoke):
    folder, _ = smoke
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    again = shl("run", SMOKE, SHL_RUNS=str(folder.parent))
    assert again.returncode == 0
    assert again.stdout.count("done before, kept") == len(STAGES)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == before
    values, _ = runner.read(SMOKE)
    changed = check(values | {"run": str(folder), "gamma": 1.0})
    assert stages.is_done("02_segment", changed)
    assert not stages.is_done("03_train", changed)


@pytest.mark.long
def test_the_same_seed_gives_the_same_figures_also_after_a_run_that_failed(smoke, tmp_path):
    """Elsewhere, in a batch: byte for byte what they were."""
    broken = tmp_path / "broken.yaml"
    broken.write_text("run: broken\nsource: codiesp\nfolder: nowhere")
    words = [broken, SMOKE, "--until", "04_evaluate", "--json", tmp_path / "told.json"]
    done = shl("run", *words, SHL_RUNS=str(tmp_path / "runs"))
    assert done.returncode == 1
    again = tmp_path / "runs" / "smoke"
    for name in ("corpus", "filter", "segments", "thresholds", "reference/thresholds"):
        assert (again / f"{name}.parquet").read_bytes() == (smoke[0] / f"{name}.parquet").read_bytes()
    assert (again / "metrics.json").read_bytes() == (smoke[0] / "metrics.json").read_bytes()
    failed, whole = json.loads((tmp_path / "told.json").read_text())
    assert (failed["done"], whole["done"]) == (False, True)
    assert failed["stages"][0]["state"] == "failed"
    assert "nowhere" in failed["stages"][0]["error"]
    assert whole["metrics"].keys() == json.loads((again / "metrics.json").read_text())["models"].keys()
    assert "broken: 00_imbalance: failed (FileNotFoundError: " in done.stdout
    status = shl("status", SHL_RUNS=str(tmp_path / "runs"))
    assert status.returncode == 1
    assert "smoke: 05_ablate: not run" in status.stdout


def test_wrong_files_are_refused_before_any_runs(tmp_path):
    path, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    path.write_text("run: a\nepocs: 3")
    other.write_text("run: b")
    done = shl("run", other, path, other, SHL_RUNS=str(tmp_path / "runs"))
    assert done.returncode == 2
    assert "did you mean 'epochs'?" in done.stderr
    assert "2 of these files write to" in done.stderr
    done = started(tmp_path, "run: p\nlernrate: 1")
    assert done.returncode == 2
    assert done.stderr.startswith(f"shl: {tmp_path / 'p.yaml'}: unknown parameter 'lernrate'")
    assert not (tmp_path / "runs").exists()


def papermill(stage, tmp_path, *words):
    command = [sys.executable, "-m", "papermill", str(PROJECT / "notebooks" / f"{stage}.ipynb"), "out.ipynb"]
    env = os.environ | {"SHL_RUNS": str(tmp_path / "runs")}
    return subprocess.run([*command, *words], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)


def test_the_stamp_comes_after_the_checks():
    for stage in STAGES:
        *_, checks, stamp = cells(PROJECT, stage)
        assert "stage.finish(" in stamp.source
        assert "assert " in checks.source


@pytest.mark.long
def test_plain_papermill_stops_at_a_misspelt_parameter(tmp_path):
    done = papermill("00_imbalance", tmp_path, "-p", "min_note", "5")
    assert done.returncode == 1
    assert "unknown parameter 'min_note', did you mean 'min_notes'?" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_plain_papermill_works_from_any_folder(smoke, tmp_path):
    folder = shutil.copytree(smoke[0], tmp_path / "a copy")
    done = papermill("02_segment", tmp_path, "-f", str(SMOKE), "-p", "run", str(folder))
    assert done.returncode == 0, done.stderr
    # made from the same state with the same parameters: what comes after it stays valid
    assert stages.is_done("05_ablate", check(runner.read(SMOKE)[0] | {"run": str(folder)}))
    assert stamps.is_shown(folder, "02_segment"), "with the same results its page stands too"
    path = stamps.path_of(folder, "02_segment")
    stamp = json.loads(path.read_text())
    path.write_text(json.dumps(stamp | {"id": "another"}))
    assert not stamps.is_shown(folder, "02_segment")


@pytest.mark.long
def test_another_eta_is_tried_in_a_run_of_its_own(smoke, tmp_path):
    """A finished run is not changed without a word; what stands before the change is taken over in seconds."""
    shutil.copytree(smoke[0], tmp_path / "runs" / "smoke")
    before = content(tmp_path / "runs")
    done = papermill("02_segment", tmp_path, "-p", "run", "smoke", "-p", "eta", "0.1")
    assert done.returncode == 1
    assert "smoke is finished with eta = 2.0: eta = 0.1 will outdate 02_segment, 03_train" in done.stderr
    assert 'run = "mine", based_on = "smoke"' in done.stderr
    read = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    (shown,) = [o for c in read if c.cell_type == "code" for o in c.outputs if o.output_type == "error"]
    assert len(shown.traceback) == 3
    assert content(tmp_path / "runs") == before
    done = papermill("02_segment", tmp_path, "-p", "run", "mine", "-p", "based_on", "smoke", "-p", "eta", "0.1")
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "runs" / "smoke") == before
    assert pd.read_parquet(tmp_path / "runs" / "mine" / "segments.parquet")["segment"].nunique() > 2


def test_what_is_forced_finds_nothing_that_it_could_keep(smoke, tmp_path):
    folder = shutil.copytree(smoke[0], tmp_path / "runs" / "smoke")
    parameters = check(provenance(folder)["parameters"] | {"run": str(folder)})
    models, notes = variants.compared(parameters), corpus.read(folder)
    assert not any(plan.missing() for plan in jobs.plan(folder, models, notes))
    reuse.forget(folder, "03_train")
    variants.write_segments(folder, notes, [model for model in models if model.folder != variants.MAIN])
    assert all(len(plan.missing()) == plan.n for plan in jobs.plan(folder, models, notes))
    assert runner._has_results("00_imbalance", parameters, force=False)
    assert not runner._has_results("00_imbalance", parameters, force=True), "though it is done"


@pytest.mark.long
def test_relative_paths_are_those_from_the_parameter_file(tmp_path):
    """Two folders hold parameters and tables of the same names."""
    run, asked = tmp_path / "runs" / "mine", {}
    for name, last in (("a", "E50"), ("b", "B20")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "my.yaml").write_text("run: mine\nsource: table\ntable: notes.csv\n")
        rows = [f"n{i},visit {i} for a reason,{('A10', last)[i % 2]}" for i in range(40)]
        (tmp_path / name / "notes.csv").write_text("\n".join(["id,text,codes", *rows]))
        asked[name] = runner.read(tmp_path / name / "my.yaml")[1].model_copy(update={"run": str(run)})
    done = shl("run", tmp_path / "a" / "my.yaml", "--until", "00_imbalance", SHL_RUNS=str(run.parent))
    assert done.returncode == 0, done.stderr
    assert "E50" in pd.read_parquet(run / "codes.parquet")["code"].tolist()
    used = tmp_path / "a" / "notes.csv"
    assert asked["b"].table == str(tmp_path / "b" / "notes.csv")
    assert stamps.states(run, asked["b"])["00_imbalance"].why == f"made with table = '{used}'"
    used.unlink()
    assert stamps.states(run, asked["a"])["00_imbalance"].why == f"{used} changed"


@pytest.mark.long
def test_ctrl_c_and_a_full_disk_lose_nothing_and_what_is_missing_is_made_again(smoke, tmp_path):
    root = tmp_path / "runs"
    shutil.copytree(smoke[0], root / "smoke")
    for name in ("reference", "segments", "trunk"):  # every model is left to be trained
        shutil.rmtree(root / "smoke" / name)
    command = [sys.executable, "-m", "shl_utils.cli", "run", str(SMOKE), "--until", "03_train"]
    env = os.environ | {"SHL_RUNS": str(root)}
    # no file may grow beyond 1 MB: a write fails as it does on a full disk
    full = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)); "
    full += "from shl_utils.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", full, *command[3:]], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "02_segment: done before, kept" in done.stdout
    assert "03_train: running" in done.stdout
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests in a background job inherit a deaf ear
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=env, preexec_fn=heard, **pipes)
    # one layer is trained, the others are encoded: training is next
    while not list(root.glob("smoke/trunk/*-1.safetensors")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "interrupted; the same command resumes here" in errors
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for heads in ("reference/segments/0/head.safetensors", "segments/0/head.safetensors"):
        assert (root / "smoke" / heads).read_bytes() == (smoke[0] / heads).read_bytes()


def leaks(folder, *secrets):
    """Files below `folder` that hold a secret, also as JSON escapes it; parquet is compressed, so its values are looked
    at."""
    words = [form.encode() for secret in secrets for form in (secret, json.dumps(secret).strip('"'))]
    found = []
    for path in (p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            data = pd.read_parquet(path).drop(columns="probability", errors="ignore").to_csv().encode()
        if any(word in data for word in words):
            found.append(path.name)
    return found


# what a note says of a code, a part of every note that must not leave it, and the code's description
SYMPTOMS = {
    "001": ("Seltene Prüfung über Übelkeit.", ""),
    "E11": ("Diabète sucré équilibré, été hospitalisé.", "diabète sucré"),
    "I10": ("Ο ασθενής έχει υπέρταση.", "υπέρταση"),
    "J18": ("発熱と咳嗽を訴え、肺炎と診断した。", "肺炎"),
    "N17": ("Insuficiencia renal aguda, niño pálido.", "insuficiencia renal aguda"),
}
SECRETS = ("御手洗瑠璃子", "Ζαχαρούλα", "Ñuflo Çağrı")
UNSEEN = {"Q99": "seltenes Syndrom"}
SIDES = ["train"] * 7 + ["validation"] + ["test"] * 2


def table_rows():
    """120 notes in five scripts and tongues; one test note has a code that no training note has."""
    rows = []
    for i in range(120):
        codes = [code for k, code in enumerate(SYMPTOMS) if (i * (k + 2)) % 7 < 4 - k // 2] or ["J18"]
        text = f"{SECRETS[i % 3]} {i}. " + " ".join(SYMPTOMS[code][0] for code in codes)
        described = {code: SYMPTOMS[code][1] for code in codes} | (UNSEEN if i == 119 else {})
        lists = {"codes": ";".join(described), "description": ";".join(described.values())}
        rows.append({"id": f"{i:03d}", "text": text, "split": SIDES[i % 10]} | lists)
    return rows


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
    """The rows above through all stages as source `table`, private as it is by default.

    With trainers side by side, an encoder and a grid of one's own, in a folder whose name is in several scripts, and
    without what Windows lacks.
    """
    root = tmp_path_factory.mktemp("Köln 発熱 notes")
    shutil.copytree(weight_files.location(weight_files.MINILM), root / "own-encoder")
    shutil.copy(PROJECT / "params" / "grids" / "smoke.yaml", root / "grid.yaml")
    pd.DataFrame(table_rows()).to_csv(root / "my notes.csv", index=False)
    lines = ["run: mein Lauf ü", "source: table", f"table: '{root / 'my notes.csv'}'", "min_notes: 1", "eta: 0.2"]
    lines += ["max_tokens: 48", "chunk_tokens: 24", "epochs: 1", "min_steps: 0"]
    lines += ["parallel_models: 2", "bootstrap_draws: 100", "encoder: ./own-encoder", "grid: ./grid.yaml"]
    done = started(root, "\n".join(lines), PYTHONPATH=LACKING)
    assert done.returncode == 0, done.stderr
    return root / "runs" / "mein Lauf ü", done


@pytest.mark.long
def test_a_table_in_any_script_goes_through_all_stages(table_run, command):
    folder, done = table_run
    assert command("status", folder.name, SHL_RUNS=str(folder.parent)).returncode == 0
    assert all(f"{stage}: done" in done.stdout for stage in STAGES)
    assert (folder / "launch.1.log").exists(), "there were two trainers"
    given, notes = pd.DataFrame(table_rows()), pd.read_parquet(folder / "corpus.parquet")
    assert notes["note"].tolist() == given["id"].tolist()
    assert notes["text"].tolist() == given["text"].tolist()
    assert notes["split"].tolist() == given["split"].tolist()
    assert notes["codes"].str.join(";").tolist() == given["codes"].tolist()
    described = pd.read_parquet(folder / "codes.parquet").set_index("code")["description"].to_dict()
    assert described == {code: words or code for code, (_, words) in SYMPTOMS.items()} | UNSEEN
    facts = provenance(folder)["stages"]
    assert facts["00_imbalance"]["private"] is True
    assert facts["00_imbalance"]["flaws"]["codes without a training note"] == 1
    assert facts["04_evaluate"]["linear_terms"] == "words and pairs of words"


@pytest.mark.long
def test_a_code_without_a_training_note_has_no_model_and_still_counts(table_run):
    folder, _ = table_run
    assert "Q99" not in pd.read_parquet(folder / "segments.parquet")["code"].tolist()
    for place in ("", "reference/", "tfidf/"):
        table = pq.read_table(folder / f"{place}predictions.parquet")
        unseen = json.loads(table.schema.metadata[b"codes"]).index("Q99")
        assert json.loads(table.schema.metadata[b"segments"])[unseen] == -1
        assert {row[unseen] for row in table["probability"].to_pylist()} == {0}
    models = json.loads((folder / "metrics.json").read_text())["models"]
    assert {model["codes_present"] for model in models.values()} == {len(SYMPTOMS) + 1}
    assert len(pd.read_parquet(folder / "ablation.parquet")) == 6


@pytest.mark.long
def test_no_text_of_a_private_note_reaches_an_output(table_run, tmp_path):
    folder, done = table_run
    assert len(pd.read_parquet(folder / "corpus.parquet")) == 120
    texts = [*SECRETS, *(sentence for sentence, _ in SYMPTOMS.values())]
    assert leaks(folder, *texts) == ["corpus.parquet"], "the corpus alone holds the notes; anything else leaks"
    assert not [text for text in texts if text in done.stdout + done.stderr]
    assert folder.stat().st_mode & 0o077 == 0, "closed to others"
    site.site(folder, tmp_path / "site", primer=PRIMER)
    assert leaks(tmp_path / "site", *texts) == []
    (cell,) = (cell for cell in cells(folder, "01_filter") if "filter_audit.example" in cell.source)
    assert "no note is shown" in cell.outputs[0]["data"]["text/html"]
    assert all(output.get("data", {}).get("text/plain", "''") == "''" for output in cell.outputs[1:])


@pytest.mark.long
def test_a_run_that_fails_shows_no_text_and_keeps_what_was_done(tmp_path):
    rows = [row | {"text": f"Ñuflo {row['id']}: {SYMPTOMS['N17'][0]}"} for row in table_rows()]
    pd.DataFrame(rows)[["id", "text", "codes"]].to_csv(tmp_path / "notes.csv", index=False, encoding="latin-1")
    (tmp_path / "own.yaml").write_text("run: own\nsource: table\ntable: notes.csv\n")
    synthetic.write(tmp_path / "tables", notes=150, seed=1)
    events = tmp_path / "tables" / "NOTEEVENTS.csv.gz"
    with gzip.open(events, "rt", encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    text = header.index("TEXT")
    for row in rows:
        row[text] = row[text].replace(". ", f". {SECRET} ")
    with gzip.open(events, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    lines = ["run: mimic", "source: mimic3", "folder: tables", "filter_by: cosine", "filter_threshold: 1.0"]
    (tmp_path / "mimic.yaml").write_text("\n".join([*lines, "max_tokens: 64"]))
    runs = tmp_path / "runs"
    done = shl("run", tmp_path / "own.yaml", tmp_path / "mimic.yaml", SHL_RUNS=str(runs))
    assert done.returncode == 1
    assert "notes.csv, line 2: not utf-8: set `encoding`, such as latin-1" in done.stderr
    assert "mimic: 01_filter: failed" in done.stdout + done.stderr
    assert "the filter removes every training label" in done.stderr
    assert not [word for word in (SECRET, "uflo") if word in done.stdout + done.stderr]
    assert leaks(runs, SECRET, "uflo", "Insuficiencia") == ["corpus.parquet"], "that of MIMIC is kept, and alone has it"


@pytest.mark.long
def test_an_encoder_that_is_a_folder_is_told_without_its_path_and_counts_by_its_content(table_run, tmp_path):
    """Not as it is, nor as JSON or Windows would write it; a folder is told by its name and its content."""
    folder, place = table_run[0], table_run[0].parents[1]
    own = place / "own-encoder"
    target = export.export(folder, tmp_path / "exported")
    digest = weight_files.digest(str(own))
    for path in (path for path in target.rglob("*") if path.is_file()):
        text = path.read_bytes().decode("utf-8", errors="replace")
        for form in (str(place), str(place).replace("/", "\\"), json.dumps(str(place))[1:-1], place.name):
            assert form not in text, path
    card = (target / "README.md").read_text(encoding="utf-8")
    assert f"own-encoder (a folder that is on no hub; the digest of its content is {digest}" in card
    (tmp_path / "note.txt").write_text("fever")
    command = [sys.executable, target / "predict.py", tmp_path / "note.txt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"name the folder of the encoder after the note: own-encoder, whose digest is {digest}\n"
    done = subprocess.run([*command, own], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    weights = load_file(own / "model.safetensors")
    name = next(name for name in weights if name.endswith("layer.5.output.dense.weight"))
    weights[name] = weights[name].flip(0).contiguous()
    save_file(weights, own / "model.safetensors", metadata={"format": "pt"})
    found = stamps.states(folder)
    assert found["00_imbalance"].done
    assert str(found["01_filter"]) == f"outdated ({own / 'model.safetensors'} changed)"
    with pytest.raises(ValueError, match=r"is not as .* used it"):
        coding.load(folder)
