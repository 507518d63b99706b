"""Hints for names that are not known: what they are called now, or what they resemble."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

# old name of a parameter, or (parameter, old value), to the name in this version
RENAMED: dict[str | tuple[str, str], str] = {
    "reading": "beta",
    "harmonic_max": "max_negative_weight",
    "negatives": "negatives_per_positive",
    "start": "initialization",
    "refine": "warm_start_lr_factor",
    "clip": "max_grad_norm",
    "at_once": "parallel_models",
    "support_floor": "min_positives",
    "bootstrap": "bootstrap_draws",
    "beside": "compare_with",
    "audited": "audited_notes",
    "positive_weight_max": "max_positive_weight",
    "warmup": "warmup_share",
    "validation": "validation_share",
    "test": "test_share",
    ("initialization", "fresh"): "prior",
    ("initialization", "description"): "label_embedding",
    ("initialization", "unified"): "warm_start",
    ("initialization", "description+unified"): "label_embedding+warm_start",
    ("threshold", "label"): "per_code",
    ("scoring", "own notes"): "oracle_routing",
    ("scoring", "joint"): "stacked",
    ("grid", "clip"): "gradient_clipping",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """Hint for an error about an unknown name: its new name if renamed, else the most similar one, else ""."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return now(name) or (f", did you mean {near[0]!r}?" if near else "")


def now(name: str, value: Any = None) -> str:
    """Hint for an error: the new name of a renamed parameter, or of a renamed value of `name`; "" if not renamed."""
    new = RENAMED.get(name if value is None else (name, str(value)))
    return f": it is called {new} now" if new else ""
