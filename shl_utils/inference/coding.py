"""Codes for one note, from a finished run's folder alone, and the sentences that influence each most: `shl predict`.

Influence is measured by occlusion: the models read the note again without a sentence and give the code's probability
then. This costs one pass per sentence and tests one sentence at a time. Where two sentences say the same, leaving out
either shows no effect.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from shl_utils.data import corpus as corpora
from shl_utils.data.corpus import Corpus
from shl_utils.encoder import encoder, forward_pass, frozen_layers, tokens, weight_files
from shl_utils.encoder.tokens import Ragged
from shl_utils.evaluation import predictions
from shl_utils.parameters import Parameters
from shl_utils.runs import mixed_precision, stages
from shl_utils.training import segment_model, variants

STAGE = "04_evaluate"  # it chooses the thresholds
SENTENCE = re.compile(r"[^\n]*?(?:[.!?;]+(?=\s|$)|\n|$)")
SHOWN = 3  # sentences per code
TRIED = 50  # test notes searched for an example
VOCABULARY = 5_000  # training notes whose words count as known


class Sentence(NamedTuple):
    """A sentence's start and end (exclusive) in the note, in characters, and a code's probability without it."""

    start: int
    end: int
    probability_without: float


@dataclass(frozen=True)
class Coder:
    """What codes notes as the run did. codes: `code`, `description`, `segment` (-1: no model, never predicted) and
    `threshold`. known: words of the first VOCABULARY training notes. frozen: the frozen layers, None where every layer
    is trained. nets: one merged model per segment."""

    parameters: Parameters
    private: bool
    codes: pd.DataFrame
    tokenizer: Any
    known: frozenset[str]
    frozen: nn.Module | None
    nets: list[segment_model.SegmentModel]


@dataclass(frozen=True)
class Coded:
    """The result of `code` for one note. read: characters from the note's beginning that the models see. unknown: share
    of its words there that are not `known`.

    codes, the most probable first: `code`, `description`, `probability`, `threshold`, `predicted`, `segment`,
    `sentences`. The `sentences` (list of Sentence) of a predicted code are those without which it is least probable.
    """

    codes: pd.DataFrame
    read: int
    unknown: float


def load(folder: Path) -> Coder:
    """Load the models of a run that is finished up to STAGE, with the encoder from where the run had it.

    FileNotFoundError or ValueError name a file that is missing or altered; ValueError for an encoder that has changed.
    """
    parameters, facts = stages.finished(folder, STAGE)
    if weight_files.digest(parameters.encoder) != facts["encoder_digest"]:
        raise ValueError(f"encoder {parameters.encoder!r} is not as {folder} used it: run `shl run` on its file again")
    tokenizer, base = encoder.load(parameters.encoder, download=parameters.download)
    base.to(mixed_precision.device())
    parts = frozen_layers.split_encoder(base, parameters)
    codes = pd.read_parquet(folder / "codes.parquet")
    limits = pd.read_parquet(folder / "thresholds.parquet").set_index("code")
    main = variants.main(parameters)
    segments = variants.read_segments(folder, main).set_index("code")["segment"]
    codes = codes.assign(
        segment=segments.reindex(codes["code"], fill_value=-1).to_numpy(),
        threshold=limits.loc[codes["code"], parameters.threshold].to_numpy(),
    )
    nets = [predictions.load_segment(base, folder, main, k) for k in range(segments.max() + 1)]
    notes = corpora.read(folder)
    trained_on = notes.notes["text"].iloc[notes.rows("train")[:VOCABULARY]]
    known = frozenset(word for text in trained_on for word in tokens.words(tokenizer, text))
    return Coder(parameters, facts["private"], codes, tokenizer, known, parts.frozen, nets)


def code(coder: Coder, text: str, *, sentences: bool = True) -> Coded:
    """All codes for one note with their probabilities, from the models of all segments; ValueError for a blank note.

    sentences: whether to measure the influence of each sentence, for the segments that have a predicted code.
    """
    if not text.strip():
        raise ValueError("the note is blank: there is nothing to code")
    end = tokens.characters_read(coder.tokenizer, text, max_tokens=coder.parameters.max_tokens)
    probability = probabilities(coder, [text[:end]], range(len(coder.nets)))[0]
    predicted = probability >= coder.codes["threshold"].to_numpy()
    spans = sentences_of(text[:end]) if sentences else []
    influential: list[list[Sentence]] = [[] for _ in predicted]
    if len(spans) > 1 and predicted.any():
        shortened = [text[:first] + text[last:end] for first, last in spans]
        without = probabilities(coder, shortened, sorted(set(coder.codes["segment"][predicted])))
        for i in np.flatnonzero(predicted):
            least = np.argsort(without[:, i], kind="stable")[:SHOWN]
            influential[i] = [
                Sentence(*spans[j], float(without[j, i])) for j in least if without[j, i] < probability[i]
            ]
    found = coder.codes.assign(probability=probability, predicted=predicted, sentences=influential)
    columns = ["code", "description", "probability", "threshold", "predicted", "segment", "sentences"]
    words = tokens.words(coder.tokenizer, text[:end])
    unknown = sum(word not in coder.known for word in words) / max(len(words), 1)
    ordered = found.sort_values("probability", ascending=False, kind="stable", ignore_index=True)
    return Coded(ordered[columns], end, unknown)


def example(coder: Coder, corpus: Corpus, name: str) -> int:
    """Row number of the test note `name`; if empty, of the first with at least two predicted codes, or the most.

    Only the first TRIED test notes are searched. ValueError for a name that no test note has.
    """
    rows = corpus.rows("test")
    if name:
        found = [row for row in rows if corpus.notes["note"].iloc[row] == name]
        if not found:
            raise ValueError(f"shown_note is {name!r}, which is the id of no test note: leave it empty for an example")
        return found[0]
    most, best = -1, rows[0]
    for row in rows[:TRIED]:
        n = int(code(coder, corpus.notes["text"].iloc[row], sentences=False).codes["predicted"].sum())
        if n > most:
            most, best = n, row
        if n >= 2:
            break
    return best


def probabilities(coder: Coder, texts: list[str], segments: Sequence[int]) -> NDArray[np.float32]:
    """Probabilities (texts, codes) by the models of these segments; 0 for codes of other segments."""
    by = mixed_precision.computing(coder.parameters)
    seen = tokens.tokenize(coder.tokenizer, texts, max_tokens=coder.parameters.max_tokens)
    if coder.frozen is not None:
        states = torch.empty(len(seen.flat), coder.frozen.config.hidden_size, dtype=by.kept)
        forward_pass.encode(coder.frozen, seen, states, device=by.device, dtype=by.dtype, label=None)
        seen = Ragged(states, seen.offsets)
    result, rows = np.zeros((len(texts), len(coder.codes)), dtype=np.float32), np.arange(len(texts))
    for k in segments:
        own = (coder.codes["segment"] == k).to_numpy()
        result[:, own] = segment_model.predict(coder.nets[k], seen, rows, device=by.device, dtype=by.dtype)
    return result


def sentences_of(text: str) -> list[tuple[int, int]]:
    """Start and end (exclusive) of each sentence, in characters, without the blanks around it."""
    found = []
    for match in SENTENCE.finditer(text):
        part = match.group()
        if part.strip():
            start = match.start() + len(part) - len(part.lstrip())
            found.append((start, start + len(part.strip())))
    return found
