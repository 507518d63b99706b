"""Training of all segments of some variants, within this process or as one of several that torchrun started.

python -m shl_utils.worker CONFIG    is what torchrun runs; CONFIG is written by `launch.train`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from numpy.typing import NDArray
from scipy import sparse
from torch import nn

from shl_utils import corpus as corpora
from shl_utils import features, model, precision, progress, rebalancing, runs, starts, training, variants
from shl_utils.corpus import Corpus
from shl_utils.parameters import Parameters, check
from shl_utils.variants import Variant

# what a trained segment depends on, besides labels and segments; where and how it runs does not count
TRAINED_WITH = {
    *("loss", "epochs", "encoder", "max_tokens", "negatives", "training_seed", "batch_size", "warmup", "min_steps"),
    *("start", "lora_rank", "lora_targets", "lora_layers", "lr_lora", "lr_head"),
    *rebalancing.USED_BY,
}


def accelerator_for(asked: str, *, world: int) -> Accelerator:
    """An Accelerator that computes as asked, in as many processes as asked; ValueError where it would not."""
    wanted = precision.resolve(asked)
    AcceleratorState._reset_state(reset_partial_state=False)  # a kernel may train twice, in other arithmetic
    accelerator = Accelerator(
        cpu=precision.device() == "cpu",
        mixed_precision={"fp32": "no"}.get(wanted, wanted),
        step_scheduler_with_optimizer=False,
    )
    got = training.effective_precision(accelerator), accelerator.num_processes
    if got != (wanted, world):
        raise ValueError(f"asked for {wanted} in {world} processes, got {got[0]} in {got[1]}: start through `launch`")
    return accelerator


def train(folder: Path, wanted: list[Variant], *, world: int = 1) -> None:
    """Train every segment of every variant that `folder` does not hold yet.

    A segment is written whole, then renamed into place: after a kill the same call goes on with the first one missing.
    """
    corpus = corpora.read(folder)
    prepared = features.Prepared(folder, corpus.notes["text"])
    # what starts from the unified model comes behind it
    for variant in sorted(wanted, key=lambda v: v.parameters.start == "unified"):
        _train_variant(folder, variant, corpus, prepared, world)


def _train_variant(folder: Path, variant: Variant, corpus: Corpus, prepared: features.Prepared, world: int) -> None:
    parameters = variant.parameters
    accelerator = accelerator_for(parameters.precision, world=world)
    labels = variants.training_labels(corpus, variant, folder)
    segments = variants.segment_of_code(variants.read_segments(folder, variant), corpus)
    place = folder / variant.folder / "segments"
    key = _key(parameters, prepared.corpus, labels, segments, _start(folder, parameters))
    about = {"key": key, "world": world, "precision": training.effective_precision(accelerator)}
    for k in range(segments.max() + 1):
        if _holds(place / str(k), key):
            continue
        with accelerator.main_process_first():
            base, seen = prepared.of(parameters)
        accelerator = accelerator_for(parameters.precision, world=world)  # its gradient scale starts afresh
        task = _task(seen, corpus, labels, segments, k, parameters)
        label = f"{variant.name}: segment {k} of {segments.max() + 1}"
        names = corpus.codes["code"].to_numpy()[segments == k].tolist()

        def build(prior: NDArray, base=base, names=names) -> model.SegmentModel:
            net = _fresh(base, prior, parameters)
            if parameters.start == "unified":
                starts.from_unified(net, _unified(folder), names)
            elif parameters.start == "description":
                _describe(net, prior, prepared, parameters, corpus, labels, names)
            return net

        net, facts = _fit(build, task, parameters, accelerator, label)
        if accelerator.is_main_process:
            _write(net, place / str(k), {"segment": k, "codes": names} | about | facts)
        accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        _remove_others(place, segments.max() + 1)


def _task(seen, corpus, labels, segments, k: int, parameters: Parameters) -> training.Task:
    notes = training.training_set(
        labels,
        segments,
        corpus.rows("train"),
        k,
        loss=parameters.loss,
        reading=parameters.reading,
        largest=parameters.harmonic_max,
        ratio=parameters.negatives,
    )
    own = labels[:, segments == k]
    return training.Task(
        features=seen,
        labels=own,
        notes=notes.repeated(batch_size=parameters.batch_size, min_steps=parameters.min_steps),
        validation=corpus.rows("validation"),
        loss=rebalancing.fitted(parameters.loss, own[corpus.rows("train")], parameters),
        epochs=parameters.epochs,
        seed=parameters.training_seed * 1000 + k,
    )


def _unified(folder: Path) -> Path:
    """The one model of all codes; the main one, where the run trains no reference beside it."""
    reference = folder / "reference" / "segments" / "0"
    return reference if reference.exists() else folder / "segments" / "0"


def _start(folder: Path, parameters: Parameters) -> str:
    """What the start depends on, besides the parameters."""
    if parameters.start == "unified":
        return runs.digest(_unified(folder)) if _unified(folder).exists() else ""
    return runs.digest(folder / "codes.parquet") if parameters.start == "description" else ""


def _fresh(base: nn.Module, prior: NDArray, parameters: Parameters) -> model.SegmentModel:
    top, layers = features.trained_part(base, parameters)
    return model.create(
        top,
        prior,
        rank=parameters.lora_rank,
        targets=parameters.lora_targets,
        layers=layers,
        name=parameters.encoder,
    )


def _describe(net, prior, prepared, parameters, corpus: Corpus, labels, codes: list[str]) -> None:
    """Start the head of `net` at the descriptions of its codes."""
    train = corpus.rows("train")
    some = np.random.default_rng(0).permutation(train)[: starts.SAMPLE]
    columns = pd.Index(corpus.codes["code"]).get_indexer(codes)
    described = prepared.described(parameters, corpus.codes["description"].iloc[columns].tolist())
    seen, held = prepared.pooled(parameters, some), labels[some][:, columns].toarray()
    starts.set_head(net, *starts.description_head(seen, described, held, prior))


def _fit(build, task: training.Task, parameters: Parameters, accelerator: Accelerator, label: str):
    if not accelerator.is_main_process:
        return training.fit(build, task, parameters, accelerator, on_step=lambda n: None)
    with progress.bar(task.epochs * task.notes.size, label) as bar:
        return training.fit(build, task, parameters, accelerator, on_step=bar.update)


def _key(parameters: Parameters, corpus: str, labels: sparse.csr_array, segments: NDArray, start: str) -> str:
    """What the trained segments of a variant depend on; another key means train again.

    All segments count for each one: the harmonic weights of one depend on where the others begin.
    """
    moot = {name for name, users in rebalancing.USED_BY.items() if parameters.loss not in users}
    parts = {
        "parameters": parameters.model_dump(include=TRAINED_WITH - moot),
        "precision": precision.resolve(parameters.precision),
        "corpus": corpus,
        "labels": hashlib.sha256(labels.indptr.tobytes() + labels.indices.tobytes()).hexdigest(),
        "segments": segments.tolist(),
        "start": start,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _holds(target: Path, key: str) -> bool:
    if not all((target / name).exists() for name in model.FILES):
        return False
    try:
        return json.loads((target / "segment.json").read_text(encoding="utf-8"))["key"] == key
    except (FileNotFoundError, KeyError, json.JSONDecodeError):
        return False


def _write(net: model.SegmentModel, target: Path, facts: dict[str, Any]) -> None:
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model.save(net, partial)
    runs.write_json(partial / "segment.json", facts)
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def _remove_others(place: Path, n_segments: int) -> None:
    """Segments of an earlier cut of the tail, and halves of ones."""
    wanted = {str(k) for k in range(n_segments)}
    for path in place.iterdir():
        if path.name not in wanted:
            shutil.rmtree(path)


def _main(path: str) -> None:
    from torch.distributed.elastic.multiprocessing.errors import record

    @record
    def work() -> None:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
        wanted = [Variant(v["folder"], check(v["parameters"])) for v in config["variants"]]
        train(Path(config["folder"]), wanted, world=config["world"])

    if os.environ.get("RANK", "0") != "0":
        os.environ.pop(progress.VARIABLE, None)
    work()


if __name__ == "__main__":
    from shl_utils.launch import die_with_parent

    die_with_parent()
    _main(sys.argv[1])
