"""Cost of training by several setups, each in a process of its own on the notes of one run: `shl bench`.

It compares the baseline implementation (`trainer_baseline`) with ours, for one model and for one per segment. It also
shows what training all layers costs, and what precomputed frozen layers save. All setups see the same notes for the
same number of epochs, and their models are evaluated by the same rules.

python -m benchmarks.training_cost RUN NUMBER    is what `training` starts for each setup.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks import trainer_baseline
from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.encoder import encoder, feature_cache, tokens
from shl_utils.evaluation import cost, label_metrics, predictions, results, score_metrics
from shl_utils.evaluation.predictions import Predictions
from shl_utils.parameters import Parameters, check
from shl_utils.runs import dependencies, mixed_precision, provenance, storage
from shl_utils.training import jobs, launch, segment_model, variants, worker
from shl_utils.training.variants import PLAIN, Variant

FOLDER = "bench"
EVERY = 0.5  # seconds between two measurements of memory
SAMPLE = 256  # notes on which FLOPs are counted


@dataclass(frozen=True)
class Way:
    """A setup that trains the models of `variant`. runner: "shl", or "trainer" for transformers.Trainer. mixed: whether
    Trainer uses half precision; for ours, the parameters say so."""

    runner: str
    mixed: bool
    variant: Variant

    @property
    def name(self) -> str:
        """Such as "ours: segments, top 2": key of the results."""
        p = self.variant.parameters
        models = "one model" if p.segmentation == "none" else "segments"
        layers = "all layers" if p.lora_layers == -1 else f"top {p.lora_layers}"
        by = "ours" if self.runner == "shl" else f"Trainer, {half()}" if self.mixed else "Trainer"
        return f"{by}: {models}, {layers}"


def ways(parameters: Parameters, rate: float) -> list[Way]:
    """The setups to be measured. rate: factor on the learning rates where all layers are trained, by either runner."""
    every = {"lora_layers": -1, "lora_targets": "attention"}
    every |= {name: rate * getattr(parameters, name) for name in ("lr_lora", "lr_head")}
    setups = [
        ("trainer", False, PLAIN | every),
        ("trainer", False, every),
        ("trainer", True, PLAIN | every),
        ("shl", False, PLAIN | every),
        ("shl", False, every),
        ("shl", False, PLAIN),
        ("shl", False, {}),
    ]
    return [
        Way(runner, mixed, Variant(f"{FOLDER}/{number}", parameters.model_copy(update=changes)))
        for number, (runner, mixed, changes) in enumerate(setups)
    ]


def training(folder: Path, parameters: Parameters, *, rate: float, only: Sequence[int] = ()) -> Path:
    """Measure every setup on the notes of the run in `folder`, one after the other; return the file of results.

    only: positions in `ways`; all if empty. The file is rewritten after every setup; earlier results of the same
    parameters, rate, hardware, versions and code are kept. ValueError for an invalid position or rate, RuntimeError if
    a setup fails.
    """
    listed = ways(parameters, rate)
    if not set(only) <= set(range(len(listed))) or rate <= 0:
        raise ValueError(f"only {list(only)}, rate {rate}: ways are numbered 0 to {len(listed) - 1}, a rate is above 0")
    target = folder / FOLDER / "training.json"
    found = {"rate": rate, "hardware": provenance.hardware(), "versions": provenance.versions()}
    code = storage.short(dependencies.trace(sys.modules[__name__]))
    found |= {"parameters": parameters.model_dump(), "code": code}
    before = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    if any(before.get(name) != value for name, value in found.items()):
        before = {"matrix": matrix_rates(), "ways": {}}
    found = before | found
    storage.write_json(target, found)
    for number in only or range(len(listed)):
        way = listed[number]
        print(f"{way.name}: running", flush=True)
        # FLOPs are counted in this process, so that their memory is not counted for the setup
        found["ways"][way.name] = _in_a_process(folder, way, number) | _operations(folder, way) | provenance.revision()
        print(f"{way.name}: {found['ways'][way.name]['seconds']:.0f} s", flush=True)
        storage.write_json(target, found)
    return target


def half() -> str:
    """Half precision in which Trainer is also measured: "fp16" on a GPU, "bf16" on a CPU."""
    return "fp16" if mixed_precision.device() == "cuda" else "bf16"


def matrix_rates() -> dict[str, float]:
    """Peak matmul throughput in FLOP/s by precision, of two square matrices on all cores or one GPU.

    It is the best of the products within one second.
    """
    rates, device = {}, mixed_precision.device()
    size = 2048 if device == "cpu" else 8192
    for name in ("fp32", half()):
        a = torch.randn(size, size, device=device, dtype=mixed_precision.DTYPES[name])
        best, end = 0.0, time.monotonic() + 1
        while time.monotonic() < end:
            started = time.monotonic()
            a @ a
            if device == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * size**3 / (time.monotonic() - started))
        rates[name] = best
    return rates


def _in_a_process(folder: Path, way: Way, number: int) -> dict[str, Any]:
    place = folder / way.variant.folder
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    log = place / "log"
    with log.open("w", encoding="utf-8") as file:
        command = [sys.executable, "-m", "benchmarks.training_cost", str(folder), str(number)]
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            time.sleep(EVERY)
    if process.returncode:
        raise RuntimeError(f"{way.name} stopped with exit code {process.returncode}: {log}")
    return json.loads((place / "found.json").read_text(encoding="utf-8")) | {"peak_memory_mb": round(peak / 1e6)}


def _memory(pid: int) -> int:
    """Memory in bytes of a process and all that it started; memory that they share counts once."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            info = process.memory_full_info()
            total += getattr(info, "pss", info.uss)
    except psutil.Error:  # one ended meanwhile
        pass
    return total


