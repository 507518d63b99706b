"""A published split, read from its files: lists of note ids, or one table of ids and splits.

Those of Mullenbach et al. 2018 for MIMIC-III are lists of admissions, one per line, full and top 50. Those of Edin et
al. 2023 for MIMIC-III and IV are .feather tables with columns _id and split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from shl_utils.data import cells, cleaning, columns

IDS = ("_id", "id", "note", "hadm_id")  # names that tables use for the column of ids
SPLITS = {"train": "train", "validation": "validation", "val": "validation", "dev": "validation", "test": "test"}
TABLES = (".feather", ".parquet", ".csv")

SHAPES = {  # how other programs change an id, and how to undo it
    "ends in .0": lambda name: re.sub(r"\.0+$", "", name),
    "has commas": lambda name: name.replace(",", ""),
    "has an exponent": lambda name: f"{float(name):.0f}" if re.fullmatch(r"\d+(\.\d+)?e[+-]?\d+", name, re.I) else name,
    "has unseen marks": cleaning.plain,
}


def apply(notes: pd.DataFrame, files: Mapping[str, str]) -> tuple[pd.DataFrame, dict[str, int]]:
    """The notes that the files name, with a column `split`, and counts of notes excluded and ids not found.

    files: {"table": path} or {"train": path, "test": path, optionally "validation": path}. Without files the notes are
    returned unchanged. Raises FileNotFoundError for a missing file and ValueError for a wrong one; both name it.
    """
    if not files:
        return notes, {}
    splits = _read(files)
    known = splits.index.isin(notes["note"])
    _refuse_changed(splits.index[~known], set(notes["note"]), files)
    there = set(splits[known])
    if absent := [split for split in dict.fromkeys(["train", "test", *splits]) if split not in there]:
        raise ValueError(f"split_files: no id of {' or '.join(absent)} is that of a note; for MIMIC they are HADM_IDs")
    named = notes["note"].isin(splits.index)
    found = notes[named].assign(split=splits.loc[notes["note"][named]].to_numpy()).reset_index(drop=True)
    return found, {
        "notes that the files of the split do not name": int((~named).sum()),
        "ids in the files of the split that no note has": int((~known).sum()),
    }


def _refuse_changed(unknown: Iterable[str], notes: set[str], files: Mapping[str, str]) -> None:
    """Raise ValueError for ids that another program changed because it read numbers: 100001.0, 1.0E+5, 100,001, 7."""
    unknown = [name for name in unknown if isinstance(name, str) and name]
    shapes = [shape for shape, change in SHAPES.items() if any(change(name) in notes for name in unknown)]
    if cells.find_lost_zeros(unknown, notes):
        shapes.append("has lost zeros")
    if shapes:
        places = ", ".join(files.values())
        raise ValueError(f"split_files: an id in {places} {shapes[0]}, the note's has not: write ids as the notes do")


def _read(files: Mapping[str, str]) -> pd.Series:
    """Split of every id: a series of "train", "validation" or "test", indexed by id."""
    paths = {split: Path(name) for split, name in files.items()}
    for path in paths.values():
        if not path.is_file():
            raise FileNotFoundError(
                f"split_files: {path} is missing: name a file, or leave it out for a split that the project makes"
            )
    if "table" in paths:
        splits = _table(paths["table"])
    else:
        lists = {split: _ids(path) for split, path in paths.items()}
        splits = pd.concat([pd.Series(split, index=ids, dtype=object) for split, ids in lists.items()])
    twice = splits.index[splits.index.duplicated()]
    if len(twice):
        raise ValueError(f"split_files: {len(twice)} ids occur twice in {', '.join(map(str, paths.values()))}")
    return splits


def _ids(path: Path) -> list[str]:
    """The ids in a file with one per line, without quotes."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise ValueError(f"split_files: {path} is no text of ids, one per line; a table goes by `table`") from None
    ids = [line.strip("'\"") for line in lines if line]
    if not ids:
        raise ValueError(f"split_files: {path} is empty: it should hold ids, one per line")
    strange = next((i for i, line in enumerate(lines, start=1) if "," in line or len(line) > 100), 0)
    if strange:
        raise ValueError(f"split_files: {path}, line {strange}: one id is expected per line; a table goes by `table`")
    return ids


def _table(path: Path) -> pd.Series:
    try:
        table = pd.DataFrame(columns.read(path, "utf-8", kinds=TABLES, remedy="convert it from its encoding"))
    except (ValueError, OSError) as error:
        raise ValueError(f"split_files: {error}") from None
    column = next((name for name in IDS if name in table), None)
    if column is None or "split" not in table:
        # the first line of a file without header may be a note: it is shown only if it has a known column name
        known = [name for name in table.columns if name in (*IDS, "split")]
        found = f"found {', '.join(table.columns[:10])}" if known else "found none: does it have a header?"
        raise ValueError(f"split_files: {path} needs a column split, and one of {', '.join(IDS)} ({found})")
    strange = ~table["split"].isin(list(SPLITS))
    if strange.any():
        raise ValueError(f"split_files: {path}: {strange.sum()} rows have a split that is none of {', '.join(SPLITS)}")
    ids = table[column].astype(str).str.strip().str.strip("'\"")
    return pd.Series(table["split"].map(SPLITS).to_numpy(), index=ids, dtype=object)
