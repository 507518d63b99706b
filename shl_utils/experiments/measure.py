"""Metrics of an ablation's experiments, all measured with the same draws of notes, codes and seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from scipy import sparse

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation import measurement, predictions, results, score_metrics
from shl_utils.evaluation.linear_baseline import LINEAR
from shl_utils.evaluation.measurement import Measured
from shl_utils.evaluation.predictions import Predictions
from shl_utils.experiments.ablation import Experiment
from shl_utils.method import harmonic_weights
from shl_utils.parameters import Parameters
from shl_utils.training import similarities, variants


def measure(folder: Path, corpus: Corpus, experiment: Experiment, linear: Predictions | None = None) -> Measured:
    """Metrics of one experiment on the test notes, under its own thresholds, labels and scoring.

    linear: predictions of the linear model, measured in place of the experiment's models, on its labels.
    """
    parameters = experiment.parameters
    gold = similarities.read_labels(folder, corpus, parameters)
    truth = results.test_truth(corpus, gold)
    predicted, mean_ap = [], []
    for found in [linear] if linear else _predictions(folder, corpus, experiment, gold):
        limits = results.choose_thresholds(corpus, gold, found, parameters)
        predicted.append(results.binarize(corpus, found, limits))
        mean_ap.append(score_metrics.mean_average_precision(truth, found.select(corpus.rows("test"))))
    patients = results.test_patients(corpus)
    result = measurement.measure(truth, predicted, parameters, patients=patients, mean_ap=mean_ap)
    return replace(result, name=LINEAR if linear else experiment.name, comparable=experiment.comparable)


def _predictions(folder: Path, corpus: Corpus, experiment: Experiment, gold: sparse.csr_array) -> Iterator[Predictions]:
    """What the experiment predicts, one per seed, as its scoring has it."""
    for model in experiment.models:
        found = predictions.read_variant(folder, model, corpus)
        routed = experiment.scoring == "oracle_routing"
        yield route_by_oracle(corpus, gold, found, experiment.parameters) if routed else found


def route_by_oracle(corpus: Corpus, gold: sparse.csr_array, found: Predictions, parameters: Parameters) -> Predictions:
    """Oracle routing: a segment predicts only for notes that hold one of its codes by gold; no way to code a note.

    Segments follow eta.
    """
    table = variants.segment_table(corpus, gold, segmentation="eta", eta=parameters.eta)
    segments = variants.segment_of_code(table, corpus)
    modelled = segments >= 0
    holds = harmonic_weights.note_origins(sparse.csr_array(gold[found.rows][:, modelled]), segments[modelled])
    return replace(found, probabilities=found.probabilities * (holds[:, segments] & modelled))
