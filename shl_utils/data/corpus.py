"""The corpus of a run: rare codes dropped, notes split, written once and read by every later stage."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from shl_utils.data import cleaning, published_split, raw_corpus, splitting
from shl_utils.parameters import Parameters


@dataclass(frozen=True)
class Corpus:
    """Notes in a fixed order, codes in a fixed order, and which note has which code.

    notes: columns `note`, `group`, `split`, `text`, `codes`. codes: columns `code`, `description`, sorted by code.
    """

    notes: pd.DataFrame
    codes: pd.DataFrame

    @cached_property
    def labels(self) -> sparse.csr_array:
        """(notes, codes) of 0 and 1 in float32, as in the source: never filtered."""
        return matrix(self.notes["codes"], self.codes["code"])

    @cached_property
    def split(self) -> NDArray[np.str_]:
        """(notes,): "train", "validation" or "test"."""
        return self.notes["split"].to_numpy(dtype=str)

    def rows(self, *splits: str) -> NDArray[np.int64]:
        """(n,): numbers of the notes of these splits, one split after the other."""
        return np.concatenate([np.flatnonzero(self.split == split) for split in splits])

    def train_counts(self, labels: sparse.csr_array | None = None) -> NDArray[np.int64]:
        """(codes,): training notes of each code, the measure of rarity in every report.

        labels: (notes, codes), such as filtered ones; None for the source's.
        """
        labels = self.labels if labels is None else labels
        return np.asarray(labels[self.rows("train")].sum(axis=0)).astype(np.int64)

    def summary(self) -> pd.DataFrame:
        """One row per split: notes, codes with a note, labels and mean codes per note. Counts, never text."""
        rows = {}
        for name in splitting.SPLITS:
            labels = self.labels[self.rows(name)]
            rows[name] = {
                "notes": labels.shape[0],
                "codes in use": int((labels.sum(axis=0) > 0).sum()),
                "assignments": int(labels.sum()),
                "codes per note": labels.sum() / max(labels.shape[0], 1),
            }
        return pd.DataFrame(rows).T

    def flaws(self) -> dict[str, int]:
        """Counts of flaws that a published split may have and that we do not repair.

        If a group or text is in two splits, a model may remember where it should generalise. A code without a training
        note cannot be learned, and still counts in the test. Our own split has only this last flaw, in a long tail, and
        only for codes whose notes must all stay together.
        """
        split = self.notes["split"]
        texts = pd.Series(splitting.text_numbers(self.notes["text"]), index=split.index)
        return {
            "groups in two splits": int((split.groupby(self.notes["group"]).nunique() > 1).sum()),
            "texts in two splits": int((split.groupby(texts).nunique() > 1).sum()),
            "codes without a training note": int((self.train_counts() == 0).sum()),
        }


def matrix(lists: pd.Series, codes: pd.Series) -> sparse.csr_array:
    """(len(lists), len(codes)) of 0 and 1, float32, from lists of codes; codes outside `codes` are left out."""
    position = {code: i for i, code in enumerate(codes)}
    columns = [[position[code] for code in row if code in position] for row in lists]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in columns])])
    flat = np.array([c for row in columns for c in row], dtype=np.int64)
    shape = (len(lists), len(position))
    return sparse.csr_array((np.ones(len(flat), dtype=np.float32), flat, offsets), shape=shape)


def build(source: raw_corpus.RawCorpus, parameters: Parameters) -> tuple[Corpus, dict[str, int]]:
    """The corpus, and counts of what was left out, as {reason: count}.

    Notes are cleaned, see `cleaning`. Codes are counted over all notes of the source; those with fewer than `min_notes`
    notes are dropped. Then `top_codes` keeps the most frequent codes, and `split_files` the notes that they name. Notes
    left without a code are dropped, the others split. A published split is kept; a missing validation split is taken
    from its training notes.
    Raises ValueError where the source, the codes or the splits that are left do not suffice.
    """
    check_source(source)
    source, left_out = cleaning.clean_source(source, parameters.clean_text)
    codes, unwanted = _choose_codes(source, parameters)
    notes, unnamed = published_split.apply(source.notes, parameters.split_files)
    kept, splits = set(codes), set(notes.get("split", ()))
    notes = notes.assign(codes=[[c for c in row if c in kept] for row in notes["codes"]])
    coded = notes["codes"].str.len() > 0
    left_out |= unwanted | unnamed | {"notes left without a code": int((~coded).sum())}
    notes = notes[coded].reset_index(drop=True)
    used = sorted(_codes_of(notes))
    if len(used) < len(codes):
        left_out["codes without a note in the files of the split"] = len(codes) - len(used)
    if splits - set(notes.get("split", ())):
        raise ValueError(f"{source.name}: one split has no coded note left: lower `min_notes`, or raise `top_codes`")
    described = pd.DataFrame({"code": used, "description": [source.descriptions[code] for code in used]})
    before = notes.get("split")
    notes["split"] = _split_notes(notes, described, parameters)
    if before is not None:
        lost = len(_codes_of(notes[before == "train"]) - _codes_of(notes[notes["split"] == "train"]))
        left_out["codes whose only training notes our validation split took"] = lost
    few = _with_too_few(notes["split"], parameters, published=before is not None)
    if few:
        why = "what shares a group, a text or a rare code stays together"
        remedy = "raise `min_notes`, give more groups, or a split of your own with train, validation and test"
        raise ValueError(f"{len(notes)} notes leave too few for {' and '.join(few)}: {why}; {remedy}")
    if (notes["codes"].str.len() == len(used)).all():
        raise ValueError(
            f"{source.name}: every note has all {len(used)} codes, so there is nothing to tell apart: keep more codes "
            "(`top_codes`, `min_notes`), or check `separator`"
        )
    tested = notes["note"][notes["split"] == "test"]
    if parameters.shown_note and parameters.shown_note not in set(tested):  # else 08_one_note fails, at the very end
        raise ValueError("shown_note is the id of no test note: leave it empty for an example")
    return Corpus(notes[["note", "group", "split", "text", "codes"]], described), left_out


def _choose_codes(source: raw_corpus.RawCorpus, parameters: Parameters) -> tuple[list[str], dict[str, int]]:
    """The codes that are kept, most frequent first (ties by name), and counts of what was left out."""
    counts = Counter(code for row in source.notes["codes"] for code in row)
    enough = [code for code, n in counts.items() if n >= parameters.min_notes]
    if len(enough) < 2:
        raise ValueError(
            f"{len(enough)} codes have at least {parameters.min_notes} notes in {source.name}: at least two are "
            "needed; lower `min_notes` or check the source"
        )
    kept = sorted(enough, key=lambda code: (-counts[code], code))[: parameters.top_codes or None]
    left_out = {f"codes with fewer than {parameters.min_notes} notes": len(counts) - len(enough)}
    if len(kept) < len(enough):
        left_out[f"codes that are not among the {len(kept)} most frequent"] = len(enough) - len(kept)
    return kept, left_out


def _with_too_few(split: pd.Series, parameters: Parameters, *, published: bool) -> list[str]:
    """Splits too small for a metric. In a published split, whose sizes are not ours to judge, only the empty ones."""
    if published:
        return [name for name in splitting.SPLITS if not (split == name).any()]
    return splitting.short(split.to_numpy(), validation=parameters.validation_share, test=parameters.test_share)


def _codes_of(notes: pd.DataFrame) -> set[str]:
    return {code for row in notes["codes"] for code in row}


def _split_notes(notes: pd.DataFrame, codes: pd.DataFrame, parameters: Parameters) -> pd.Series | NDArray[np.str_]:
    """The published split of the notes, with validation taken from training if it has none, or else our own."""
    shares = {"validation": parameters.validation_share, "seed": parameters.seed}
    if "split" not in notes:
        labels = matrix(notes["codes"], codes["code"])
        return splitting.split(labels, groups=notes["group"], texts=notes["text"], test=parameters.test_share, **shares)
    if (notes["split"] == "validation").any():
        return notes["split"]
    training = notes[notes["split"] == "train"]
    labels = matrix(training["codes"], codes["code"])
    splits = splitting.split_off_validation(labels, groups=training["group"], texts=training["text"], **shares)
    return pd.Series(splits, training.index).reindex(notes.index).fillna(notes["split"])


def check_source(source: raw_corpus.RawCorpus) -> None:
    """Raise ValueError if the source breaks what `RawCorpus` promises. None of ours does; a new one might."""
    notes = source.notes
    if notes.empty:
        raise ValueError(f"{source.name} has no coded note with text")
    if notes["note"].duplicated().any():
        raise ValueError(f"{source.name}: note {notes.loc[notes['note'].duplicated(), 'note'].iloc[0]} occurs twice")
    if notes["text"].isna().any() or (notes["text"].str.strip() == "").any():
        raise ValueError(f"{source.name}: some notes are blank; the source must drop and count them")
    if not {"train", "test"} <= set(notes.get("split", splitting.SPLITS)) <= set(splitting.SPLITS):
        raise ValueError(f"{source.name}: a split needs train and test, may have validation, and no other name")
    undescribed = _codes_of(notes) - set(source.descriptions)
    if undescribed:
        raise ValueError(f"{source.name}: {len(undescribed)} codes lack a description, such as {min(undescribed)}")


def fingerprints(corpus: Corpus) -> dict[str, str]:
    """Digests that identify what a result was measured on: notes and their splits, list of codes, and labels.

    They reveal nothing of a text.
    """
    notes = corpus.notes
    parts = {
        "notes and split": sorted(zip(notes["note"], notes["split"])),
        "codes": sorted(corpus.codes["code"]),
        "labels": sorted((note, *codes) for note, codes in zip(notes["note"], notes["codes"])),
    }
    return {name: hashlib.sha256(json.dumps(part).encode()).hexdigest()[:16] for name, part in parts.items()}


def write(corpus: Corpus, folder: Path) -> None:
    """Write corpus.parquet (`notes`, one row per note) and codes.parquet (`codes`, one row per code)."""
    corpus.notes.to_parquet(folder / "corpus.parquet", index=False)
    corpus.codes.to_parquet(folder / "codes.parquet", index=False)


def read(folder: Path) -> Corpus:
    """What `write` wrote to `folder`."""
    return Corpus(pd.read_parquet(folder / "corpus.parquet"), pd.read_parquet(folder / "codes.parquet"))
