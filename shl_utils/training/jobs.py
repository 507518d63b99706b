"""What has to be trained: the segments of a variant, and a key of what they depend on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shl_utils.data.corpus import Corpus
from shl_utils.declarations import LOSSES
from shl_utils.encoder import encoder
from shl_utils.method import harmonic_weights, loss_factory, losses
from shl_utils.method.extensions import initialization
from shl_utils.parameters import Parameters, training_parameters
from shl_utils.runs import dependencies, mixed_precision, storage
from shl_utils.training import segment_model, similarities, variants
from shl_utils.training.sampling import TrainingSet
from shl_utils.training.segment_record import SegmentRecord
from shl_utils.training.variants import Variant

WORKER = "shl_utils.training.worker"  # the module that trains what is planned here


@dataclass(frozen=True)
class Plan:
    """The segments of one variant, to be trained.

    labels: (notes, codes). segments: (codes,), -1 for a code without a model. train: numbers of the training notes.
    place: folder of the trained segments. key: hash of all that they depend on; when it changes they are trained again.
    """

    variant: Variant
    labels: sparse.csr_array
    segments: NDArray[np.int64]
    train: NDArray[np.int64]
    place: Path
    key: str

    @property
    def n(self) -> int:
        """Number of segments."""
        return int(self.segments.max()) + 1

    def sized(self, above: float, below: float) -> list[int]:
        """Segments whose training sees at least `above` notes over all epochs, and fewer than `below`."""
        return [k for k in range(self.n) if above <= self.notes_of(k) < below]

    def missing(self, above: float = 0, below: float = math.inf) -> list[int]:
        """Those of `sized` that are not trained."""
        return [k for k in self.sized(above, below) if not self.holds(k)]

    def holds(self, k: int) -> bool:
        """Whether segment `k` is trained: all its files exist, under the current key."""
        target = self.place / str(k)
        if not all((target / name).exists() for name in segment_model.FILES):
            return False
        try:
            return SegmentRecord.read(target).key == self.key
        except (FileNotFoundError, ValueError):
            return False

    def training_set(self, k: int) -> TrainingSet:
        """Training notes of segment `k` and their loss weights, with as many passes per epoch as `min_steps` needs."""
        parameters, weights = self.variant.parameters, np.ones(self.labels.shape[0])
        if LOSSES[parameters.loss].harmonic:
            weights[self.train] = harmonic_weights.weights(self.origins, k, beta=parameters.beta)
        positive = self.origins[:, k]
        found = TrainingSet(
            self.train[positive],
            self.train[~positive],
            weights,
            parameters.negatives_per_positive,
            weighted=parameters.undersampling == "weight",
        )
        return found.repeated(batch_size=parameters.batch_size, min_steps=parameters.min_steps)

    @cached_property
    def origins(self) -> NDArray[np.bool_]:
        """Of which segments each training note has labels, see `harmonic_weights.note_origins`."""
        modelled = self.segments >= 0
        return harmonic_weights.note_origins(self.labels[self.train][:, modelled], self.segments[modelled])

    def derived(self, k: int) -> dict[str, dict[str, float] | float]:
        """Values that the loss of segment `k` derives from the training labels, by argument name, for the record.

        Arrays are given by minimum, median and maximum. `weights` are the harmonic weights of the negative notes.
        """
        parameters, notes = self.variant.parameters, self.training_set(k)
        found = loss_factory.derived(parameters.loss, self.labels[self.train][:, self.segments == k], parameters)
        if LOSSES[parameters.loss].harmonic and len(notes.negatives):
            found["weights"] = notes.weights[notes.negatives]
        return {name: _summary(values) for name, values in found.items()}

    def notes_of(self, k: int) -> int:
        """Number of notes that segment `k` sees over all epochs, each as often as it is seen."""
        return self._sizes[k]

    @cached_property
    def _sizes(self) -> list[int]:
        return [self.variant.parameters.epochs * self.training_set(k).size for k in range(self.n)]

    def notes_to_see(self) -> int:
        """Sum of `notes_of` over all segments, whether already trained or not."""
        return sum(self.notes_of(k) for k in range(self.n))


def plan(folder: Path, wanted: Iterable[Variant], corpus: Corpus) -> Iterator[Plan]:
    """Yield one plan per variant."""
    digest, train = storage.digest(folder / "corpus.parquet"), corpus.rows("train")
    for variant in wanted:
        labels = similarities.read_labels(folder, corpus, variant.parameters)
        segments = variants.segment_of_code(variants.read_segments(folder, variant), corpus)
        place = folder / variant.folder / "segments"
        place.mkdir(parents=True, exist_ok=True)
        described = variant.parameters.initialization == "label_embedding"
        start = storage.digest(folder / "codes.parquet") if described else ""
        key = _key(variant.parameters, digest, labels, segments, start)
        yield Plan(variant, labels, segments, train, place=place, key=key)


def remove_stale_segments(folder: Path, trained: list[Variant]) -> None:
    """Remove segments beyond the current number, as of an earlier segmentation, partial ones, and locks."""
    for variant in trained:
        n = int(variants.read_segments(folder, variant)["segment"].max()) + 1
        for path in (folder / variant.folder / "segments").iterdir():
            if path.name not in map(str, range(n)):
                storage.remove(path)


def _key(parameters: Parameters, corpus: str, labels: sparse.csr_array, segments: NDArray, start: str) -> str:
    """Hash of everything that the trained segments of a variant depend on.

    All segments count for each one: its harmonic weights depend on the boundaries of the others.
    """
    return storage.short(
        {
            "parameters": parameters.model_dump(
                include=training_parameters(parameters) - variants.inactive_parameters(parameters)
            ),
            "encoder": encoder.identity(parameters),
            "precision": mixed_precision.resolve(parameters.precision),
            "corpus": corpus,
            "labels": hashlib.sha256(labels.indptr.tobytes() + labels.indices.tobytes()).hexdigest(),
            "segments": segments.tolist(),
            "start": start,
            "code": _code(parameters.loss, parameters.initialization),
        }
    )


@cache
def _code(loss: str, initialized: str) -> dependencies.Code:
    """Digests of the code that training uses under this loss and initialization, without code that only others use."""
    harmonic = {harmonic_weights.weights, harmonic_weights.betas}
    described = {initialization.description_head, initialization.set_head}
    own = {losses.LOSSES[loss], *(loss_factory.DERIVED[name] for name in LOSSES[loss].derived)}
    own |= harmonic if LOSSES[loss].harmonic else set()
    own |= described if initialized == "label_embedding" else set()
    # these lead to every loss, `own` holds the one, with what it calls: focal is a part of sh_focal
    registries = {(losses.__name__, "LOSSES"), (loss_factory.__name__, "DERIVED")}
    others = {*map(dependencies.definition, harmonic | described)}
    apart = others - dependencies.reached(*own, without=registries)
    return dependencies.trace((WORKER, "_train_segment"), *own, without=apart | registries)


def _summary(values: NDArray[np.float64] | float) -> dict[str, float] | float:
    """`minimum`, `median` and `maximum` of an array, or the number itself, to four significant digits."""
    if isinstance(values, float):
        return float(f"{values:.4g}")
    points = {"minimum": values.min(), "median": np.median(values), "maximum": values.max()}
    return {name: _summary(float(point)) for name, point in points.items()}
