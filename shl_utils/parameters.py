"""Every parameter of a run: name, default, range, meaning, and the one stage that owns it.

Those that only one loss, derived value, threshold rule or source has stand with it, and are added here. There is no
other list of defaults. The `parameters` cell of a notebook repeats those its stage owns, so that a reader sees them
where they matter; a test keeps the two equal. Parameter files hold only differences from the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, create_model, model_validator

from shl_utils.declarations import DERIVED, LOSSES, RULES, SOURCES, Declaration
from shl_utils.hints import nearest

STAGES = (
    *("00_imbalance", "01_filter", "02_segment", "03_train", "04_evaluate", "05_ablate", "06_cost", "07_verdict"),
    "08_one_note",
)


def _of(stage: str | None, default: Any, meaning: str, *, kind: str = "", **limits: Any) -> Any:
    """A pydantic field with its meaning, its limits, and the `stage` that owns it (None: all stages).

    kind: "path" of a file or folder, whose content counts, not its name; "placement" if it changes no result, such as
    where and in how many processes a model is trained; "training" if training in a later stage depends on it too.
    """
    return Field(default, description=meaning, json_schema_extra={"stage": stage, "kind": kind}, **limits)


_imbalance, _filter, _segment, _train, _evaluate, _ablate, _cost, _verdict, _one_note = (
    partial(_of, stage) for stage in STAGES
)


def _brought(stage: str, declared: Mapping[str, Declaration]) -> dict[str, tuple[Any, Any]]:
    """Type and field of each parameter that losses, derived values, rules or sources bring."""
    every = {name: about for one in declared.values() for name, about in one.parameters.items()}
    return {
        name: _typed(stage, default, meaning, **(limits[0] if limits else {}))
        for name, (default, meaning, *limits) in every.items()
    }


def _typed(stage: str, default: Any, meaning: str, *, choices=(), keys=(), **more: Any) -> tuple[Any, Any]:
    """choices: the only values. keys: the only ones of a dictionary of text. more: as for `_of`."""
    kind = Literal[*choices] if choices else dict[Literal[*keys], str] if keys else type(default)
    return kind, _of(stage, default, meaning, **more)


_Brought = create_model(
    "_Brought",
    **_brought("00_imbalance", SOURCES),
    **_brought("03_train", LOSSES | DERIVED),
    **_brought("04_evaluate", RULES),
)


class Parameters(_Brought):
    """A full, checked set of parameters. ValueError for unknown names, wrong types and values out of range."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    run: str = _of(None, "demo", "name of the run's folder under runs/, or an absolute path", min_length=1)
    based_on: str = _of(None, "", "a finished run: its stages are copied as long as none of their parameters differ")
    interactive: bool = _of(None, True, "plots with sliders; false under `shl run`, unless a parameter file sets it")

    # 00_imbalance
    source: Literal[*SOURCES] = _imbalance("openi", "the corpus")
    folder: str = _imbalance("", "data folder of the source, if it has one; synthetic writes there", kind="path")
    clean_text: list[Literal["marks", "header"]] = _imbalance(
        [], "text to remove from the notes: de-identification marks, header lines about the stay"
    )
    split_files: dict[Literal["train", "validation", "test", "table"], str] = _imbalance(
        {}, "published split: a file of note ids per split, or one table of ids and splits", kind="path"
    )
    top_codes: int = _imbalance(0, "keep only this many codes, the most frequent over all notes; 0: all", ge=0)
    min_notes: int = _imbalance(3, "codes with fewer notes are dropped before the split", ge=1)
    validation_share: float = _imbalance(0.15, "share of the notes in the validation split", gt=0, lt=0.5)
    test_share: float = _imbalance(0.15, "share of the notes in the test split", gt=0, lt=0.5)
    seed: int = _imbalance(0, "random seed of the split, of random codes and of the bootstrap", ge=0, le=1_000_000)

    # 01_filter
    encoder: str = _filter(
        "all-MiniLM-L6-v2", "Hugging Face encoder: model name or local folder", min_length=1, kind="path"
    )
    download: bool = _filter(
        False, "allow downloads: the encoder from the Hugging Face hub, reuters through NLTK", kind="placement"
    )
    max_tokens: int = _filter(
        128, "notes are truncated to this many tokens, in the filter and in training", ge=8, kind="training"
    )
    precision: Literal["auto", "fp16", "bf16", "fp32"] = _filter(
        "auto", "floating-point precision; auto: fp16 on a GPU, bf16 on a CPU that supports it, else fp32"
    )
    states_gb: float = _filter(
        20.0,
        "most GB of disk for one file of states of the frozen layers; a run that needs more stops",
        gt=0,
        kind="placement",
    )
    chunk_tokens: int = _filter(128, "most tokens of a chunk; a note's embedding is the mean over its chunks", ge=8)
    filter_by: Literal["cosine", "quantile"] = _filter(
        "quantile", "unit of filter_threshold: cosine similarity, or its quantile over the training labels"
    )
    filter_threshold: float = _filter(
        0.1, "share of the training labels to remove, the least similar first; or a cosine, by filter_by", ge=-1, le=1
    )
    filter_labels: Literal["none", "train", "train+validation", "all"] = _filter(
        "train", "splits whose labels are filtered; 'all' changes the test labels too"
    )

    # 02_segment
    segmentation: Literal["eta", "none"] = _segment(
        "eta", "segments of codes bounded by eta, or one segment of all codes"
    )
    eta: float = _segment(
        0.5, "upper bound on standard deviation / smallest count of the code frequencies in a segment", gt=0
    )

    # 03_train
    loss: Literal[*LOSSES] = _train("sh_focal", "loss function of every segment")
    gamma: float = _train(2.0, "focusing exponent of the focal losses: 0 (no focusing) or at least 1", ge=0)
    beta: Literal["R1", "R2", "R3"] = _train("R1", "definition of beta in the harmonic weights 1/beta of the negatives")
    negatives_per_positive: float = _train(
        1.0, "negative notes sampled per positive note of the segment and pass", gt=0
    )
    undersampling: Literal["weight", "prior_correction"] = _train(
        "weight", "a drawn negative weighs for those left out, or logits are corrected for them (our extension)"
    )
    initialization: Literal["prior", "label_embedding"] = _train(
        "prior", "adapter at zero; head bias at the codes' priors, or head from their descriptions (our extension)"
    )
    pooling: Literal["mean", "attention"] = _train(
        "mean", "pooling over tokens: mean, or label-wise attention (our extension)"
    )
    lora_rank: int = _train(8, "rank of the LoRA adapter", ge=1)
    lora_targets: Literal["attention", "all"] = _train(
        "all", "linear maps of a layer that LoRA adapts: query and value, or all"
    )
    lora_layers: int = _train(1, "number of top layers with LoRA; -1: all", ge=-1)
    lr_lora: float = _train(3e-3, "peak learning rate of the LoRA adapter, AdamW", gt=0, le=1)
    lr_head: float = _train(1.5e-2, "peak learning rate of the classification head, AdamW", gt=0, le=1)
    epochs: int = _train(2, "training epochs per segment; the best one on validation is kept", ge=1)
    min_steps: int = _train(40, "minimum number of steps per epoch; small segments repeat their notes", ge=0)
    batch_size: int = _train(8, "global batch size in notes, summed over processes", ge=1)
    max_grad_norm: float = _train(1.0, "gradient clipping by global norm; 0 disables it", ge=0)
    warmup_share: float = _train(0.1, "share of the steps with linear warm-up of the learning rate", ge=0, lt=1)
    training_seed: int = _train(0, "random seed of the weights and of the order of the notes", ge=0, le=1_000_000)
    parallel_models: int = _train(
        0,
        "models trained in parallel, one process each; 0: one per CPU core, at most 4, if that is faster",
        ge=0,
        kind="placement",
    )
    processes: int = _train(0, "training processes on this machine; 0: one per GPU, or one", ge=0, kind="placement")
    nodes: int = _train(1, "machines that share the run folder and train together", ge=1, kind="placement")
    rendezvous: str = _train(
        "127.0.0.1:29517", "host:port of the first machine", pattern=r"^\S+:\d+$", kind="placement"
    )

    # 04_evaluate
    threshold: Literal[*RULES] = _evaluate("global", "rule of the decision threshold, chosen on validation")
    min_positives: int = _evaluate(
        5, "positives in validation that a threshold of its own needs; below, the global one is used", ge=1
    )
    tune_linear: bool = _evaluate(False, "choose terms, C and class weight of the linear model on validation")
    bootstrap_draws: int = _evaluate(1000, "bootstrap draws for each interval", ge=100)
    permutations: int = _evaluate(10_000, "permutations for each p, in 05_ablate and `shl compare`", ge=100)

    # 05_ablate
    grid: str = _ablate(
        "demo", "experiments of the ablation: name of a file in params/grids, or a path", min_length=1, kind="path"
    )

    # 07_verdict
    compare_with: list[str] = _verdict([], "other runs whose findings are shown with this run's, as names or paths")

    # 08_one_note
    shown_note: str = _one_note("", "id of the test note to show; empty: the first with at least two predicted codes")
    audited_notes: int = _one_note(40, "validation notes in the audit of the sentences that decide a code", ge=1)

    @model_validator(mode="after")
    def _together(self) -> Parameters:
        if self.validation_share + self.test_share >= 0.9:
            raise ValueError(
                "validation_share + test_share leave less than a tenth of the notes for training: lower them"
            )
        if 0 < self.gamma < 1:
            raise ValueError("gamma between 0 and 1 has infinite gradients on saturated logits: use 0 or at least 1")
        if self.filter_by == "quantile" and not 0 <= self.filter_threshold < 1:
            raise ValueError("filter_threshold is a quantile here: use a value from 0 to below 1")
        if self.lora_layers == 0:
            raise ValueError("lora_layers is 0, which trains no layer: use 1 or more, or -1 for all")
        if self.parallel_models and (self.processes > 1 or self.nodes > 1):
            raise ValueError("parallel_models trains each model in one process: leave processes and nodes at 1")
        for name, what in SOURCES[self.source].needs.items():
            if not getattr(self, name):
                raise ValueError(f"source {self.source} needs `{name}`: {what}")
        for other, theirs in SOURCES.items():
            for name in theirs.needs.keys() & theirs.parameters if other != self.source else ():
                if getattr(self, name):
                    raise ValueError(
                        f"`{name}` is given, but source {self.source} would be read: add `source: {other}`"
                    )
        if "table" in self.split_files and len(self.split_files) > 1:
            raise ValueError("split_files names a table and files of splits: give one or the other")
        if self.split_files and not {"train", "test"} <= set(self.split_files) and "table" not in self.split_files:
            raise ValueError("split_files needs train and test, or a table; a missing validation is taken from train")
        if self.top_codes == 1:
            raise ValueError("top_codes is 1, but at least two codes are needed: use 2 or more, or 0 for all")
        return self


