"""The tables and the picture of docs/cost.md, from the files of `shl bench` that it names: python docs/cost.py"""

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt

from shl_utils.evaluation import cost
from shl_utils.notebook import style
from shl_utils.reporting import plots, tables

HERE = Path(__file__).parent
PLACE = re.compile(r"(<!-- (\w+) of (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
TABLES = {"trainings": tables.training_cost, "steps": tables.steps, "conditions": tables.bench_conditions}


def rendered(text: str) -> str:
    """The page with every table made anew. A place names a table and a file of results."""

    def fill(place: re.Match) -> str:
        head, name, file, end = place.groups()
        return f"{head}{tables.markdown(TABLES[name](_found(file)))}\n{end}"

    return PLACE.sub(fill, text)


def _found(file: str) -> dict:
    return json.loads((HERE / file).read_text(encoding="utf-8"))


def main() -> None:
    page = HERE / "cost.md"
    page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")
    style.setup_notebook()
    picture, axes = plt.subplots(1, 3, figsize=(13, 3.6))
    plots.segment_counts(cost.by_segment_count(_found("../results/segments_bf16.json")), axes)
    picture.savefig(HERE / "segments.png")
    print(style.alt(picture))


if __name__ == "__main__":
    main()
