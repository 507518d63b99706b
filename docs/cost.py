"""The tables of docs/cost.md, from the files of `shl bench` in results/: python docs/cost.py"""

import json
import re
from pathlib import Path

from shl_utils.reporting import cost_tables, tables

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "results"
PLACE = re.compile(r"(<!-- (\w+) of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
TABLES = {
    "training": cost_tables.training,
    "steps": cost_tables.steps,
    "segments": cost_tables.by_segments,
    "sizes": cost_tables.sizes,
    "conditions": cost_tables.conditions,
}


def rendered(text: str) -> str:
    """The page with every table made anew, in its place: a comment that names a table and a file in results/."""

    def fill(place: re.Match) -> str:
        head, name, file, end = place.groups()
        found = json.loads((RESULTS / f"{file}.json").read_text(encoding="utf-8"))
        return f"{head}\n{tables.markdown(TABLES[name](found))}\n\n{end}"

    return PLACE.sub(fill, text)


def main() -> None:
    page = DOCS / "cost.md"
    page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
