"""How time and memory grow with the number of notes: `shl bench --sizes`.

The notes are generated, as long as those of MIMIC-III. Stages are measured by running their notebooks. Steps that no
notebook does alone run in a process of their own.

python -m benchmarks.scaling STEP FOLDER    is what `bench` starts for such a step.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from benchmarks import steps
from shl_utils.data import corpus as corpora
from shl_utils.data.sources import mimic3, synthetic
from shl_utils.evaluation import cost, predictions, results
from shl_utils.parameters import PATHS, Parameters, check
from shl_utils.runs import provenance, storage
from shl_utils.training import variants

FOLDER = "bench/sizes"
LAST = "03_train"
OF_THE_SOURCE = PATHS - {"encoder", "grid"}  # generated notes take their place


def bench(folder: Path, parameters: Parameters, numbers: Iterable[int]) -> Path:
    """Measure for each of these numbers of notes; return the file of results, rewritten after each number.

    Each step has seconds and peak memory in MB. The steps are `load` (tables as in MIMIC-III, `csv_mb` in size), the
    notebooks up to LAST, and `evaluate`. The last one computes predictions, thresholds, metrics and intervals, without
    the linear model. RuntimeError if a step fails.
    """
    target = folder / "bench" / "sizes.json"
    found = steps.conditions(parameters) | provenance.revision() | {"notes": {}}
    for n in numbers:
        place = folder / FOLDER / str(n)
        tables = {"source": "synthetic", "synthetic_notes": n, "synthetic_full": True, "folder": str(place / "tables")}
        own = parameters.model_dump(exclude_defaults=True, exclude=OF_THE_SOURCE)
        values = own | tables | {"run": str(place / "run")}
        place.mkdir(parents=True, exist_ok=True)
        (place / "sizes.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        synthetic.write(place / "tables", notes=n, seed=parameters.seed, full=True)
        found["notes"][n] = {"csv_mb": _megabytes(place / "tables")}
        found["notes"][n] |= _flat("load", _step("load", place))
        _run("-m", "shl_utils.cli", "run", str(place / "sizes.yaml"), "--until", LAST, "--force")
        for stage, line in cost.stages(place / "run").iterrows():
            found["notes"][n] |= _flat(stage, line.to_dict())
        found["notes"][n] |= _flat("evaluate", _step("evaluate", place))
        storage.write_json(target, found)
    return target


def _flat(step: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{step} {name}": value for name, value in values.items()}


def _step(name: str, place: Path) -> dict[str, float]:
    return json.loads(_run("-m", "benchmarks.scaling", name, str(place)).splitlines()[-1])


def _run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} stopped with exit code {done.returncode}: {done.stderr[-1000:]}")
    return done.stdout


def _megabytes(folder: Path) -> float:
    """Size in MB of all tables, uncompressed."""
    total = 0
    for path in folder.glob("*.csv.gz"):
        with gzip.open(path) as file:
            while block := file.read(1 << 22):
                total += len(block)
    return round(total / 1e6, 1)


def _evaluate(folder: Path, parameters: Parameters) -> None:
    corpus, model = corpora.read(folder), variants.main(parameters)
    predictions.keep(folder, [model], corpus)
    found = {model.name: predictions.read_variant(folder, model, corpus)}
    results.compare(corpus, corpus.labels, found, parameters, reference=model.name)
    results.threshold_table(corpus, corpus.labels, found[model.name], parameters)


def main(step: str, place: Path) -> None:
    """Run `step` ("load" or "evaluate") on the notes in `place` and print its seconds and peak memory as JSON."""
    values: dict[str, Any] = yaml.safe_load((place / "sizes.yaml").read_text(encoding="utf-8"))
    started = time.monotonic()
    if step == "load":
        mimic3.load(place / "tables", generated=True)
    else:
        _evaluate(place / "run", check(values))
    print(json.dumps({"seconds": round(time.monotonic() - started, 1), "peak_memory_mb": provenance.peak_memory_mb()}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
