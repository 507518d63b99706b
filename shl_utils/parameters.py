"""Every parameter of a run: name, default, range, meaning, and the one stage that owns it.

This is the only list of defaults. The `parameters` cell of a notebook repeats the ones its stage owns, so that a
reader sees them where they matter; a test holds the cells to this list. Parameter files hold differences only.
"""

from __future__ import annotations

import ast
import difflib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shl_utils import places

Loss = Literal[
    *("bce", "weighted_bce", "focal", "class_balanced", "r_bce", "ntr", "cb_ntr", "distribution_balanced"),
    *("asymmetric", "two_way", "zlpr", "sh", "sh_focal"),
]
STAGES = (
    *("00_imbalance", "01_filter", "02_segment", "03_train", "04_evaluate", "05_ablate", "06_cost", "07_verdict"),
    "08_one_note",
)
OPEN = ("openi", "codiesp", "reuters", "synthetic")  # sources whose notes anyone may see
# where a source lies, if it has no place of its own
NEEDED = {
    "mimic3": {"folder": "the folder that holds NOTEEVENTS.csv.gz and the rest"},
    "mimic4": {"folder": "the folder that holds hosp/, or the tables of hosp themselves"},
    "codiesp": {"folder": "the unzipped folder that holds train/ and dev/"},
    "table": {"table": "the path of a .csv, .jsonl or .parquet file"},
}


def _of(stage: str | None, default: Any, meaning: str, *, kind: str = "", **limits: Any) -> Any:
    """kind: "path" of a file or folder, whose content counts; "placement" of what changes no result, such as where and
    in how many processes a model is trained; "training" of what a later stage's training depends on too."""
    return Field(default, description=meaning, json_schema_extra={"stage": stage, "kind": kind}, **limits)


