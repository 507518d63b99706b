"""A page of HTML that needs nothing but itself: no script, no style or picture from elsewhere."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

import pandas as pd

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: 0.9em; display: block; overflow-x: auto }
th, td { padding: 0.2rem 0.6rem; text-align: left; border-bottom: 1px solid #8886; vertical-align: top }
thead th { border-bottom: 2px solid #888a }
figure { margin: 1.5rem 0 }
img { max-width: 100%; height: auto; background: white }
figcaption, .small { font-size: 0.9em; opacity: 0.8 }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole document of `parts` of HTML."""
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{html.escape(title)}</title>"
    body = "\n".join([f"<h1>{html.escape(title)}</h1>", *parts])
    return f"<!doctype html><html lang=en><head>{head}<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"


def heading(text: str, *, level: int = 2) -> str:
    return f"<h{level}>{html.escape(text)}</h{level}>"


def folded(title: str, part: str) -> str:
    """A part that opens on a click."""
    return f"<details><summary>{html.escape(title)}</summary>{part}</details>"


def paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def table(shown: pd.DataFrame) -> str:
    """With its index, everything in it as text."""
    return shown.rename_axis(None).to_html(border=0, justify="left")


def listed(definitions: Mapping[str, str]) -> str:
    lines = "".join(f"<li><b>{html.escape(name)}</b>: {html.escape(text)}</li>" for name, text in definitions.items())
    return f"<ul class=small>{lines}</ul>"


def picture(png: str, caption: str) -> str:
    """png: base64, as notebooks hold it."""
    data = "".join(png.split())
    text = html.escape(caption)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'
