"""Reuters-21578 in the ModApte split: the 90 topics with both training and test documents, through NLTK's reader.

Copyright Reuters Ltd. and Carnegie Group, free for research only (D. D. Lewis, distribution 1.0). Nothing of it is
shipped, and it is downloaded only on request.
"""

from __future__ import annotations

import html
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from shl_utils.data.raw_corpus import SOURCES, RawCorpus
from shl_utils.parameters import Parameters

LICENCE = "copyright Reuters Ltd. and Carnegie Group, research use only (Reuters-21578, distribution 1.0)"
EXPECTED = {"training documents": 7769, "test documents": 3019, "categories": 90}
AGAIN = "delete it and fetch it again"
BY_HAND = "NLTK's download brought nothing that can be read there: put corpora/reuters.zip of NLTK's data there by hand"
REMEDY = "set `folder` to NLTK data that hold corpora/reuters.zip, or `download: true` to fetch it through NLTK (6 MB)"
# from the corpus's own list of topics; the others are words already: "palm-oil" is palm oil
WORDS = {
    "acq": "mergers and acquisitions", "alum": "aluminium", "bop": "balance of payments", "carcass": "meat carcass",
    "copra-cake": "copra cake, coconut meal", "corn": "corn, maize", "cpi": "consumer price index",
    "cpu": "capacity utilisation", "crude": "crude oil", "dfl": "Dutch guilder, florin", "dlr": "US dollar",
    "dmk": "German mark", "earn": "earnings and earnings forecasts", "fuel": "fuel oil", "gas": "gasoline",
    "gnp": "gross national product", "groundnut": "groundnut, peanut", "groundnut-oil": "groundnut oil, peanut oil",
    "heat": "heating oil, gas oil", "hog": "hogs, pigs", "housing": "housing starts", "income": "personal income",
    "instal-debt": "instalment debt, consumer credit", "interest": "interest rates",
    "ipi": "industrial production index", "iron-steel": "iron and steel", "jet": "jet fuel, kerosene",
    "jobs": "employment and unemployment", "l-cattle": "live cattle", "lei": "leading economic indicators",
    "lin-oil": "linseed oil", "meal-feed": "meal and animal feed", "money-fx": "foreign exchange, money market",
    "nat-gas": "natural gas", "nkr": "Norwegian krone", "nzdlr": "New Zealand dollar", "oat": "oats",
    "orange": "oranges, orange juice", "palmkernel": "palm kernel", "pet-chem": "petrochemicals",
    "rand": "South African rand", "reserves": "foreign exchange reserves", "retail": "retail sales",
    "ship": "shipping", "soy-meal": "soybean meal", "soy-oil": "soybean oil", "strategic-metal": "strategic metals",
    "sun-meal": "sunflower meal", "sun-oil": "sunflower oil", "sunseed": "sunflower seed", "trade": "foreign trade",
    "veg-oil": "vegetable oil", "wpi": "wholesale price index", "yen": "Japanese yen",
}  # fmt: skip


@SOURCES.add(private=False)
def reuters(parameters: Parameters, run_folder: Path) -> RawCorpus:
    return load(Path(parameters.folder) if parameters.folder else None, download=parameters.download)


def load(folder: Path | None, *, download: bool) -> RawCorpus:
    """Read the documents; `group` is the document itself, `codes` are its topics.

    folder: NLTK data, or None for the places where NLTK looks ($NLTK_DATA and others). download: fetch it if missing.
    The split is the published one. Validation is that of Huang et al. 2021 (EMNLP, "Balancing methods for multi-label
    text classification with long-tailed class distribution"). It has 1,000 training documents by scikit-learn's
    `train_test_split(random_state=123)`, from training documents in the order of their numbers. That gives the paper's
    30 frequent, 31 medium and 29 rare topics; NLTK's order, by name, would give 32, 28 and 30.
    Raises FileNotFoundError where there is no corpus, ValueError where it is another one.
    """
    try:
        notes = _read(folder)
    except FileNotFoundError:
        if not download:
            raise
        _fetch(folder)
        notes = _read(folder, remedy=BY_HAND)
    codes = sorted(set().union(*notes["codes"]))
    sizes = notes["split"].value_counts()
    found = dict(zip(EXPECTED, (sizes.get("train", 0), sizes.get("test", 0), len(codes))))
    if found != EXPECTED:
        raise ValueError(f"reuters in {_place(folder)} has {_listed(found)}, not {_listed(EXPECTED)}: {AGAIN}")
    notes.loc[validation(notes), "split"] = "validation"
    described = {code: WORDS.get(code, code.replace("-", " ")) for code in codes}
    return RawCorpus("reuters", notes, described, LICENCE)


def validation(notes: pd.DataFrame) -> list[int]:
    """Index of the training documents that Huang et al. hold out; `notes` must be in the order of their numbers."""
    training = notes.index[notes["split"] == "train"].tolist()
    return train_test_split(training, random_state=123, test_size=1000)[1]


def _read(folder: Path | None, *, remedy: str = REMEDY) -> pd.DataFrame:
    """Columns note, group, split (train or test), text, codes, in the order of the documents' numbers."""
    from nltk.corpus.reader import CategorizedPlaintextCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    names = r"(training|test)/\d+"
    # a reader of our own: nltk.corpus.reuters keeps the first folder that it found
    options = {"cat_file": "cats.txt", "encoding": "latin-1"}
    reader = LazyCorpusLoader("reuters", CategorizedPlaintextCorpusReader, names, **options)
    rows = []
    with _searching(folder, remedy):
        for name in sorted(reader.fileids(), key=lambda name: int(name.split("/")[1])):
            split = "train" if name.startswith("training/") else "test"
            text = html.unescape(reader.raw(name))  # NLTK's copy writes < as &lt;
            rows.append((name, name, split, text, sorted(set(reader.categories(name)))))
    return pd.DataFrame(rows, columns=["note", "group", "split", "text", "codes"])


@contextmanager
def _searching(folder: Path | None, remedy: str) -> Iterator[None]:
    """Within it, NLTK looks in `folder` alone, or where it always does; its errors become ours, with `remedy`."""
    import nltk.data

    usual = list(nltk.data.path)
    try:
        if folder:
            nltk.data.path[:] = [str(folder)]
        yield
    except LookupError as error:
        if type(error) is not LookupError:  # a KeyError is a LookupError too, and not about a missing corpus
            raise
        # NLTK reads no data that another account could have written
        why = " (NLTK refuses it: another account may write there)" if "Refused" in str(error) else ""
        raise FileNotFoundError(f"reuters is not in {_place(folder)}{why}: {remedy}") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"reuters in {_place(folder)} is cut short or damaged ({error}): {AGAIN}") from None
    finally:
        nltk.data.path[:] = usual


def _fetch(folder: Path | None) -> None:
    """Download the corpus to `folder`, or to where NLTK keeps its data."""
    import nltk

    if not nltk.download("reuters", download_dir=folder and str(folder), quiet=True):
        raise OSError("NLTK could not download reuters: is the network reachable? Its message stands above")


def _place(folder: Path | None) -> str:
    return str(folder) if folder else "any place where NLTK looks for data"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{n:,} {what}" for what, n in counts.items())
