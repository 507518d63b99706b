"""What of a model's probabilities is judged: the union of its segments over all notes, or another reading of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shl_utils import recalibration, variants
from shl_utils.corpus import Corpus
from shl_utils.parameters import Parameters
from shl_utils.predictions import Predictions


def on_own_notes(corpus: Corpus, gold: sparse.csr_array, found: Predictions, parameters: Parameters) -> Predictions:
    """A segment speaks only on the notes that hold one of its codes, by gold: no way to code a note."""
    mask = own_notes(corpus, gold, parameters, rows=found.rows)
    return replace(found, probabilities=found.probabilities * mask)


def joined(corpus: Corpus, gold: sparse.csr_array, found: Predictions, partner: Predictions) -> Predictions:
    """Calibrated on validation together with one model of all codes, `partner`."""
    validation, other = corpus.rows("validation"), partner.of(found.rows)
    truth = gold[validation].toarray()
    fitted = recalibration.fit(found.of(validation), partner.of(validation), truth, found.segments)
    return replace(found, probabilities=recalibration.join(found.probabilities, other, found.segments, fitted))


def own_notes(
    corpus: Corpus, gold: sparse.csr_array, parameters: Parameters, *, rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(rows, codes): whether the note holds a code of the code's segment, by gold; segments as eta cuts them."""
    table = variants.segment_table(corpus, gold, segmentation="eta", eta=parameters.eta)
    segments = variants.segment_of_code(table, corpus)
    codes = np.flatnonzero(segments >= 0)
    member = sparse.csr_array(
        (np.ones(len(codes)), (codes, segments[codes])), shape=(len(segments), segments.max() + 1)
    )
    holds = (gold[rows] @ member).toarray() > 0
    return holds[:, segments] & (segments >= 0)
