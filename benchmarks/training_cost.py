"""Cost of training by several setups, each in a process of its own on the notes of one run: `shl bench`.

The baseline implementation (`trainer_baseline`) trains LoRA in all layers, in one model or in one per segment. Ours
trains all layers, or the top ones on frozen layers that are computed once; it may also train the same codes in ever
more segments. All setups compute in the run's precision and see the same notes for the same number of epochs. Their
models are evaluated by the same rules.

python -m benchmarks.training_cost RUN FOLDER    is what `training` starts for each training.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks import steps, trainer_baseline
from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.encoder import encoder, feature_cache, tokens
from shl_utils.evaluation import cost, label_metrics, predictions, results, score_metrics
from shl_utils.evaluation.predictions import Predictions
from shl_utils.method.segmentation import segment
from shl_utils.parameters import Parameters, check
from shl_utils.runs import dependencies, mixed_precision, provenance, storage
from shl_utils.training import jobs, launch, segment_model, variants, worker
from shl_utils.training.variants import PLAIN, Variant

FOLDER = "bench"
EVERY = 0.5  # seconds between two measurements of memory
SAMPLE = 256  # notes on which FLOPs are counted
ALL_LAYERS = {"lora_layers": -1, "lora_targets": "attention"}  # LoRA as PEFT adapts BERT by default
RATES = ("lr_lora", "lr_head")


@dataclass(frozen=True)
class Way:
    """A setup. runner: "ours", or "Trainer" for transformers.Trainer. changes: parameters in which it differs from the
    run's. segments: how many they make, where that is what ways differ in."""

    runner: str
    changes: dict[str, Any]
    segments: int = 0

    def name(self, parameters: Parameters) -> str:
        """Such as "ours: segments, top 2": key of the results."""
        p = parameters.model_copy(update=self.changes)
        models = "one model" if p.segmentation == "none" else "segments"
        if self.segments:
            models = f"{self.segments} segment{'s' * (self.segments > 1)}"
        return f"{self.runner}: {models}, {'all layers' if p.lora_layers == -1 else f'top {p.lora_layers}'}"

    def parameters(self, of_run: Parameters, rate: float = 1.0, seed: int = 0) -> Parameters:
        """rate: factor on both learning rates. seed: `training_seed`."""
        rates = {name: rate * getattr(of_run, name) for name in RATES}
        return check(of_run.model_dump() | self.changes | rates | {"training_seed": seed})


WAYS = (
    Way("Trainer", PLAIN | ALL_LAYERS),
    Way("Trainer", ALL_LAYERS),
    Way("ours", PLAIN | ALL_LAYERS),
    *(Way("ours", {"lora_layers": n}) for n in (1, 2, 3)),
)


def segment_counts(folder: Path, parameters: Parameters, numbers: Iterable[int]) -> list[Way]:
    """Ways of ours with as many segments as `numbers` say, or the next fewer that any eta makes."""
    corpus, main = corpora.read(folder), variants.main(parameters)
    counts = np.asarray(variants.training_labels(corpus, main, folder)[corpus.rows("train")].sum(axis=0)).astype(int)
    etas = {}
    for eta in np.geomspace(1000, 0.001, 601):  # fewest segments first
        eta = float(f"{eta:.4g}")
        etas.setdefault(int(segment(counts[counts > 0], eta=eta).max()) + 1, eta)
    chosen = sorted({max([n for n in etas if n <= number], default=min(etas)) for number in numbers})
    return [Way("ours", {"segmentation": "eta", "eta": etas[n]}, segments=n) for n in chosen]


