"""A variant of the method: its labels, segments and loss. The main run is one, each ablation experiment another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter
from scipy import sparse

from shl_utils.data.corpus import Corpus
from shl_utils.declarations import LOSSES
from shl_utils.method.segmentation import segment
from shl_utils.parameters import Parameters
from shl_utils.training import segment_record, similarities
from shl_utils.training.segment_record import SegmentRecord

LEVELS = {  # names of levels that say more than the values of their parameters
    "segmentation": {"none": "one model", "eta": "segments"},
    "filter_labels": {
        "none": "no filter",
        "train": "filter",
        "train+validation": "filter on validation too",
        "all": "filter on test too",
    },
}
MAIN, REFERENCE = ".", "reference"  # folders of what `03_train` trains and `04_evaluate` predicts with
PLAIN = {"loss": "bce", "segmentation": "none", "filter_labels": "none"}


@dataclass(frozen=True)
class Variant:
    """One set of models, one per segment.

    folder: of its segments, adapters and predictions, relative to the run; "." for the main variant. parameters: the
    full set that it is trained with. settings: if the folder is an id, the parameters in which it differs from the run.
    """

    folder: str
    parameters: Parameters
    settings: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """What a reader calls it, such as "segments, sh_focal, filter"; equal for variants of equal models."""
        own = self.parameters
        model, labels = (LEVELS[factor][getattr(own, factor)] for factor in LEVELS)
        initialization = [] if own.initialization == "prior" else [f"initialization {own.initialization}"]
        return ", ".join([model, own.loss, labels, *initialization])


VARIANTS = TypeAdapter(list[Variant])  # converts them to values of JSON and back


def main(parameters: Parameters) -> Variant:
    """The variant that the run's own parameters define."""
    return Variant(MAIN, parameters)


def reference(parameters: Parameters) -> Variant:
    """The baseline: a single model of all codes with plain BCE, on unfiltered labels. The method must beat it."""
    return Variant(REFERENCE, parameters.model_copy(update=PLAIN | {"initialization": "prior"}))


def compared(parameters: Parameters) -> list[Variant]:
    """The main variant and the baseline; the main variant alone if it is the baseline."""
    both = [main(parameters), reference(parameters)]
    return both[:1] if both[0].parameters == both[1].parameters else both


def inactive_parameters(parameters: Parameters) -> set[str]:
    """Names of the parameters that have no effect on a training with these settings."""
    unused = set().union(*(loss.uses for loss in LOSSES.values())) - LOSSES[parameters.loss].uses
    one, unfiltered = parameters.segmentation == "none", parameters.filter_labels == "none"
    if one:  # negatives of the only segment have no code at all, and for one origin all definitions of beta agree
        unused |= {"eta", "beta"}
    if unfiltered:
        unused |= {"filter_by", "filter_threshold"}
    if one and unfiltered:  # the corpus holds no note without a code, so there are no negatives
        unused |= {"negatives_per_positive", "undersampling"}
    return unused


def segment_table(corpus: Corpus, labels: sparse.csr_array, *, segmentation: str, eta: float) -> pd.DataFrame:
    """One row per code with a training note: `code`, `description`, `train_count`, `segment` (0 holds the rarest)."""
    table = corpus.codes.assign(train_count=corpus.train_counts(labels))
    table = table[table["train_count"] > 0].reset_index(drop=True)
    single = segmentation == "none"
    return table.assign(segment=0 if single else segment(table["train_count"], eta=eta))


def write_segments(run_folder: Path, corpus: Corpus, wanted: list[Variant]) -> None:
    """Write `segments.parquet` into the folder of every variant; for the main variant, 02_segment does so."""
    for variant in wanted:
        parameters = variant.parameters
        labels = similarities.read_labels(run_folder, corpus, parameters)
        table = segment_table(corpus, labels, segmentation=parameters.segmentation, eta=parameters.eta)
        (run_folder / variant.folder).mkdir(parents=True, exist_ok=True)
        table.to_parquet(run_folder / variant.folder / "segments.parquet", index=False)


def read_segments(run_folder: Path, variant: Variant) -> pd.DataFrame:
    """The table of `segment_table` that was written for the variant; FileNotFoundError if there is none."""
    return pd.read_parquet(run_folder / variant.folder / "segments.parquet")


def core_seconds(run_folder: Path, variant: Variant) -> float:
    """CPU core-seconds (on GPUs: GPU-seconds) that training all its segments took, whenever that was."""
    return round(sum(map(core_seconds_of, read_records(run_folder, variant))), 1)


def computed(run_folder: Path, models: list[Variant]) -> list[dict[str, Any]]:
    """Device, precision and number of processes of every trained segment of these models."""
    trained = [record for variant in models for record in read_records(run_folder, variant)]
    return [{"device": r.device, "precision": r.precision, "processes": r.world} for r in trained]


def read_records(run_folder: Path, variant: Variant) -> list[SegmentRecord]:
    """The records of the variant's trained segments, in their order."""
    return segment_record.read_all(run_folder / variant.folder / "segments")


def core_seconds_of(record: SegmentRecord) -> float:
    """CPU core-seconds (on GPUs: GPU-seconds) that training one segment took."""
    return record.seconds * record.world * (record.threads if record.device == "cpu" else 1)


def named_segments(segment: np.ndarray) -> pd.Series:
    """(codes,), categorical: "0", "1", ... in this order; "no model" if no training note has the code (any more)."""
    names = [*map(str, range(segment.max() + 1)), "no model"]
    return pd.Series(pd.Categorical([names[k] for k in segment], categories=names))


def segment_of_code(table: pd.DataFrame, corpus: Corpus) -> np.ndarray:
    """(codes,): segment of every code of the corpus; -1 if it has no training note and so no model."""
    result = np.full(len(corpus.codes), -1)
    result[pd.Index(corpus.codes["code"]).get_indexer(table["code"])] = table["segment"]
    return result
