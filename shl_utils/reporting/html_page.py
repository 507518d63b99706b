"""A self-contained page of HTML: it loads no script, style or picture from elsewhere. Its tables can be sorted."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: 0.9em; display: block; overflow-x: auto }
th, td { padding: 0.2rem 0.6rem; text-align: left; border-bottom: 1px solid #8886; vertical-align: top }
thead th { border-bottom: 2px solid #888a }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole HTML document, with `parts` of HTML as its body."""
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{html.escape(title)}</title>"
    head += f"<style>{STYLE}</style>\n{sorting()}"
    body = "\n".join([f"<h1>{html.escape(title)}</h1>", *parts])
    return f"<!doctype html><html lang=en><head>{head}</head>\n<body>\n{body}\n</body></html>\n"


def sorting() -> str:
    """The script and style with which pandas tables can be sorted by a click on a column header."""
    return Path(__file__).with_name("sorting.html").read_text(encoding="utf-8")


def heading(text: str) -> str:
    return f"<h2>{html.escape(text)}</h2>"


def table(shown: pd.DataFrame) -> str:
    """An HTML table with the index, all values as text."""
    return shown.rename_axis(None).to_html(border=0, justify="left")