def training(
    folder: Path, parameters: Parameters, ways: Sequence[Way], *, rates: Sequence[float], seeds: Sequence[int]
) -> Path:
    """Train every way on the notes of the run in `folder`, one after the other; return the file of results.

    rates: the first seed trains with each of these factors, and validation chooses the one for all seeds. Trainings of
    the same parameters, machine, versions and code are kept, and the file is rewritten after each. RuntimeError if one
    fails.
    """
    target = folder / FOLDER / "training.json"
    about = steps.conditions(parameters) | {"code": storage.short(dependencies.trace(sys.modules[__name__]))}
    found = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    if any(found.get(name) != value for name, value in about.items()):
        found = {"matrix_rate": 0.0, "ways": {}, "trainings": {}, "operations": {}, "rates": {}, "gains": {}}
    found |= about | provenance.revision()
    found["ways"] |= {way.name(parameters): asdict(way) for way in ways}

    def run(name: str, rate: float, seed: int) -> None:
        lines = found["trainings"].setdefault(name, [])
        if any((line["rate"], line["seed"]) == (rate, seed) for line in lines):
            return
        print(f"{name}, rate {rate:g}, seed {seed}: ", end="", flush=True)
        way = by_name[name]
        measured = _in_a_process(folder, _place(folder, way, rate, seed), way.parameters(parameters, rate, seed), way)
        lines.append({"rate": rate, "seed": seed} | measured)
        print(f"{measured['seconds']:.0f} s", flush=True)
        found["matrix_rate"] = max(found["matrix_rate"], steps.matrix_rate(found["precision"]))
        storage.write_json(target, found)

    by_name = {way.name(parameters): way for way in ways}
    first, *others = seeds
    for rate in rates:
        for name in by_name:
            run(name, rate, first)
    for name in by_name:
        tried = [line for line in found["trainings"][name] if line["seed"] == first]
        found["rates"][name] = max(tried, key=lambda line: line["validation_ranking"])["rate"]
    for seed in others:
        for name in by_name:
            run(name, found["rates"][name], seed)
    # FLOPs are counted in this process, so that their memory is not counted for the training
    for name, way in by_name.items():
        if name not in found["operations"]:
            found["operations"][name] = _operations(folder, way.parameters(parameters))
    found["gains"] |= _gains(folder, parameters, by_name, found["rates"], seeds)
    storage.write_json(target, found)
    return target


def _place(folder: Path, way: Way, rate: float, seed: int) -> Path:
    return folder / FOLDER / storage.short([way.runner, way.changes, rate, seed])


def _in_a_process(folder: Path, place: Path, parameters: Parameters, way: Way) -> dict[str, Any]:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    storage.write_json(place / "trial.json", {"runner": way.runner, "parameters": parameters.model_dump()})
    log = place / "log"
    with log.open("w", encoding="utf-8") as file:
        command = [sys.executable, "-m", "benchmarks.training_cost", str(folder), place.name]
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _memory(process.pid))
            time.sleep(EVERY)
    if process.returncode:
        raise RuntimeError(f"{way.name(parameters)} stopped with exit code {process.returncode}: {log}")
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


def _measure(folder: Path, runner: str, variant: Variant) -> dict[str, Any]:
    """Train and predict; return times, number of models, notes, memory, size on disk and metrics."""
    corpus = corpora.read(folder)
    variants.write_segments(folder, corpus, [variant])
    plan = next(jobs.plan(folder, [variant], corpus))
    for of in ("", "tokens"):  # so that the time to make them counts
        feature_cache.path_of(folder, variant.parameters, of=of).unlink(missing_ok=True)
    found, seconds = _by_trainer(plan, corpus) if runner == "Trainer" else _by_us(folder, variant)
    predictions.write(found, corpus, folder / variant.folder / "predictions.parquet")
    return {
        **{name: round(value, 1) for name, value in seconds.items()},
        "models": plan.n,
        "notes_seen": plan.notes_to_see(),
        "peak_gpu_mb": round(torch.cuda.max_memory_allocated() / 1e6) if torch.cuda.is_available() else 0,
        "bytes": sum(path.stat().st_size for path in plan.place.rglob("*") if path.is_file()),
        **_metrics(corpus, found, variant.parameters),
    }


