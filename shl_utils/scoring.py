"""What of a model's probabilities is judged: the union of its segments over all notes, or another reading of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from shl_utils import harmonic, recalibration, variants
from shl_utils.corpus import Corpus
from shl_utils.parameters import Parameters
from shl_utils.predictions import Predictions


def on_own_notes(corpus: Corpus, gold: sparse.csr_array, found: Predictions, parameters: Parameters) -> Predictions:
    """A segment speaks only on the notes that hold one of its codes, by gold: no way to code a note."""
    mask = own_notes(corpus, gold, parameters, rows=found.rows)
    return replace(found, probabilities=found.probabilities * mask)


def joined(corpus: Corpus, gold: sparse.csr_array, found: Predictions, partner: Predictions) -> Predictions:
    """Calibrated on validation together with one model of all codes, `partner`; codes that it alone knows are a segment
    of their own."""
    validation, other = corpus.rows("validation"), partner.of(found.rows)
    truth = gold[validation].toarray()
    fitted = recalibration.fit(found.of(validation), partner.of(validation), truth, found.segments)
    alone = (found.segments < 0) & (partner.segments >= 0)
    return replace(
        found,
        probabilities=recalibration.join(found.probabilities, other, found.segments, fitted),
        segments=np.where(alone, found.segments.max() + 1, found.segments),
    )


def own_notes(
    corpus: Corpus, gold: sparse.csr_array, parameters: Parameters, *, rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(rows, codes): whether the note holds a code of the code's segment, by gold; segments as eta cuts them."""
    table = variants.segment_table(corpus, gold, segmentation="eta", eta=parameters.eta)
    segments = variants.segment_of_code(table, corpus)
    modelled = segments >= 0
    holds = harmonic.note_sources(sparse.csr_array(gold[rows][:, modelled]), segments[modelled])
    return holds[:, segments] & modelled
