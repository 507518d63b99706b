"""Cost of training in several ways, each in a process of its own on the notes of one run: `shl bench`.

The baseline implementation (`trainer_baseline`) trains LoRA in all layers, in one model or in one per segment. Ours
trains all layers, or the top ones on frozen layers that are computed once; it may also train the same codes in ever
more segments. All compute in the run's precision and see the same notes for the same number of epochs. Their models are
evaluated by the same rules.

python -m benchmarks.training_cost RUN FOLDER    is what `bench` starts for each training.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from accelerate.utils import set_seed

from benchmarks import steps, trainer_baseline
from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.encoder import encoder, feature_cache, tokens
from shl_utils.evaluation import cost, disk, label_metrics, measurement, predictions, results, score_metrics
from shl_utils.evaluation.predictions import Predictions
from shl_utils.method.segmentation import segment
from shl_utils.parameters import Parameters, check
from shl_utils.runs import dependencies, mixed_precision, provenance, storage
from shl_utils.training import jobs, launch, segment_model, similarities, variants, worker
from shl_utils.training.variants import PLAIN, Variant

FOLDER = "bench"
EVERY = 0.5  # seconds between two measurements of memory
SAMPLE = 256  # notes on which FLOPs are counted
ALL_LAYERS = {"lora_layers": -1, "lora_targets": "attention"}  # LoRA as PEFT adapts BERT by default
RATES = ("lr_lora", "lr_head")


@dataclass(frozen=True)
class Way:
    """A way to train. runner: "ours", or "Trainer" for transformers.Trainer. changes: parameters in which it differs
    from the run's. segments: how many they make, where ways differ in that."""

    runner: str
    changes: dict[str, Any]
    segments: int = 0

    @property
    def key(self) -> str:
        return storage.short([self.runner, self.changes])

    @property
    def name(self) -> str:
        """Such as "ours: segments, top 2"."""
        models = "one model" if self.changes.get("segmentation") == "none" else "segments"
        if self.segments:
            models = f"{self.segments} segment{'s' * (self.segments > 1)}"
        layers = self.changes["lora_layers"]
        return f"{self.runner}: {models}, {'all layers' if layers == -1 else f'top {layers}'}"

    def parameters(self, of_run: Parameters, factor: float, seed: int) -> Parameters:
        """factor: on both learning rates. seed: `training_seed`."""
        rates = {name: factor * getattr(of_run, name) for name in RATES}
        return check(of_run.model_dump() | self.changes | rates | {"training_seed": seed}, origin=self.name)


BASE = Way("Trainer", ALL_LAYERS)
WAYS = (
    Way("Trainer", PLAIN | ALL_LAYERS),
    BASE,
    Way("ours", PLAIN | ALL_LAYERS),
    *(Way("ours", {"lora_layers": n}) for n in (1, 2)),
)


def segment_counts(folder: Path, parameters: Parameters, numbers: Iterable[int]) -> list[Way]:
    """Ways of ours with as many segments as `numbers` say, or the next fewer that any eta makes; by the run's own eta
    where that makes so many."""
    corpus, main = corpora.read(folder), variants.main(parameters)
    counts = corpus.train_counts(similarities.read_labels(folder, corpus, main.parameters))
    etas: dict[int, float] = {}
    for eta in (parameters.eta, *np.geomspace(1000, 0.001, 601)):  # then fewest segments first
        eta = float(f"{eta:.4g}")
        etas.setdefault(int(segment(counts[counts > 0], eta=eta).max()) + 1, eta)
    chosen = sorted({max(n for n in etas if n <= max(number, min(etas))) for number in numbers})
    layers = {"lora_layers": parameters.lora_layers}
    return [Way("ours", {"segmentation": "eta", "eta": etas[n]} | layers, segments=n) for n in chosen]


