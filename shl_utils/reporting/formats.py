"""How numbers, intervals and names are printed, and tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils.evaluation import measurement


def rounded(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """The numbers of a table as text, with so many decimals; whole ones, column by column, without."""
    return table.apply(lambda column: _rounded(column, digits) if column.dtype.kind in "iuf" else column)


def _rounded(numbers: pd.Series, digits: int) -> pd.Series:
    whole = (numbers.dropna() % 1 == 0).all()
    return text(numbers, f"{{:,.{0 if whole else digits}f}}")


def spaced(table: pd.DataFrame) -> pd.DataFrame:
    """The table with column and row names that can wrap, for narrow pages."""
    heads = {name: str(name).replace("_", " ") for name in table.columns}
    return table.rename(columns=heads, index=lambda name: re.sub(r",(?! )", ", ", str(name)))


def marked(names: Iterable[str], comparable: Iterable[bool]) -> list[str]:
    """Names as printed: in parentheses where they are not comparable."""
    return [name if plain else f"({name})" for name, plain in zip(names, comparable)]


def write_markdown(path: Path, *tables: pd.DataFrame, definitions: dict[str, str]) -> None:
    """Write tables as Markdown text, for a terminal or a report, followed by the definitions of their columns."""
    texts = [markdown(table) for table in tables]
    path.write_text("\n\n".join([*texts, listed(definitions)]) + "\n", encoding="utf-8")


def listed(definitions: dict[str, str]) -> str:
    """Definitions as a Markdown list, one line each."""
    return "\n".join(f"- {name}: {text}" for name, text in definitions.items())


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table with the index as its first column."""
    table = table.rename_axis(table.index.name or "row").reset_index()
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def text(values: pd.Series, form: str) -> pd.Series:
    """Numbers formatted with `form`, and "" where there is none."""
    return values.astype(float).map(form.format, na_action="ignore").astype(object).fillna("")


def interval(row: Mapping[str, float] | pd.Series, metric: str) -> str:
    """A metric x 100 with its interval, as "82.9 [80.8, 84.7]"."""
    return "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * row[f"{metric}{end}"] for end in measurement.ENDS))


def intervals(table: pd.DataFrame, metric: str) -> pd.Series:
    """`interval` of every row."""
    return table.apply(interval, axis=1, metric=metric)


def changes(table: pd.DataFrame, metric: str) -> pd.Series:
    """Signed differences x 100 with their intervals, as "+1.2 [-0.3, +2.8]"."""
    return table.apply(change, axis=1, columns=[f"{metric}{end}" for end in measurement.ENDS])


def marked_change(line: Mapping[str, Any]) -> str:
    """`change` with the `mark` of the line, if it has one."""
    return f"{change(line)} {line['mark']}".rstrip()


def change(row: Mapping[str, Any] | pd.Series, columns: Sequence[str] = ("gain", "low", "high")) -> str:
    """A signed difference x 100 with its interval, from these columns of a row."""
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * row[column] for column in columns))
