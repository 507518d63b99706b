"""Training of all segments of some variants, in this process or in one of several.

Several processes share either each model, started by torchrun, or the list of models.

python -m shl_utils.training.worker CONFIG    is what `launch` starts; CONFIG is written by `launch.train`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradScalerKwargs, InitProcessGroupKwargs
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.errors import record

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.encoder import feature_cache, frozen_layers
from shl_utils.encoder.tokens import Ragged
from shl_utils.method import loss_factory
from shl_utils.method.extensions import initialization
from shl_utils.parameters import Parameters
from shl_utils.runs import mixed_precision, progress, storage
from shl_utils.training import jobs, loop, segment_model
from shl_utils.training.jobs import Plan
from shl_utils.training.processes import die_with_parent
from shl_utils.training.segment_record import SegmentRecord
from shl_utils.training.variants import VARIANTS

# Initial gradient scale of fp16. At PyTorch's 2^16 the largest gradients overflow and their steps are skipped: 5 of the
# 100 steps of five small segments. At 2^10 none was skipped, and each segment ended as in float32.
SCALE = 2.0**10


def accelerator_for(precision: str, *, world: int) -> Accelerator:
    """An Accelerator of this precision (or "auto") and number of processes; ValueError if it would have others."""
    wanted = mixed_precision.resolve(precision)
    AcceleratorState._reset_state(reset_partial_state=False)  # a kernel may train twice, at another precision
    accelerator = Accelerator(
        cpu=mixed_precision.device() == "cpu",
        mixed_precision={"fp32": "no"}.get(wanted, wanted),
        step_scheduler_with_optimizer=False,
        # while one process encodes all notes the others wait, maybe for hours; if one ends, all end
        kwargs_handlers=[GradScalerKwargs(init_scale=SCALE), InitProcessGroupKwargs(timeout=timedelta(days=2))],
    )
    got = loop.effective_precision(accelerator), accelerator.num_processes
    if got != (wanted, world):
        raise ValueError(f"asked for {wanted} in {world} processes, got {got[0]} in {got[1]}: start through `launch`")
    return accelerator


def train(
    folder: Path,
    plans: Iterable[Plan],
    corpus: Corpus,
    *,
    world: int = 1,
    shared: bool = False,
    above: float = 0,
    below: float = math.inf,
) -> None:
    """Train the missing segments of every plan that see at least `above` notes and fewer than `below`.

    A segment is written completely, then renamed into place: after a kill the same call resumes with the first missing.
    world: processes that train one model together. shared: other processes work on the same list; each takes a segment
    that is free.
    """
    prepared = feature_cache.FeatureCache(folder, corpus.notes["text"])
    due = ((plan, k) for plan in plans for k in plan.sized(above, below))
    for plan, k in _largest_first(folder, due) if shared else due:
        with storage.try_lock(plan.place / f"{k}.lock") if shared else nullcontext(True) as free:
            if free and not plan.holds(k):
                _train_segment(k, plan, corpus, prepared, world=world)


def _largest_first(folder: Path, due: Iterable[tuple[Plan, int]]) -> list[tuple[Plan, int]]:
    """Segments in the order in which processes share them, so that none waits long for another at the end.

    Those that read the same features stay together: they are loaded once.
    """
    features: dict[Path, list[tuple[int, Plan, int]]] = {}
    for plan, k in due:
        path = feature_cache.path_of(folder, plan.variant.parameters)
        features.setdefault(path, []).append((plan.notes_of(k), plan, k))
    return [(plan, k) for group in features.values() for _, plan, k in sorted(group, key=lambda one: -one[0])]


def _train_segment(k: int, plan: Plan, corpus: Corpus, prepared: feature_cache.FeatureCache, *, world: int) -> None:
    parameters = plan.variant.parameters
    accelerator = accelerator_for(parameters.precision, world=world)  # its gradient scale starts afresh
    with accelerator.main_process_first():
        base, seen = prepared.features(parameters)
    task = task_of(seen, corpus, plan, k, device=accelerator.device)
    codes = corpus.codes["code"].to_numpy()[plan.segments == k].tolist()

    def build(prior: NDArray) -> segment_model.SegmentModel:
        net = fresh(base, prior, parameters)
        if parameters.initialization == "label_embedding":
            initialization.set_head(net, *_description_head(prior, prepared, corpus, plan, k))
        return net

    main, label = accelerator.is_main_process, f"{plan.variant.name}: segment {k} of {plan.n}"
    path = plan.place / f"{k}.epoch"
    with progress.bar(task.epochs * task.notes.size, label) if main else nullcontext() as bar:
        on_step = bar.update if bar else lambda n: None
        net, facts = loop.fit(build, task, parameters, accelerator, on_step, path=path, key=plan.key)
    if main:
        about = SegmentRecord(
            segment=k,
            codes=codes,
            key=plan.key,
            device=accelerator.device.type,
            precision=loop.effective_precision(accelerator),
            world=world,
            threads=torch.get_num_threads(),
            derived=plan.derived(k),
            **facts,
        )
        with storage.atomic(plan.place / str(k)) as partial:
            partial.mkdir()
            segment_model.save(net, partial)
            about.write(partial)
        path.unlink(missing_ok=True)
    accelerator.wait_for_everyone()


def task_of(seen: Ragged, corpus: Corpus, plan: Plan, k: int, *, device: torch.device | str = "cpu") -> loop.Task:
    """The training task of segment `k` of `plan`; seen: features of all notes. device: where it is trained."""
    parameters, own, notes = plan.variant.parameters, plan.labels[:, plan.segments == k], plan.training_set(k)
    loss = loss_factory.fitted(parameters.loss, own[plan.train], parameters, device=device)
    if not notes.weighted and len(notes.negatives):
        loss = partial(_corrected, loss, torch.tensor(notes.correction(own), dtype=torch.float32, device=device))
    return loop.Task(
        features=seen,
        labels=own,
        notes=notes,
        validation=corpus.rows("validation"),
        loss=loss,
        epochs=parameters.epochs,
        seed=parameters.training_seed * 1000 + k,
    )


def _corrected(
    loss: Callable[..., Tensor], correction: Tensor, logits: Tensor, *others: Tensor, notes: float
) -> Tensor:
    """The loss of logits that are corrected for the negatives which are not drawn, see `TrainingSet.correction`."""
    return loss(logits + correction, *others, notes=notes)


def fresh(base: nn.Module, prior: NDArray, parameters: Parameters) -> segment_model.SegmentModel:
    """An untrained model over the encoder `base`; prior: (codes,), share of notes with each code."""
    parts = frozen_layers.split_encoder(base, parameters)
    return segment_model.create(
        parts.trainable,
        prior,
        pooling=parameters.pooling,
        rank=parameters.lora_rank,
        targets=parameters.lora_targets,
        layers=parts.trained,
        name=parameters.encoder,
    )


def _description_head(
    prior: NDArray, prepared: feature_cache.FeatureCache, corpus: Corpus, plan: Plan, k: int
) -> tuple[NDArray, NDArray]:
    """Weight (codes, width) and bias (codes,) of a head that starts from the codes' descriptions (label embedding)."""
    parameters, own = plan.variant.parameters, plan.segments == k
    some = np.random.default_rng(0).permutation(plan.train)[: initialization.SAMPLE]
    described = prepared.embed_descriptions(parameters, corpus.codes["description"][own].tolist())
    seen, held = prepared.mean_pooled(parameters, some), plan.labels[some][:, own].toarray()
    return initialization.description_head(seen, described, held, prior)


@record
def _main(path: str) -> None:
    config = json.loads(Path(path).read_text(encoding="utf-8"))
    folder, wanted = Path(config["folder"]), VARIANTS.validate_python(config["variants"])
    corpus = corpora.read(folder)
    train(folder, jobs.plan(folder, wanted, corpus), corpus, **config["how"])


if __name__ == "__main__":
    die_with_parent()
    _main(sys.argv[1])
