"""Figures of a row that were never measured, and encoders that were never trained."""

import numpy as np
import torch
from scipy import sparse
from transformers import AutoConfig, AutoModel

from shl_utils.evaluation import results


def invented(f1, draws=50):
    """A row's figures: `f1` everywhere, its draws around it by the same noise for all rows."""
    noise = np.random.default_rng(0).normal(0, 0.01, draws)
    return results.Measured(
        points={figure: f1 for figure in results.HEADLINE_METRICS},
        samples={figure: f1 + noise for figure in results.HEADLINE_METRICS},
        seeds={figure: np.array([f1]) for figure in results.HEADLINE_METRICS},
        truth=sparse.csr_array((1, 1), dtype=np.int8),
        predicted=[],
    )


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
