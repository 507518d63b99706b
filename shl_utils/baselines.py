"""The linear model that every table is measured against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from shl_utils.corpus import Corpus
from shl_utils.predictions import Predictions


def tfidf_logistic(corpus: Corpus) -> Predictions:
    """TF-IDF of words and pairs of words, one balanced logistic regression a code, on unfiltered labels.

    A code that every training note has (or none) gets a constant probability.
    """
    train = corpus.rows("train")
    rows = np.concatenate([corpus.rows("validation"), corpus.rows("test")])
    texts = corpus.notes["text"].to_numpy()
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    seen = words.fit_transform(texts[train])
    labels = corpus.labels[train]
    fitted, constant = _fitted(labels)
    model = OneVsRestClassifier(LogisticRegression(C=10, class_weight="balanced", solver="liblinear"), n_jobs=1)
    model.fit(seen, labels[:, fitted].toarray())
    probabilities = np.tile(constant, (len(rows), 1)).astype(np.float32)
    probabilities[:, fitted] = model.predict_proba(words.transform(texts[rows]))
    return Predictions(rows, probabilities)


def _fitted(labels: sparse.csr_array) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Codes that some but not all training notes have, and the share of notes with each code."""
    share = np.asarray(labels.sum(axis=0)) / labels.shape[0]
    return np.flatnonzero((share > 0) & (share < 1)), share
