"""The linear baseline that appears in every table."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import score_metrics
from shl_utils.evaluation.predictions import Predictions
from shl_utils.runs import mixed_precision, progress

LINEAR = "TF-IDF + logistic"  # its name in every table
FOLDER = "tfidf"  # where `04_evaluate` keeps its predictions and thresholds
WORDS, CHARACTERS = "words and pairs of words", "runs of one to three characters"
MOST_PARALLEL_FITS = 4  # codes fitted in parallel at most: each fit copies the terms of all training notes
MIN_PAIRS_FOR_PARALLEL = 20_000_000  # notes x codes from which parallel processes make up for their start-up time
# what is counted, and longest runs of it; the first of these and of SETTINGS are used where nothing is tuned
TERMS = {WORDS: {"min_df": 2}, CHARACTERS: {"analyzer": "char"}}
LONGEST = {WORDS: (2, 1), CHARACTERS: (3, 2)}
Setting = tuple[float, str | None]  # C and class weight of scikit-learn's LogisticRegression
SETTINGS: tuple[Setting, ...] = ((10, "balanced"), *itertools.product((1, 100), ("balanced", None)), (10, None))


def terms(corpus: Corpus) -> str:
    """What the linear model counts: WORDS, or CHARACTERS where most training notes share no word with another note.

    This happens in scripts without spaces, where a whole clause is taken for a word.
    """
    texts = corpus.notes["text"].to_numpy()[corpus.rows("train")]
    words = sparse.csr_array(HashingVectorizer(binary=True, norm=None, alternate_sign=False).transform(texts))
    shared = words @ (words.sum(axis=0) > 1)
    return WORDS if (shared > 0).mean() > 0.5 else CHARACTERS


def tfidf_logistic(corpus: Corpus, counted: str, *, tune: bool = False) -> tuple[Predictions, pd.DataFrame]:
    """Predictions for validation and test notes of TF-IDF with one logistic regression per code, and what was tried.

    It is trained on unfiltered labels, with at most 100,000 terms, the most frequent. A code that every training note
    has gets probability 1. counted: WORDS or CHARACTERS, from `terms`. tune: choose the longest runs of terms, C and
    class weight on validation, by the score that chooses every other setting, `score_metrics.validation_score`; else
    the table has one row. Its columns: `longest`, `C`, `class_weight`, `validation_score`, `chosen`.
    """
    train, rows = corpus.rows("train"), corpus.rows("validation", "test")
    validation = corpus.rows("validation")
    truth = corpus.labels[validation].toarray()
    labels = corpus.labels[train].tocsc()
    predicted = np.where(np.asarray(labels.sum(axis=0)).ravel() > 0, 0, -1)
    lines, best = [], None
    for longest in LONGEST[counted][: None if tune else 1]:
        settings = SETTINGS[: None if tune else 1]
        for (c, weight), probabilities in zip(settings, _fit(corpus, counted, longest, settings)):
            found = Predictions(rows, probabilities, predicted)
            score = score_metrics.validation_score(truth, found.select(validation))
            if best is None or score > max(line["validation_score"] for line in lines):
                best = found
            lines.append({"longest": longest, "C": c, "class_weight": weight or "none", "validation_score": score})
    trials = pd.DataFrame(lines)
    return best, trials.assign(chosen=trials.index == trials["validation_score"].idxmax())


def _fit(corpus: Corpus, counted: str, longest: int, settings: Sequence[Setting]) -> NDArray[np.float32]:
    """(settings, validation and test notes, codes): probabilities."""
    train, rows = corpus.rows("train"), corpus.rows("validation", "test")
    texts = corpus.notes["text"].to_numpy()
    weigh = TfidfVectorizer(**TERMS[counted], ngram_range=(1, longest), sublinear_tf=True, max_features=100_000)
    training, others = weigh.fit_transform(texts[train]), weigh.transform(texts[rows])
    labels = corpus.labels[train].tocsc()
    share = labels.sum(axis=0) / len(train)
    probabilities = np.tile(share, (len(settings), len(rows), 1)).astype(np.float32)
    fitted = np.flatnonzero((share > 0) & (share < 1))
    # processes, not threads: in threads, fits of liblinear disturb each other, and probabilities differed by up to 0.15
    # from one call to the next. No coefficients are kept: those of thousands of codes would not fit in memory.
    pairs = len(train) * len(fitted) * len(settings)
    n = min(mixed_precision.cores(), MOST_PARALLEL_FITS) if pairs >= MIN_PAIRS_FOR_PARALLEL else 1
    side_by_side = Parallel(n, return_as="generator", mmap_mode="c")  # liblinear needs writable arrays
    found = side_by_side(
        delayed(_probabilities)(training, labels[:, [code]].toarray().ravel(), others, settings) for code in fitted
    )
    with progress.bar(len(fitted), LINEAR) as bar:
        for code, of_code in zip(fitted, found):
            probabilities[:, :, code] = of_code
            bar.update(1)
    return probabilities


def _probabilities(
    training: sparse.csr_matrix, labels: NDArray[np.float32], others: sparse.csr_matrix, settings: Sequence[Setting]
) -> NDArray[np.float64]:
    """(settings, notes of `others`): probability of one code. training, others: (notes, terms). labels: (notes,)."""
    models = (LogisticRegression(C=c, class_weight=weight, solver="liblinear") for c, weight in settings)
    return np.stack([model.fit(training, labels).predict_proba(others)[:, 1] for model in models])
