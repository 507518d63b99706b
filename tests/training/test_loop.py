"""Training on real reports: it learns, resumes after a kill, and is the same in one process and in two."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import copy_run
from made_up import invented_record
from scipy import sparse
from sklearn.metrics import average_precision_score

from shl_utils.data import corpus
from shl_utils.encoder import encoder, feature_cache, forward_pass, frozen_layers, weight_files
from shl_utils.evaluation import predictions
from shl_utils.method import losses
from shl_utils.method.extensions import heads
from shl_utils.parameters import check
from shl_utils.reporting import training_tables
from shl_utils.runs import mixed_precision
from shl_utils.training import diagnostics, jobs, launch, loop, segment_model, segment_record, variants, worker
from shl_utils.training.sampling import TrainingSet, batches

processor_only = pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU, test_gpu.py does it for real")
two_devices = pytest.mark.skipif(torch.cuda.device_count() == 1, reason="two processes need two GPUs, or none")

TRAIN = """
import json, sys
from pathlib import Path
from shl_utils.parameters import check
from shl_utils.training import launch, variants
folder = Path(sys.argv[1])
p = check(json.loads((folder / "parameters.json").read_text()) | json.loads(sys.argv[2]))
launch.train(folder, [variants.main(p)])
"""


def train(folder, parameters, **changes):
    """Train the main model of these parameters, with changes; the model."""
    main = variants.main(parameters.model_copy(update=changes))
    launch.train(folder, [main])
    return main


def started(folder, script=TRAIN, env=None, **changes):
    """A process of its own that trains the same."""
    return subprocess.Popen([sys.executable, "-c", script, str(folder), json.dumps(changes)], env=env)


def killed(process, when):
    """Kill the process as soon as `when` holds; ids of the processes that it had started."""
    while not when():
        assert process.poll() is None, "training ended before it could be killed"
        time.sleep(0.02)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return children.stdout.split()


@pytest.fixture(scope="module")
def trained(small_run):
    folder, parameters = small_run
    train(folder, parameters)
    return folder, parameters


def records(folder):
    return segment_record.read_all(folder / "segments")


def weights(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.glob("segments/*/*.safetensors")}


def assert_alike(folder, other, *, world=1):
    """Other processes summed in another order: `world` of them each segment of `other`."""
    for one, two in zip(records(folder), records(other), strict=True):
        assert two.world == world
        assert two.codes == one.codes
        for a, b in zip(one.history, two.history, strict=True):
            assert b["loss"] == pytest.approx(a["loss"], rel=1e-3)
            assert b["validation_ap"] == pytest.approx(a["validation_ap"], rel=1e-2)


def test_every_code_has_one_model_in_open_formats(trained):
    folder, parameters = trained
    assert len(records(folder)) >= 2
    codes = [code for record in records(folder) for code in record.codes]
    assert sorted(codes) == sorted(variants.read_segments(folder, variants.main(parameters))["code"])
    names = {"adapter_config.json", "adapter_model.safetensors", "head.safetensors", "segment.json"}
    assert {path.name for path in (folder / "segments" / "0").iterdir()} == names


def test_what_each_loss_took_from_the_notes_is_on_record(trained):
    folder, parameters = trained
    (plan,) = jobs.plan(folder, [variants.main(parameters)], corpus.read(folder))
    derived = [record.derived for record in records(folder)]
    assert derived == [plan.derived(k) for k in range(plan.n)]
    assert all("weights" in found for found in derived), "sh_focal weighs negatives"


def test_training_beats_the_prior(trained):
    folder, parameters = trained
    notes = corpus.read(folder)
    (predicted,) = predictions.compute(folder, [variants.main(parameters)])
    test = notes.rows("test")
    truth = notes.labels[test].toarray().ravel()
    prior = np.tile(notes.labels[notes.rows("train")].mean(axis=0), (len(test), 1)).ravel()
    learned = average_precision_score(truth, predicted.select(test).ravel())
    assert learned > average_precision_score(truth, prior) + 0.05


def test_an_adapter_loads_with_transformers_and_peft_alone(trained):
    folder, parameters = trained
    notes = corpus.read(folder)
    (predicted,) = predictions.compute(folder, [variants.main(parameters)])
    from peft import PeftModel
    from safetensors.torch import load_file

    tokenizer, base = encoder.load(parameters.encoder)
    adapted = PeftModel.from_pretrained(base, folder / "segments" / "0").eval()
    head = load_file(folder / "segments" / "0" / "head.safetensors")
    rows = notes.rows("test")[:5]
    batch = tokenizer(
        notes.notes["text"].iloc[rows].tolist(),
        truncation=True,
        max_length=parameters.max_tokens,
        padding=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        hidden = adapted(**batch).last_hidden_state
    pooled = heads.mean_pool(hidden, batch["attention_mask"])
    plain = (pooled @ head["weight"].T + head["bias"]).sigmoid().numpy()
    codes = [i for i, code in enumerate(notes.codes["code"]) if code in records(folder)[0].codes]
    assert predicted.select(rows)[:, codes] == pytest.approx(plain, abs=1e-4)


def test_a_training_that_diverges_ends_as_it_began_and_is_named(small_run, tmp_path):
    folder, parameters = copy_run(small_run, tmp_path / "diverged")
    steep = train(folder, parameters, lr_head=1e38, epochs=3)
    for record in records(folder):
        assert record.history == [{"epoch": 0, "loss": None, "validation_ap": None}]
        assert record.best_epoch is None
    assert set(diagnostics.failed_segments(folder, [steep])["why"]) == {diagnostics.DIVERGED}
    (predicted,) = predictions.compute(folder, [steep])
    assert np.isfinite(predicted.probabilities).all()
    assert (training_tables.segments(records(folder))["validation ap"] == "").all()


def test_done_segments_are_kept_and_missing_ones_come_out_the_same(trained):
    folder, parameters = trained
    before = weights(folder)
    stamps = {p: p.stat().st_mtime_ns for p in folder.glob("segments/*/segment.json")}
    removed = folder / "segments" / "1"
    for path in removed.iterdir():
        path.unlink()
    train(folder, parameters)
    assert weights(folder) == before
    assert all(p.stat().st_mtime_ns == t for p, t in stamps.items() if p.parent != removed)


@pytest.mark.long
def test_a_segment_goes_on_from_its_last_epoch(trained, small_run, tmp_path, monkeypatch):
    folder, parameters = copy_run(small_run, tmp_path / "stopped")
    whole, seen = loop._epoch, []

    def stopped(*arguments):
        if len(seen) == 1:
            raise KeyboardInterrupt
        seen.append(1)
        return whole(*arguments)

    monkeypatch.setattr(loop, "_epoch", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(folder, parameters)
    assert [path.name for path in (folder / "segments").iterdir()] == ["0.epoch"]
    monkeypatch.setattr(loop, "_epoch", lambda *arguments: seen.append(1) or whole(*arguments))
    train(folder, parameters)
    assert len(seen) == parameters.epochs * len(records(folder)), "no epoch was trained twice"
    assert weights(folder) == weights(trained[0])
    assert not list(folder.glob("segments/*.epoch"))


@pytest.mark.long
def test_kill_9_at_any_moments_ends_in_the_same_models(trained, small_run, tmp_path):
    folder, parameters = copy_run(small_run, tmp_path / "killed often")
    killed(started(folder), (folder / "segments" / "0" / "segment.json").exists)
    assert len(records(folder)) < len(records(trained[0])), "all was done before the first kill"
    for delay in np.random.default_rng().uniform(5, 12, size=2).round(2):  # its start alone takes some seconds
        process, end = started(folder), time.monotonic() + delay
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        process.kill()
        process.wait()
        print(f"after {delay} s: {sorted(path.name for path in folder.glob('segments/*'))}")
    train(folder, parameters)
    assert weights(folder) == weights(trained[0])


@pytest.mark.long
@two_devices
def test_processes_take_small_segments_each_alone_and_a_large_one_together(trained, small_run, tmp_path):
    folder, parameters = copy_run(small_run, tmp_path / "parted")
    two = parameters.model_copy(update={"processes": 2, "epochs": 1})
    train(folder, two)
    assert [record.world for record in records(folder)] == [1] * len(records(trained[0])), "none is half of all"
    whole = variants.reference(two)
    variants.write_segments(folder, corpus.read(folder), [whole])
    launch.train(folder, [whole])
    assert [record.world for record in records(folder / "reference")] == [2]


side_by_side = pytest.mark.skipif(mixed_precision.device() != "cpu", reason="the processor's cores are shared out")


@pytest.mark.long
@side_by_side
def test_a_killed_launch_side_by_side_leaves_no_trainer_and_ends_as_in_turn(trained, small_run, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    folder, parameters = copy_run(small_run, tmp_path / "killed side by side")
    trainers = killed(started(folder, parallel_models=2), lambda: list(folder.glob("segments/*/segment.json")))
    deadline = time.monotonic() + 300
    while any(os.path.exists(f"/proc/{pid}/exe") for pid in trainers):
        assert time.monotonic() < deadline, "a trainer went on alone"
        time.sleep(0.05)
    done = {path: path.stat().st_mtime_ns for path in folder.glob("segments/*/segment.json")}
    train(folder, parameters, parallel_models=2)
    assert all(path.stat().st_mtime_ns == made for path, made in done.items()), "what was done is kept"
    found = records(folder)
    assert [record.threads for record in found] == [max(mixed_precision.cores() // 2, 1)] * len(found)
    assert sorted(path.name for path in (folder / "segments").iterdir()) == [str(k) for k in range(len(found))]
    assert not (folder / launch.CONFIG).exists()
    said = [line for path in folder.glob("launch.*.log") for line in path.read_text().splitlines()]
    assert all(line.endswith(" to go") for line in said), "trainers have nothing to complain about"
    assert_alike(trained[0], folder)


@pytest.mark.long
@two_devices
def test_two_processes_on_two_machines_give_the_numbers_of_one(trained, small_run, tmp_path):
    """Two launches that meet at a port, as on two machines that share the folder."""
    folder, parameters = copy_run(small_run, tmp_path / "nodes")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    changes = {"run": str(folder), "nodes": 2, "processes": 1, "rendezvous": f"127.0.0.1:{port}"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(parameters.model_dump() | changes))
    env = os.environ | {"OMP_NUM_THREADS": "1"}  # the two share this machine's cores
    first = started(folder, env=env, **changes)
    while not (folder / launch.CONFIG).exists():
        assert first.poll() is None
        time.sleep(0.05)
    command = [sys.executable, "-m", "shl_utils.cli", "join", str(tmp_path / "params.yaml"), "--node", "1"]
    second = subprocess.run(command, env=env, check=False)
    assert (first.wait(), second.returncode) == (0, 0)
    assert_alike(trained[0], folder, world=2)
    assert [two.best_epoch for two in records(folder)] == [one.best_epoch for one in records(trained[0])]


def test_progress_is_counted_in_notes(trained, small_run, tmp_path, monkeypatch):
    folder, parameters = copy_run(small_run, tmp_path / "half")
    shutil.copytree(trained[0] / "segments", folder / "segments")
    seen = []
    monkeypatch.setattr(launch.progress, "watched", lambda share, label: nullcontext(seen.append(share())))
    (plan,) = plans = list(jobs.plan(folder, [variants.main(parameters)], corpus.read(folder)))
    due = [(plan, k) for k in range(plan.n)]
    for left in ([], [0]):
        for k in left:
            (plan.place / str(k) / "segment.json").unlink()
        with launch._described(folder, plans, due, {}):
            pass
        missing = sum(plan.notes_of(k) for k in left)
        assert seen[-1] == pytest.approx(100 * (1 - missing / plan.notes_to_see()))
    assert 0 < seen[-1] < 100


@pytest.mark.skipif(sys.platform == "win32", reason="PyTorch lacks it there")
def test_two_trainings_at_once_cannot_meet(small_run):
    assert "--standalone" in launch._meeting(small_run[1], node=0), "by this, torchrun takes any free port"


@pytest.mark.long
@two_devices
def test_a_failing_process_names_the_root_cause(small_run, tmp_path):
    folder, parameters = copy_run(small_run, tmp_path / "broken")
    main = variants.main(parameters.model_copy(update={"processes": 2, "lora_layers": 99}))
    with pytest.raises(RuntimeError, match=r"exit code 1; root cause: .*lora_layers is 99"):
        launch._train_distributed(folder, [*jobs.plan(folder, [main], corpus.read(folder))], world=2)


def test_what_is_all_there_needs_no_launch(trained):
    """Other machines would have to join it."""
    folder, parameters = trained
    before = weights(folder)
    train(folder, parameters, nodes=2, rendezvous="127.0.0.1:1")
    assert weights(folder) == before


@pytest.mark.parametrize(("epochs", "n"), [(1, 1), (400, 2)])
def test_models_train_side_by_side_where_all_that_is_asked_for_is_worth_it(trained, monkeypatch, epochs, n):
    folder, parameters = trained
    monkeypatch.setattr(mixed_precision, "cores", lambda: 2)
    monkeypatch.setattr(mixed_precision, "device", lambda: "cpu")
    main = variants.main(parameters.model_copy(update={"epochs": epochs}))
    plans = list(jobs.plan(folder, [main], corpus.read(folder)))
    assert (plans[0].notes_to_see() >= launch.MIN_NOTES_FOR_PARALLEL) == (n > 1), "the test's own sizes"
    assert launch._n_parallel(plans) == n


def test_core_seconds_are_seconds_times_threads_of_all_segments(tmp_path):
    for segment, seconds in ((0, 5), (1, 2)):
        invented_record(seconds=seconds, threads=3).write(tmp_path / "segments" / str(segment))
    assert variants.core_seconds(tmp_path, variants.main(check({}))) == 21


def one_segment(small_run, k, **changes):
    """The k-th segment of a run, not yet trained: its plan, its task, and a net."""
    folder, parameters = small_run
    main, notes = variants.main(parameters.model_copy(update=changes)), corpus.read(folder)
    base, seen = feature_cache.FeatureCache(folder, notes.notes["text"]).features(parameters)
    plan = next(jobs.plan(folder, [main], notes))
    task = worker.task_of(seen, notes, plan, k % plan.n)
    return plan, task, lambda: worker.fresh(base, task.prior(), main.parameters)


@pytest.mark.long
@processor_only
def test_fp16_with_a_scaled_gradient_loses_no_step_and_learns_as_float32(small_run):
    """fp16 arithmetic and gradient scaling on a processor, step by step as Accelerate does it on a GPU."""
    plan, task, untrained = one_segment(small_run, 2)  # its largest gradients overflow at PyTorch's own first scale
    parameters, seen, learnt = plan.variant.parameters, task.features, {}
    for dtype in (torch.float32, torch.float16):
        torch.manual_seed(0)
        net = untrained()
        optimizer = loop.optimizer_of(net, parameters, fused=False)
        scaler = torch.amp.GradScaler("cpu", init_scale=worker.SCALE, enabled=dtype == torch.float16)
        rng = np.random.default_rng(0)
        for _ in range(2):
            rows, given = task.notes.epoch(rng)
            for batch in batches(rows, seen.lengths, size=parameters.batch_size, rng=rng):
                with forward_pass.autocast("cpu", dtype):
                    logits = net(*seen.pad(rows[batch]))
                targets = torch.tensor(task.labels[rows[batch]].toarray())
                loss = task.loss(logits, targets, torch.tensor(given[batch]), notes=len(batch))
                scaler.scale(loss).backward()
                scaler.step(optimizer)  # raises on half-precision parameters
                scaler.update()
                optimizer.zero_grad()
        assert scaler.get_scale() == (worker.SCALE if dtype == torch.float16 else 1.0), "a step was skipped"
        learnt[dtype] = segment_model.predict(net, seen, task.validation, device="cpu", dtype=torch.float32)
    assert learnt[torch.float16] == pytest.approx(learnt[torch.float32], abs=0.02)
    assert learnt[torch.float32].std() > 0.05


@processor_only
@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_gradients_are_cut_to_their_norm(small_run, clip):
    plan, task, untrained = one_segment(small_run, -1, max_grad_norm=clip)
    parameters, accelerator = plan.variant.parameters, worker.accelerator_for("fp32", world=1)
    training = loop.prepared(lambda prior: untrained(), task, parameters, accelerator)
    norms = []

    def look(optimizer, *_):
        grads = [p.grad.norm() for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.stack(grads).norm()))

    training.state.optimizer.optimizer.register_step_pre_hook(look)
    loop._epoch(training, lambda n: None)
    assert len(norms) > 1
    assert (max(norms) <= clip * 1.001) == (clip > 0)


@pytest.mark.parametrize(
    ("precision", "world", "message"),
    [
        ("fp32", 2, r"asked for fp32 in 2 processes, got fp32 in 1"),
        pytest.param("fp16", 1, "precision fp16 needs a GPU and none was found", marks=processor_only),
    ],
)
def test_what_is_not_there_is_refused(precision, world, message):
    with pytest.raises(ValueError, match=message):
        worker.accelerator_for(precision, world=world)


def test_frozen_layers_are_computed_once_and_again_only_for_other_notes(small_run, tmp_path):
    folder, parameters = copy_run(small_run, tmp_path / "frozen")
    path = feature_cache.path_of(folder, parameters)

    def features():
        cache = feature_cache.FeatureCache(folder, corpus.read(folder).notes["text"])
        return cache.features(parameters)[1].flat, path.stat().st_mtime_ns

    (first, written), (again, kept) = features(), features()
    assert torch.equal(first, again)
    assert kept == written
    table = pd.read_parquet(folder / "corpus.parquet")
    table.assign(text=table["text"].str.upper() + " AGAIN").to_parquet(folder / "corpus.parquet")
    assert features()[1] != written


@pytest.mark.filterwarnings("ignore:BertModel cannot be split")
@pytest.mark.long
def test_on_cached_states_a_training_ends_where_the_whole_encoder_ends(small_run, tmp_path, monkeypatch):
    """Kept in float32; `test_feature_cache` bounds what 16 bits round."""

    def ends(name):
        folder, parameters = copy_run(small_run, tmp_path / name)
        main = train(folder, parameters, lora_layers=2, epochs=1, precision="fp32")
        (found,) = predictions.compute(folder, [main])
        return found.probabilities

    with monkeypatch.context() as exactly:
        exactly.setattr(mixed_precision.Computing, "kept", property(lambda by: by.dtype))
        cached = ends("cached")
    monkeypatch.setattr(frozen_layers, "_equal_whole", lambda *_: False)
    whole = ends("whole")
    assert cached == pytest.approx(whole, abs=1e-4)
    assert whole.std() > 0.01


def test_an_encoder_that_does_not_divide_says_so(small_run, tmp_path, monkeypatch):
    folder, parameters = copy_run(small_run, tmp_path / "whole")
    monkeypatch.setattr(frozen_layers, "_equal_whole", lambda *_: False)
    with pytest.warns(UserWarning, match="BertModel cannot be split: all its layers run for every batch"):
        feature_cache.FeatureCache(folder, corpus.read(folder).notes["text"]).features(parameters)


def test_training_all_layers_uses_tokens(small_run, tmp_path):
    folder, parameters = copy_run(small_run, tmp_path / "all layers")
    other = parameters.model_copy(update={"lora_layers": -1, "epochs": 1, "segmentation": "none"})
    variants.write_segments(folder, corpus.read(folder), [variants.main(other)])
    launch.train(folder, [variants.main(other)])
    (record,) = records(folder)
    assert [path.name.rsplit("-", 1)[-1] for path in (folder / "trunk").iterdir()] == ["tokens.safetensors"]
    config = json.loads((folder / "segments" / "0" / "adapter_config.json").read_text())
    layers = {int(name.split(".")[2]) for name in config["target_modules"].replace("\\", "").split("|")}
    assert layers == set(range(6))
    assert np.isfinite(record.history[0]["loss"])


def test_prior_follows_the_weights():
    labels = sparse.csr_array(np.array([[1.0], [0.0], [0.0]], dtype=np.float32))
    notes = TrainingSet(np.array([0]), np.array([1, 2]), np.array([1.0, 0.5, 0.5]), ratio=1.0)
    task = loop.Task(None, labels, notes, np.array([0]), loss=losses.sh, epochs=1, seed=0)
    assert task.prior().tolist() == [0.5]


def test_a_fresh_head_starts_at_the_prior():
    _, base = encoder.load(weight_files.MINILM)
    net = segment_model.create(
        base, np.array([0.5, 0.01, 0.0]), pooling="mean", rank=2, targets="attention", layers=[5], name="x"
    )
    bias = net.head.bias.sigmoid().tolist()
    assert bias[:2] == pytest.approx([0.5, 0.01], rel=1e-4)
    assert 0 < bias[2] < 1e-4
