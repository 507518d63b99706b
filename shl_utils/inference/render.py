"""A coded note for programs and readers: JSON without any of its text, plain text, and HTML with marked sentences."""

from __future__ import annotations

import html
from typing import Any

import pandas as pd

from shl_utils.inference.coding import Coded

CAUTION = "Not for clinical use: a code is often given where the note denies it (notebook 08_one_note, exercise 1)."
NEAR = 5  # codes that are not predicted and are listed
STRANGE = 0.2  # share of unknown words above which a reader is warned


def as_dict(coded: Coded, text: str) -> dict[str, Any]:
    """For JSON, without any text of the note: sentences are character positions in what `cleaning.plain` returns."""
    codes = coded.codes.to_dict("records")
    for line in codes:
        line["sentences"] = [sentence._asdict() for sentence in line["sentences"]]
    return {"characters": len(text), "read": coded.read, "unknown_words": coded.unknown, "codes": codes}


def text_of(coded: Coded, text: str, *, show: bool) -> str:
    """For readers: the predicted codes with their most influential sentences, then the most probable of the others.

    show: whether to print the sentences themselves instead of their positions.
    """
    found, rest = (coded.codes[coded.codes["predicted"] == is_so] for is_so in (True, False))
    whole = len(text.rstrip())
    seen = "all of it" if coded.read >= whole else f"its first {coded.read} of {len(text)} characters"
    if 2 * coded.read < whole:
        seen += ". MOST OF THE NOTE WAS NOT READ"
    if coded.unknown > STRANGE:
        seen += f". {coded.unknown:.0%} OF THE WORDS ARE IN HARDLY ANY TRAINING NOTE"
    lines = [f"{len(found)} of {len(coded.codes)} codes; the models read {seen}", ""]
    lines += ["probability  threshold  segment  code"] if len(found) else []
    for _, line in found.iterrows():
        lines.append(_line(line))
        for start, end, without in line["sentences"]:
            place = text[start:end] if show else f"characters {start} to {end}"
            lines.append(f"{'':31}{without:.2f} without: {place}")
    lines += ["", "the most probable of the others", *(_line(line) for _, line in rest.head(NEAR).iterrows())]
    return "\n".join(lines)


def marked(coded: Coded, text: str) -> str:
    """HTML: the note under every predicted code; the darker a sentence, the less probable the code without it."""
    parts = []
    for _, line in coded.codes[coded.codes["predicted"]].iterrows():
        shown, at = [], 0
        for start, end, without in sorted(line["sentences"]):
            fall = 1 - without / line["probability"]
            words = html.escape(text[start:end])
            title = f"without it {without:.2f} instead of {line['probability']:.2f}"
            style = f"background: rgba(230, 159, 0, {0.15 + 0.75 * fall:.2f}); color: inherit"
            shown += [html.escape(text[at:start]), f'<mark style="{style}" title="{title}">{words}</mark>']
            at = end
        shown.append(html.escape(text[at : coded.read]))
        rest = html.escape(text[coded.read :])
        parts.append(
            f"<p><b>{html.escape(line['description'])}</b> ({line['probability']:.2f})<br>"
            f'{"".join(shown)}<span style="opacity: 0.4">{rest}</span></p>'
        )
    return "\n".join(parts)


def _line(line: pd.Series) -> str:
    named = (
        line["code"]
        if line["code"].lower() == line["description"].lower()
        else f"{line['code']}: {line['description']}"
    )
    segment = line["segment"] if line["segment"] >= 0 else "none"
    given, limit = line["probability"], line["threshold"]
    digits = 2 if f"{given:.2f}" != f"{limit:.2f}" else 4  # a near miss is not shown as equal
    return f"{given:11.{digits}f}  {limit:9.{digits}f}  {segment:>7}  {named}"