def _measure(folder: Path, way: Way) -> dict[str, Any]:
    """Train and predict by one setup; return its times, number of models, notes, memory, size on disk and metrics."""
    corpus, variant = corpora.read(folder), way.variant
    variants.write_segments(folder, corpus, [variant])
    plan = next(jobs.plan(folder, [variant], corpus))
    for of in ("", "tokens"):  # so that the time to make them counts
        feature_cache.path_of(folder, variant.parameters, of=of).unlink(missing_ok=True)
    found, seconds = _by_us(folder, way) if way.runner == "shl" else _by_trainer(way, plan, corpus)
    return {
        **{name: round(value, 1) for name, value in seconds.items()},
        "models": plan.n,
        "notes_seen": plan.notes_to_see(),
        "peak_gpu_mb": round(torch.cuda.max_memory_allocated() / 1e6) if torch.cuda.is_available() else 0,
        "bytes": sum(path.stat().st_size for path in plan.place.rglob("*") if path.is_file()),
        **_metrics(corpus, found, variant.parameters),
    }


def _by_us(folder: Path, way: Way) -> tuple[Predictions, dict[str, float]]:
    started = time.monotonic()
    launch.train(folder, [way.variant])
    trained = time.monotonic()
    found = next(predictions.compute(folder, [way.variant]))
    return found, {"seconds": trained - started, "predict_seconds": time.monotonic() - trained}


def _by_trainer(way: Way, plan: jobs.Plan, corpus: Corpus) -> tuple[Predictions, dict[str, float]]:
    """Train and predict by Trainer, one segment after the other; return predictions, and seconds of both.

    The models are ours, `encoder.lora_linear` included, which is faster than PEFT's own layer.
    """
    parameters, seconds = way.variant.parameters, {"seconds": 0.0, "predict_seconds": 0.0}
    rows = corpus.rows("validation", "test")
    probabilities = np.zeros((len(rows), len(corpus.codes)), dtype=np.float32)
    started = time.monotonic()
    tokenizer, base = encoder.load(parameters.encoder, download=parameters.download)
    base.set_attn_implementation("sdpa")  # the default of transformers
    seen = tokens.tokenize(tokenizer, corpus.notes["text"], max_tokens=parameters.max_tokens)
    for k in range(plan.n):
        task = worker.task_of(seen, corpus, plan, k, device=mixed_precision.device())
        net = worker.fresh(base, task.prior(), parameters)
        ready = trainer_baseline.trainer(
            net, task, parameters, tokenizer, folder=plan.place, half=half() if way.mixed else ""
        )
        ready.train()
        trained = time.monotonic()
        seconds["seconds"] += trained - started
        probabilities[:, plan.segments == k] = trainer_baseline.predict(ready, task, rows)
        started = time.monotonic()
        seconds["predict_seconds"] += started - trained
        segment_model.save(net, plan.place / str(k))
    return Predictions(rows, probabilities, plan.segments), seconds


def _metrics(corpus: Corpus, found: Predictions, parameters: Parameters) -> dict[str, float]:
    """F1 on unfiltered test labels at thresholds from validation; mean of micro-AP and mAP on validation."""
    validation, gold = corpus.rows("validation"), corpus.labels
    decided = results.binarize(corpus, found, results.choose_thresholds(corpus, gold, found, parameters))
    scored = label_metrics.scores(results.test_truth(corpus, gold), decided)
    metrics = {name: scored[name] for name in ("micro_f1", "macro_f1_present")}
    return metrics | {
        "validation_ranking": score_metrics.validation_score(gold[validation].toarray(), found.select(validation))
    }


def _operations(folder: Path, way: Way) -> dict[str, float]:
    """`trainable_parameters` of all models, and `flops` of all their training, padding included.

    The FLOPs are those of the frozen layers, once per note, and of the trained part, per note seen. Both are estimated
    from a sample of notes, with the number of codes of the largest segment.
    """
    corpus, parameters = corpora.read(folder), way.variant.parameters
    plan = next(jobs.plan(folder, [way.variant], corpus))
    tokenizer, base = encoder.load(parameters.encoder, download=parameters.download)
    notes = np.random.default_rng(0).permutation(plan.train)[:SAMPLE]
    seen = tokens.tokenize(tokenizer, corpus.notes["text"].to_numpy()[notes], max_tokens=parameters.max_tokens)
    codes = int((plan.segments == plan.n - 1).sum())
    counted = cost.operations(base, parameters, seen, codes=codes)
    net = worker.fresh(base, np.full(codes, 0.5), parameters)
    adapter, head = (sum(p.numel() for p in part.parameters() if p.requires_grad) for part in (net.encoder, net.head))
    a_code = head // codes
    return {
        "trainable_parameters": plan.n * adapter + int((plan.segments >= 0).sum()) * a_code,
        "flops": len(corpus.notes) * counted["frozen"] + plan.notes_to_see() * counted["trained"],
    }


def main(arguments: list[str]) -> None:
    """Measure one setup; arguments: folder of the run, position in `ways`."""
    folder, number = Path(arguments[0]), int(arguments[1])
    config = json.loads((folder / FOLDER / "training.json").read_text(encoding="utf-8"))
    way = ways(check(config["parameters"]), config["rate"])[number]
    storage.write_json(folder / way.variant.folder / "found.json", _measure(folder, way))


if __name__ == "__main__":
    main(sys.argv[1:])