class Parameters(BaseModel):
    """A full, checked set of parameters. Unknown names, wrong types and values out of range are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    run: str = _of(None, "demo", "name of the folder under runs/, or an absolute path", min_length=1)

    based_on: str = _of(
        None,
        "",
        "a finished run whose stages are taken over where nothing differs: to change something, at little cost",
    )
    interactive: bool = _of(None, True, "figures follow sliders; false in `shl run`, unless a file says otherwise")

    # 00_imbalance
    source: Literal["openi", "mimic3", "mimic4", "codiesp", "reuters", "table", "synthetic"] = _of(
        "00_imbalance", "openi", "where the notes come from"
    )
    folder: str = _of(
        "00_imbalance",
        "",
        "of mimic3, mimic4, codiesp; NLTK data for reuters; where synthetic writes; not for openi, table",
        kind="path",
    )
    notes_folder: str = _of(
        "00_imbalance", "", "mimic4: of discharge.csv.gz or note/, if that is not below `folder`", kind="path"
    )
    icd_version: Literal[9, 10] = _of("00_imbalance", 10, "mimic4: stays coded in ICD-9 or in ICD-10")
    depth: int = _of("00_imbalance", 1, "openi: MeSH heading (1), with first qualifier (2), ...", ge=1, le=8)
    language: Literal["english", "spanish"] = _of("00_imbalance", "english", "codiesp: machine translated, or original")
    code_set: Literal["diagnoses", "procedures", "both"] = _of("00_imbalance", "diagnoses", "codiesp: which codes")
    table: str = _of("00_imbalance", "", "table: the file, .csv, .jsonl or .parquet", kind="path")
    column_names: dict[Literal["id", "text", "codes", "split", "group", "description"], str] = _of(
        "00_imbalance", {}, "table: its own names of these columns, where they differ"
    )
    separator: str = _of("00_imbalance", ";", "table: between the codes of a note, if not a list", min_length=1)
    encoding: str = _of("00_imbalance", "utf-8", "table: how its text is written", min_length=1)
    descriptions: str = _of(
        "00_imbalance", "", "table: a file of such a kind with columns code, description, if not a column", kind="path"
    )
    private: bool = _of("00_imbalance", True, "table: its notes must never appear in an output")
    synthetic_notes: int = _of("00_imbalance", 1000, "synthetic: how many notes to write", ge=100, le=1_000_000)
    synthetic_full: bool = _of(
        "00_imbalance", False, "synthetic: as much text, and as many other notes, as in MIMIC-III: for measuring"
    )
    clean_text: list[Literal["marks", "header"]] = _of(
        "00_imbalance", [], "what is taken out of the notes: marks of de-identification, the lines about the stay"
    )
    split_files: dict[Literal["train", "validation", "test", "table"], str] = _of(
        "00_imbalance",
        {},
        "a published split by note: a file of ids for each side, or one table of ids and sides",
        kind="path",
    )
    top_codes: int = _of("00_imbalance", 0, "only so many codes, the most frequent of all notes; 0: all", ge=0)
    min_notes: int = _of("00_imbalance", 3, "a code with fewer notes is dropped before the split", ge=1)
    validation: float = _of("00_imbalance", 0.15, "share of the notes for choices", gt=0, lt=0.5)
    test: float = _of("00_imbalance", 0.15, "share of the notes for the final figures", gt=0, lt=0.5)
    seed: int = _of("00_imbalance", 0, "seed of the split, of random codes and of the bootstrap", ge=0, le=1_000_000)

    # 01_filter
    encoder: str = _of(
        "01_filter", "all-MiniLM-L6-v2", "Hugging Face encoder: name, or folder", min_length=1, kind="path"
    )
    download: bool = _of(
        "01_filter",
        False,
        "allow fetching: the encoder from the Hugging Face hub, reuters through NLTK",
        kind="placement",
    )
    max_tokens: int = _of(
        "01_filter", 128, "a note is cut to this many tokens, here and in training", ge=8, kind="training"
    )
    precision: Literal["auto", "fp16", "bf16", "fp32"] = _of(
        "01_filter", "auto", "fp16 on a GPU, bf16 on a processor that has it, else fp32"
    )
    chunk_tokens: int = _of("01_filter", 64, "tokens of a chunk whose embedding enters the mean", ge=8)
    filter_by: Literal["cosine", "quantile"] = _of(
        "01_filter", "quantile", "scale of the threshold: cosine itself, or its quantile over training labels"
    )
    filter_threshold: float = _of("01_filter", 0.1, "a code below this similarity is removed", ge=-1, le=1)
    filter_labels: Literal["none", "train", "train+validation", "all"] = _of(
        "01_filter", "train", "splits whose labels are filtered; 'all' rewrites the test labels too"
    )

    # 02_segment
    segmentation: Literal["eta", "none"] = _of("02_segment", "eta", "by eta, or one segment of all codes")
    eta: float = _of("02_segment", 0.5, "bound on deviation / smallest count within a segment", gt=0)

    # 03_train
    loss: Loss = _of("03_train", "sh_focal", "loss of every segment")
    gamma: float = _of(
        "03_train", 2.0, "exponent of focal and of those built on it: 0 (plain R-BCE, NTR, ...) or at least 1", ge=0
    )
    positive_weight_max: float = _of("03_train", 10.0, "weighted_bce: a positive weighs no more than this", gt=0)
    gamma_negative: float = _of("03_train", 4.0, "asymmetric: focusing exponent of the negatives", ge=1)
    negative_margin: float = _of("03_train", 0.05, "asymmetric: negatives below it cost nothing", ge=0, lt=1)
    reading: Literal["R1", "R2", "R3"] = _of("03_train", "R1", "reading of beta in the harmonic weights")
    harmonic_max: float = _of("03_train", 0.0, "no harmonic weight is larger; 0: as they are. A cap is ours", ge=0)
    negatives: float = _of("03_train", 1.0, "notes without a code of the segment, a pass, per note with one", gt=0)
    start: Literal["fresh", "description", "unified", "description+unified"] = _of(
        "03_train", "fresh", "where a model starts; all but fresh are ours, not the paper's (shl_utils/starts.py)"
    )
    refine: float = _of("03_train", 0.25, "a start from unified goes on at this share of the learning rates", gt=0)
    pooling: Literal["mean", "attention"] = _of(
        "03_train", "mean", "what a code looks at: the mean over tokens, or tokens of its choice (not the paper's)"
    )
    lora_rank: int = _of("03_train", 8, "rank of the LoRA update", ge=1)
    lora_targets: Literal["attention", "all"] = _of(
        "03_train", "all", "what LoRA adapts in a layer: query and value, or every linear map"
    )
    lora_layers: int = _of("03_train", 1, "how many top layers get LoRA; -1 is all of them", ge=-1)
    lr_lora: float = _of("03_train", 4e-3, "peak learning rate of the adapter, AdamW", gt=0, le=1)
    lr_head: float = _of("03_train", 2e-2, "peak learning rate of the head, AdamW", gt=0, le=1)
    epochs: int = _of("03_train", 3, "epochs of every segment; the best by validation stays", ge=1)
    min_steps: int = _of("03_train", 40, "steps of an epoch at least: a small segment repeats its notes", ge=0)
    batch_size: int = _of("03_train", 16, "notes a step, all processes together", ge=1)
    clip: float = _of("03_train", 1.0, "a step's gradient that is longer is cut to this norm; 0: it is not", ge=0)
    warmup: float = _of("03_train", 0.1, "share of the steps in which the learning rate rises", ge=0, lt=1)
    training_seed: int = _of("03_train", 0, "seed of the weights and of the order of the notes", ge=0, le=1_000_000)
    at_once: int = _of(
        "03_train",
        0,
        "models side by side, each in one process; 0: on a processor one a core, at most 4, if it pays",
        ge=0,
        kind="placement",
    )
    processes: int = _of(
        "03_train", 0, "training processes on this machine; 0: one a GPU, or one", ge=0, kind="placement"
    )
    nodes: int = _of("03_train", 1, "machines that share the run folder and train together", ge=1, kind="placement")
    rendezvous: str = _of(
        "03_train", "127.0.0.1:29517", "host:port of the first machine", pattern=r"^\S+:\d+$", kind="placement"
    )

    # 04_evaluate
    threshold: Literal["half", "global", "segment", "label", "shrunk"] = _of(
        "04_evaluate", "global", "where a probability becomes a code, chosen on validation"
    )
    support_floor: int = _of("04_evaluate", 5, "positives in validation that a threshold of its own needs", ge=1)
    bootstrap: int = _of("04_evaluate", 1000, "draws of the bootstrap over test notes behind each interval", ge=100)

    # 05_ablate
    grid: str = _of(
        "05_ablate", "demo", "rows of the ablation: a file in params/grids, or a path to one", min_length=1, kind="path"
    )
    sensitivity: str = _of(
        "05_ablate", "", "grid of one choice at a time, such as sensitivity; empty: none", kind="path"
    )
    ablation_epochs: int = _of("05_ablate", 3, "epochs of every model in the ablation, the same for all", ge=1)

    # 07_verdict
    beside: list[str] = _of("07_verdict", [], "runs whose findings stand beside this one's, as names or paths")

    # 08_one_note
    shown_note: str = _of("08_one_note", "", "id of the test note to show; empty: the first with two predicted codes")
    audited: int = _of(
        "08_one_note", 40, "validation notes whose codes are held against the words of their sentences", ge=1
    )

    @model_validator(mode="after")
    def _together(self) -> Parameters:
        if self.validation + self.test >= 0.9:
            raise ValueError("validation + test leave less than a tenth of the notes for training: lower them")
        if 0 < self.gamma < 1:
            raise ValueError("gamma between 0 and 1 has infinite gradients on saturated logits: use 0 or at least 1")
        if self.filter_by == "quantile" and not 0 <= self.filter_threshold < 1:
            raise ValueError("filter_threshold is a quantile here: use a value from 0 to below 1")
        if self.lora_layers == 0:
            raise ValueError("lora_layers is 0, which trains no layer: use 1 or more, or -1 for all")
        if self.chunk_tokens > self.max_tokens:
            raise ValueError(f"chunk_tokens {self.chunk_tokens} exceeds max_tokens {self.max_tokens}")
        if self.at_once > 1 and (self.processes > 1 or self.nodes > 1):
            raise ValueError("at_once trains each model in one process: leave processes and nodes at 1")
        for name, what in NEEDED.get(self.source, {}).items():
            if not getattr(self, name):
                raise ValueError(f"source {self.source} needs `{name}`: {what}")
        if "table" in self.split_files and len(self.split_files) > 1:
            raise ValueError("split_files names a table and files of sides: give one or the other")
        if self.split_files and not {"train", "test"} <= set(self.split_files) and "table" not in self.split_files:
            raise ValueError("split_files needs train and test, or a table; validation is cut from train without one")
        if self.top_codes == 1:
            raise ValueError("top_codes is 1, but at least two codes are needed: use 2 or more, or 0 for all")
        if self.table and self.source != "table":
            raise ValueError(f"`table` is given, but source {self.source} would be read: add `source: table`")
        return self


def of_kind(kind: str) -> tuple[str, ...]:
    fields = Parameters.model_fields.items()
    return tuple(name for name, field in fields if field.json_schema_extra["kind"] == kind)


PLACEMENT = of_kind("placement")
PATHS = frozenset(of_kind("path"))


def of_training(parameters: Parameters) -> set[str]:
    """Names of what a trained segment depends on, besides its encoder, its labels, its segments and the precision."""
    fields = type(parameters).model_fields.items()
    about = {name: (field.json_schema_extra["stage"], field.json_schema_extra["kind"]) for name, field in fields}
    return {name for name, (stage, kind) in about.items() if (stage, kind) == ("03_train", "") or kind == "training"}


def resolved(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """The same, with paths made absolute that are relative to the folder `base`: so a stamp says which file was read.

    `encoder`, `grid` and `sensitivity` may be names: paths are those that end as a file does, or where a folder is.
    """

    def absolute(path: Any) -> Any:
        return os.path.normpath(base / places.expanded(path)) if isinstance(path, str) and path else path

    result = dict(values)
    for name in PATHS & values.keys():
        value = values[name]
        if isinstance(value, dict):
            result[name] = {key: absolute(path) for key, path in value.items()}
        elif not (isinstance(value, str) and _is_name(name, value, base)):
            result[name] = absolute(value)
    return result


def _is_name(parameter: str, value: str, base: Path) -> bool:
    if parameter == "encoder":
        here = value.startswith((".", "~")) or (base / value).is_dir()
        return not here or value == Parameters.model_fields["encoder"].default
    return parameter in ("grid", "sensitivity") and not Path(value).suffix


def check(values: Mapping[str, Any], *, origin: str = "parameters") -> Parameters:
    """The full set that `values` gives over the defaults; every mistake at once, each with its remedy."""
    try:
        return Parameters(**values)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ValueError(f"{origin}: " + "; ".join(lines)) from None


def unknown(name: str) -> str:
    return f"unknown parameter {name!r}{nearest(name, Parameters.model_fields)}"


def nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else ""


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
    fields = Parameters.model_fields.items()
    return [name for name, field in fields if field.json_schema_extra["stage"] == stage]


def from_namespace(namespace: dict[str, Any]) -> dict[str, Any]:
    """The parameters among a notebook's variables; stops on a misspelt one.

    Papermill only warns about a parameter that no notebook knows, then runs with the default. It sets parameters as
    plain variables before any other cell, so at the first call every plain literal must be a known name. Later calls,
    when a reader runs the cell again, refuse only near misses: other variables may be the reader's own. So may those of
    a start-up file of IPython, which were there before any cell.
    """
    literals = {
        name: value
        for name, value in namespace.items()
        if isinstance(value, (bool, int, float, str, list, dict, type(None)))
        and not name.startswith("_")
        and name not in ("In", "Out", *_of_startup(namespace))
    }
    strangers = [name for name in literals if name not in Parameters.model_fields]
    if namespace.get("_parameters_checked"):
        strangers = [n for n in strangers if difflib.get_close_matches(n, Parameters.model_fields, 1, 0.85)]
    if strangers:
        raise ValueError("; ".join(unknown(name) for name in strangers))
    values = {name: value for name, value in literals.items() if name in Parameters.model_fields}
    check(values)
    namespace["_parameters_checked"] = True
    return values


def _of_startup(namespace: dict[str, Any]) -> set[str]:
    """Variables that were there before the first cell, unless a cell has set them too."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or shell.user_ns is not namespace:
        return set()
    names = [node for cell in namespace.get("In", []) for node in ast.walk(_parsed(cell)) if isinstance(node, ast.Name)]
    return set(shell.user_ns_hidden) - {node.id for node in names if isinstance(node.ctx, ast.Store)}


def _parsed(cell: str) -> ast.Module:
    try:
        return ast.parse(cell)
    except SyntaxError:  # a cell that failed
        return ast.Module([], [])
