"""The linear model that every table is measured against."""

from __future__ import annotations

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from shl_utils import progress
from shl_utils.corpus import Corpus
from shl_utils.predictions import Predictions

LINEAR = "TF-IDF + logistic"  # its name in every table


def tfidf_logistic(corpus: Corpus) -> Predictions:
    """TF-IDF of words and pairs of words, one balanced logistic regression a code, on unfiltered labels.

    At most 100,000 words and pairs, the most frequent. A code that every training note has gets probability 1.
    """
    train = corpus.rows("train")
    rows = np.concatenate([corpus.rows("validation"), corpus.rows("test")])
    texts = corpus.notes["text"].to_numpy()
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, max_features=100_000)
    seen, asked = words.fit_transform(texts[train]), words.transform(texts[rows])
    labels = corpus.labels[train].tocsc()
    share = labels.sum(axis=0) / len(train)
    probabilities = np.tile(share, (len(rows), 1)).astype(np.float32)
    fitted = np.flatnonzero((share > 0) & (share < 1))
    with progress.bar(len(fitted), LINEAR) as bar:
        for code in fitted:  # one at a time: thousands of dense coefficient vectors would not fit
            model = LogisticRegression(C=10, class_weight="balanced", solver="liblinear")
            model.fit(seen, labels[:, [code]].toarray().ravel())
            probabilities[:, code] = model.predict_proba(asked)[:, 1]
            bar.update(1)
    return Predictions(rows, probabilities, np.where(share > 0, 0, -1))