def bench(
    folder: Path,
    parameters: Parameters,
    ways: Sequence[Way],
    *,
    factors: Sequence[float],
    seeds: Sequence[int],
    name: str = "training",
) -> Path:
    """Train in every way on the notes of the run in `folder`, one after the other; return the file of results, `name`.

    factors: on the learning rates. The parameters' seed trains with each, and validation chooses the one that all
    `seeds` train with. What was measured under the same conditions is kept, and the file is rewritten after each
    training. ValueError for a run without segments, or a learning rate out of range; RuntimeError if a training fails.
    """
    if parameters.segmentation == "none":
        raise ValueError("segmentation is none, but one model is compared with segments: set `segmentation: eta`")
    first = parameters.training_seed
    for way in ways:  # before time is spent
        for factor in factors:
            way.parameters(parameters, factor, first)
    target = folder / FOLDER / f"{name}.json"
    found = _kept(target, _conditions(folder, parameters))

    def train(way: Way, factor: float, seed: int) -> None:
        about = found["ways"].get(way.key) or asdict(way) | {"name": way.name, "trainings": []}
        if not any((line["factor"], line["seed"]) == (factor, seed) for line in about["trainings"]):
            print(f"{way.name}, learning rates x {factor:g}, seed {seed}: ", end="", flush=True)
            line = _in_a_process(folder, _place(folder, way.key, factor, seed), way, parameters, factor, seed)
            about["trainings"].append({"factor": factor, "seed": seed} | line | provenance.revision())
            print(f"{line['seconds']:.0f} s", flush=True)
        tried = [line for line in about["trainings"] if line["seed"] == first]
        about["factor"] = max(tried, key=lambda line: line["validation_ranking"])["factor"]
        if "flops" not in about:  # counted in this process, so that their memory is not counted for the training
            about |= _operations(folder, way.parameters(parameters, 1.0, first))
        found["matrix_rate"] = max(found["matrix_rate"], steps.matrix_rate(found["precision"]))
        found["ways"][way.key] = about
        storage.write_json(target, found)

    for factor in dict.fromkeys(factors):
        for way in ways:
            train(way, factor, first)
    for seed in dict.fromkeys(seeds):
        for way in ways:
            train(way, found["ways"][way.key]["factor"], seed)
    _add_gains(folder, parameters, found)
    storage.write_json(target, found)
    return target


def _conditions(folder: Path, parameters: Parameters) -> dict[str, Any]:
    """What two trainings must have in common to be compared."""
    names = ("corpus", "codes", "filter")
    data = [storage.digest(folder / f"{name}.parquet") for name in names], encoder.identity(parameters)
    code = dependencies.trace(sys.modules[__name__])
    return steps.conditions(parameters) | {"data": storage.short(data), "code": storage.short(code)}


def _kept(target: Path, conditions: dict[str, Any]) -> dict[str, Any]:
    """What was measured under these conditions. What was measured under others is kept beside it, as `.old.json`."""
    found = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    differ = [name for name, value in conditions.items() if found.get(name) != value]
    if found and differ:
        print(f"measured anew, since these differ: {', '.join(differ)}", flush=True)
        target.replace(target.with_suffix(".old.json"))
    return conditions | ({"matrix_rate": 0.0, "ways": {}} if differ else found)


def _place(folder: Path, way: str, factor: float, seed: int) -> Path:
    return folder / FOLDER / f"{way}-{factor:g}-{seed}"


def _in_a_process(
    folder: Path, place: Path, way: Way, parameters: Parameters, factor: float, seed: int
) -> dict[str, Any]:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    wanted = {"runner": way.runner, "parameters": way.parameters(parameters, factor, seed).model_dump()}
    storage.write_json(place / "wanted.json", wanted)
    log = place / "log"
    with log.open("w", encoding="utf-8") as file:
        command = [sys.executable, "-m", "benchmarks.training_cost", str(folder), place.name]
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
        "bytes": disk.size(plan.place),
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
        set_seed(task.seed)
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


def _add_gains(folder: Path, parameters: Parameters, found: dict[str, Any]) -> None:
    """Add `gain` to every way: in F1 over Trainer's segments, means over the seeds of both, with paired intervals.

    A way has none where predictions are not there any more, but for one that was measured at the same rates.
    """
    corpus, base = corpora.read(folder), found["ways"].get(BASE.key)
    truth, patients = results.test_truth(corpus, corpus.labels), results.test_patients(corpus)

    def measured(way: str, seeds: list[int]) -> measurement.Measured:
        places = [_place(folder, way, found["ways"][way]["factor"], seed) for seed in seeds]
        read = [predictions.read(place / "predictions.parquet", corpus) for place in places]
        predicted = [_decided(corpus, one, parameters) for one in read]
        return measurement.measure(truth, predicted, parameters, patients=patients)

    for key, way in found["ways"].items() if base else ():
        rates = [way["factor"], base["factor"]]
        if way.get("gain", {}).get("rates") != rates:
            way.pop("gain", None)
        seeds = cost.at_chosen_rates(way).index.intersection(cost.at_chosen_rates(base).index).tolist()
        if key != BASE.key and seeds:
            with suppress(FileNotFoundError):
                gain = measurement.difference(measured(key, seeds), measured(BASE.key, seeds))
                way["gain"] = measurement.summarize(gain) | {"seeds": seeds, "rates": rates}


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
    """Train as `wanted.json` says; arguments: folder of the run, name of the training's folder in `bench`."""
    folder, name = Path(arguments[0]), arguments[1]
    wanted = json.loads((folder / FOLDER / name / "wanted.json").read_text(encoding="utf-8"))
    variant = Variant(f"{FOLDER}/{name}", check(wanted["parameters"]))
    storage.write_json(folder / FOLDER / name / "found.json", _measure(folder, wanted["runner"], variant))


if __name__ == "__main__":
    main(sys.argv[1:])
