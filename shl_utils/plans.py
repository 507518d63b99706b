"""What has to be trained: the segments of a variant, and what each depends on."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shl_utils import corpus as corpora
from shl_utils import model, precision, rebalancing, runs, training, variants
from shl_utils.corpus import Corpus
from shl_utils.parameters import Parameters
from shl_utils.sampling import TrainingSet
from shl_utils.variants import Variant

# what a trained segment depends on, besides labels and segments; where and how it runs does not count
TRAINED_WITH = {
    *("loss", "epochs", "encoder", "max_tokens", "negatives", "training_seed", "batch_size", "warmup", "min_steps"),
    *("start", "refine", "pooling", "lora_rank", "lora_targets", "lora_layers", "lr_lora", "lr_head"),
    *rebalancing.USED_BY,
}


@dataclass(frozen=True)
class Plan:
    """A variant to be trained. labels: (notes, codes). segments: (codes,). place: of its segments.
    key: what they depend on; another key means train again."""

    folder: Path
    variant: Variant
    labels: sparse.csr_array
    segments: NDArray[np.int64]
    place: Path
    key: str

    @property
    def n(self) -> int:
        return int(self.segments.max()) + 1

    def holds(self, k: int) -> bool:
        """Whether the segment is there, whole, and made from what it depends on."""
        target = self.place / str(k)
        if not all((target / name).exists() for name in model.FILES):
            return False
        try:
            return json.loads((target / "segment.json").read_text(encoding="utf-8"))["key"] == self.key
        except (FileNotFoundError, KeyError, json.JSONDecodeError):
            return False


def of(folder: Path, variant: Variant, corpus: Corpus, digest: str) -> Plan:
    labels = variants.training_labels(corpus, variant, folder)
    segments = variants.segment_of_code(variants.read_segments(folder, variant), corpus)
    key = _key(variant.parameters, digest, labels, segments, _start(folder, variant))
    place = folder / variant.folder / "segments"
    place.mkdir(parents=True, exist_ok=True)
    return Plan(folder, variant, labels, segments, place, key)


def training_notes(plan: Plan, corpus: Corpus, k: int) -> TrainingSet:
    """What segment `k` trains on."""
    parameters = plan.variant.parameters
    found = training.training_set(
        plan.labels,
        plan.segments,
        corpus.rows("train"),
        k,
        loss=parameters.loss,
        reading=parameters.reading,
        largest=parameters.harmonic_max,
        ratio=parameters.negatives,
    )
    return found.repeated(batch_size=parameters.batch_size, min_steps=parameters.min_steps)


def due(folder: Path, wanted: list[Variant]) -> list[tuple[Variant, int]]:
    """Every segment that is missing: its variant and number."""
    corpus, digest = corpora.read(folder), runs.digest(folder / "corpus.parquet")
    plans = [of(folder, variant, corpus, digest) for variant in wanted]
    return [(plan.variant, k) for plan in plans for k in range(plan.n) if not plan.holds(k)]


def notes_to_see(folder: Path, wanted: list[Variant]) -> int:
    """Notes that all segments see in all epochs, whether trained by now or not."""
    corpus, digest = corpora.read(folder), runs.digest(folder / "corpus.parquet")
    plans = [of(folder, variant, corpus, digest) for variant in wanted]
    sizes = [p.variant.parameters.epochs * training_notes(p, corpus, k).size for p in plans for k in range(p.n)]
    return sum(sizes)


def tidy(folder: Path, trained: list[Variant]) -> None:
    """Remove segments of an earlier cut of the tail, halves of ones, and locks."""
    for variant in trained:
        n = int(variants.read_segments(folder, variant)["segment"].max()) + 1
        for path in (folder / variant.folder / "segments").iterdir():
            if path.name not in map(str, range(n)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def origin_folder(folder: Path, variant: Variant) -> Path:
    """The one model of all codes that `variant` starts from."""
    return folder / variant.origin.folder / "segments" / "0"


def _start(folder: Path, variant: Variant) -> str:
    """What the start depends on, besides the parameters."""
    if variant.origin:
        place = origin_folder(folder, variant)
        return runs.digest(place) if place.exists() else ""
    return runs.digest(folder / "codes.parquet") if variant.parameters.start == "description" else ""


def _key(parameters: Parameters, corpus: str, labels: sparse.csr_array, segments: NDArray, start: str) -> str:
    """What the trained segments of a variant depend on.

    All segments count for each one: the harmonic weights of one depend on where the others begin.
    """
    parts = {
        "parameters": parameters.model_dump(include=TRAINED_WITH - variants.moot(parameters)),
        "precision": precision.resolve(parameters.precision),
        "corpus": corpus,
        "labels": hashlib.sha256(labels.indptr.tobytes() + labels.indices.tobytes()).hexdigest(),
        "segments": segments.tolist(),
        "start": start,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
