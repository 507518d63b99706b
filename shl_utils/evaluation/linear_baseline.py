"""The linear baseline that appears in every table."""

from __future__ import annotations

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation.predictions import Predictions
from shl_utils.runs import mixed_precision, progress

LINEAR = "TF-IDF + logistic"  # its name in every table
FOLDER = "tfidf"  # where `04_evaluate` keeps its predictions and thresholds
WORDS, CHARACTERS = "words and pairs of words", "runs of one to three characters"
MOST_PARALLEL_FITS = 4  # codes fitted in parallel at most: each fit copies the terms of all training notes
MIN_PAIRS_FOR_PARALLEL = 20_000_000  # notes x codes from which parallel processes make up for their start-up time
TERMS = {WORDS: {"ngram_range": (1, 2), "min_df": 2}, CHARACTERS: {"analyzer": "char", "ngram_range": (1, 3)}}


def terms(corpus: Corpus) -> str:
    """What the linear model counts: WORDS, or CHARACTERS where most training notes share no word with another note.

    This happens in scripts without spaces, where a whole clause is taken for a word.
    """
    texts = corpus.notes["text"].to_numpy()[corpus.rows("train")]
    words = sparse.csr_array(HashingVectorizer(binary=True, norm=None, alternate_sign=False).transform(texts))
    shared = words @ (words.sum(axis=0) > 1)
    return WORDS if (shared > 0).mean() > 0.5 else CHARACTERS


def tfidf_logistic(corpus: Corpus, counted: str) -> Predictions:
    """Predictions for validation and test notes of TF-IDF with one class-balanced logistic regression per code.

    It is trained on unfiltered labels, with at most 100,000 terms, the most frequent. A code that every training note
    has gets probability 1. counted: WORDS or CHARACTERS, from `terms`.
    """
    train = corpus.rows("train")
    rows = corpus.rows("validation", "test")
    texts = corpus.notes["text"].to_numpy()
    weigh = TfidfVectorizer(**TERMS[counted], sublinear_tf=True, max_features=100_000)
    training, others = weigh.fit_transform(texts[train]), weigh.transform(texts[rows])
    labels = corpus.labels[train].tocsc()
    share = labels.sum(axis=0) / len(train)
    probabilities = np.tile(share, (len(rows), 1)).astype(np.float32)
    fitted = np.flatnonzero((share > 0) & (share < 1))
    # processes, not threads: in threads, fits of liblinear disturb each other, and probabilities differed by up to 0.15
    # from one call to the next. No coefficients are kept: those of thousands of codes would not fit in memory.
    n = min(mixed_precision.cores(), MOST_PARALLEL_FITS) if len(train) * len(fitted) >= MIN_PAIRS_FOR_PARALLEL else 1
    side_by_side = Parallel(n, return_as="generator", mmap_mode="c")  # liblinear needs writable arrays
    found = side_by_side(
        delayed(_probability)(training, labels[:, [code]].toarray().ravel(), others) for code in fitted
    )
    with progress.bar(len(fitted), LINEAR) as bar:
        for code, probability in zip(fitted, found):
            probabilities[:, code] = probability
            bar.update(1)
    return Predictions(rows, probabilities, np.where(share > 0, 0, -1))


def _probability(
    training: sparse.csr_matrix, labels: NDArray[np.float32], others: sparse.csr_matrix
) -> NDArray[np.float64]:
    """(notes of `others`,): probability of one code. training, others: (notes, terms). labels: (notes,) of 0 and 1."""
    model = LogisticRegression(C=10, class_weight="balanced", solver="liblinear").fit(training, labels)
    return model.predict_proba(others)[:, 1]
