"""Made-up stages, grids, metrics, plans, records and encoders: nothing was trained, nothing measured."""

import json
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from transformers import AutoConfig, AutoModel

from shl_utils.evaluation import measurement, results
from shl_utils.experiments import ablation
from shl_utils.parameters import check
from shl_utils.runs import stages
from shl_utils.training.jobs import Plan
from shl_utils.training.segment_record import SegmentRecord
from shl_utils.training.variants import Variant


def experiments(folder, grid, /, **changed):
    """The experiments of a grid given as text, which is written to `folder`, for a run with `changed` parameters."""
    (folder / "grid.yaml").write_text(grid)
    return ablation.experiments(str(folder / "grid.yaml"), check(changed))


def invented(f1, draws=50):
    """Metrics of an experiment: `f1` everywhere, its draws around it by the same noise for all experiments."""
    noise = np.random.default_rng(0).normal(0, 0.01, draws)
    return measurement.Measured(
        points={metric: f1 for metric in results.HEADLINE_METRICS},
        samples={metric: f1 + noise for metric in results.HEADLINE_METRICS},
        seeds={metric: np.array([f1]) for metric in results.HEADLINE_METRICS},
        truth=sparse.csr_array(np.ones((1, 1), dtype=np.int8)),
        predicted=[sparse.csr_array(np.ones((1, 1), dtype=np.int8))],
        patients=np.zeros(1, dtype=int),
    )


def invented_plan(labels, segments, train, **settings):
    """The plan of a variant with these settings. labels: (notes, codes). segments: (codes,). train: its notes."""
    variant = Variant("x", check(settings))
    return Plan(variant, sparse.csr_array(labels), segments, train, place=Path("x"), key="key")


def invented_record(**changes):
    """The record of a segment that trained for one second on one thread."""
    facts = {"segment": 0, "codes": ["a", "b"], "key": "", "device": "cpu", "precision": "fp32", "derived": {}}
    facts |= {"world": 1, "threads": 1, "seconds": 1.0, "skipped_steps": 0, "trainable_parameters": 9}
    facts |= {"positives": 2, "negatives": 2, "negatives_per_pass": 2, "stands_for": 1.0, "passes_per_epoch": 1}
    facts |= {
        "history": [{"epoch": 0, "loss": 1.0, "validation_ap": 0.25} | {"gradient_norm": 2.0, "clipped": 0.75}],
        "best_epoch": 0,
        "frequency_ap": 0.125,
    }
    return SegmentRecord(**facts | changes)


def tiny(kind, **more):
    """A random encoder of that architecture, three layers of width 32."""
    names = {
        "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64},
        "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 2},
        "xlnet": {"d_model": 32, "n_layer": 3, "n_head": 2, "d_inner": 64},
        "t5": {"d_model": 32, "num_layers": 3, "num_heads": 2, "d_ff": 64, "d_kv": 16},
        "bart": {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2},
    }
    usual = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{"vocab_size": 100, "pad_token_id": 1} | names.get(kind, usual) | more)
    return AutoModel.from_config(config, attn_implementation="eager").eval()


def stage(name, folder, **values):
    """Finish the stage `name` of the run in `folder`, with one file; return its stamp."""
    run = stages.begin(name, {"run": str(folder)} | values)
    run.path(f"{name}.txt").write_text(json.dumps(values))
    return run.finish(f"{name}.txt")