def _by_us(folder: Path, variant: Variant) -> tuple[Predictions, dict[str, float]]:
    started = time.monotonic()
    launch.train(folder, [variant])
    trained = time.monotonic()
    found = next(predictions.compute(folder, [variant]))
    return found, {"seconds": trained - started, "predict_seconds": time.monotonic() - trained}


def _by_trainer(plan: jobs.Plan, corpus: Corpus) -> tuple[Predictions, dict[str, float]]:
    """Train and predict by Trainer, one segment after the other; return predictions, and seconds of both.

    The models are ours, `encoder.lora_linear` included, which is faster than PEFT's own layer.
    """
    parameters, seconds = plan.variant.parameters, {"seconds": 0.0, "predict_seconds": 0.0}
    rows, precision = corpus.rows("validation", "test"), mixed_precision.computing(parameters).precision
    probabilities = np.zeros((len(rows), len(corpus.codes)), dtype=np.float32)
    started = time.monotonic()
    tokenizer, base = encoder.load(parameters.encoder, download=parameters.download)
    base.set_attn_implementation("sdpa")  # the default of transformers
    seen = tokens.tokenize(tokenizer, corpus.notes["text"], max_tokens=parameters.max_tokens)
    for k in range(plan.n):
        task = worker.task_of(seen, corpus, plan, k, device=mixed_precision.device())
        net = worker.fresh(base, task.prior(), parameters)
        ready = trainer_baseline.trainer(net, task, parameters, tokenizer, folder=plan.place, precision=precision)
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
    scored = label_metrics.scores(results.test_truth(corpus, gold), _decided(corpus, found, parameters))
    metrics = {name: scored[name] for name in ("micro_f1", "macro_f1_present")}
    return metrics | {
        "validation_ranking": score_metrics.validation_score(gold[validation].toarray(), found.select(validation))
    }


def _decided(corpus: Corpus, found: Predictions, parameters: Parameters) -> np.ndarray:
    return results.binarize(corpus, found, results.choose_thresholds(corpus, corpus.labels, found, parameters))


def _gains(
    folder: Path, parameters: Parameters, ways: dict[str, Way], rates: dict[str, float], seeds: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Gains in F1 over Trainer's segments, means over seeds, with paired intervals; empty if these are not there."""
    base = Way("Trainer", ALL_LAYERS).name(parameters)
    if base not in ways:
        return {}
    corpus, measured = corpora.read(folder), {}
    truth = results.test_truth(corpus, corpus.labels)
    for name, way in ways.items():
        places = [_place(folder, way, rates[name], seed) for seed in seeds]
        found = [predictions.read(place / "predictions.parquet", corpus) for place in places]
        measured[name] = results.measured_on(truth, [_decided(corpus, one, parameters) for one in found], parameters)
    others = {name: one for name, one in measured.items() if name != base}
    return {name: results.summarize(results.difference(one, measured[base])) for name, one in others.items()}


def _operations(folder: Path, parameters: Parameters) -> dict[str, float]:
    """`trainable_parameters` of all models, and `flops` of all their training, padding included.

    The FLOPs are those of the frozen layers, once per note, and of the trained part, per note seen. Both are estimated
    from a sample of notes, with the number of codes of the largest segment.
    """
    corpus = corpora.read(folder)
    variant = Variant(f"{FOLDER}/operations", parameters)
    variants.write_segments(folder, corpus, [variant])
    plan = next(jobs.plan(folder, [variant], corpus))
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
    """Train what `trial.json` says; arguments: folder of the run, name of the trial's folder in `bench`."""
    folder, name = Path(arguments[0]), arguments[1]
    trial = json.loads((folder / FOLDER / name / "trial.json").read_text(encoding="utf-8"))
    variant = Variant(f"{FOLDER}/{name}", check(trial["parameters"]))
    storage.write_json(folder / FOLDER / name / "found.json", _measure(folder, trial["runner"], variant))


if __name__ == "__main__":
    main(sys.argv[1:])