def _about(kind: type[Parameters]) -> dict[str, dict[str, Any]]:
    """Stage and kind of every parameter."""
    return {name: field.json_schema_extra for name, field in kind.model_fields.items()}


def names_of_kind(kind: str) -> tuple[str, ...]:
    return tuple(name for name, about in _about(Parameters).items() if about["kind"] == kind)


PLACEMENT = names_of_kind("placement")
PATHS = frozenset(names_of_kind("path"))


def training_parameters(parameters: Parameters) -> set[str]:
    """Names of the parameters that a trained segment depends on, besides encoder, labels, segments and precision."""
    about = {name: (one["stage"], one["kind"]) for name, one in _about(type(parameters)).items()}
    return {name for name, (stage, kind) in about.items() if (stage, kind) == ("03_train", "") or kind == "training"}


def check(values: Mapping[str, Any], *, origin: str = "parameters") -> Parameters:
    """The full set: defaults overridden by `values`; one ValueError, which begins with `origin`, lists all mistakes."""
    try:
        return Parameters(**values)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ValueError(f"{origin}: " + "; ".join(lines)) from None


def unknown(name: str) -> str:
    return f"unknown parameter {name!r}{nearest(name, Parameters.model_fields)}"


def _explain(problem: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return unknown(name)
    text = f"{name}: {problem['msg']}" if name else str(problem["msg"]).removeprefix("Value error, ")
    if not name:
        return text
    text += f", got {problem['input']!r}"
    field = Parameters.model_fields.get(name)
    if field is not None and field.annotation in (int, float) and isinstance(problem["input"], str):
        text += " (YAML reads 1e-5 and quoted numbers as text: write 1.0e-5)"
    return text


def owned_by(stage: str) -> list[str]:
    """Names of the parameters that belong to `stage`, in their order of definition."""
    return [name for name, about in _about(Parameters).items() if about["stage"] == stage]
