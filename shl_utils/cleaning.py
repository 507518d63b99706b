"""What is taken out of the notes before anything reads them: patterns, so that a model can be handed on with them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from shl_utils import sources

# marks: of de-identification, [**2151-7-16**] in MIMIC-III and ___ in MIMIC-IV; a tokenizer spends ten tokens on one.
# header: the lines a discharge summary begins with that say who was where when, up to the first other line.
FIELDS = r"Name|Unit No|(?:Admission|Discharge) Date|Date of Birth|Sex|Service|Attending"
PATTERNS = {"header": rf"\A(?:[^\S\n]*(?:(?:{FIELDS})[^\S\n]*:[^\n]*)?\n)+", "marks": r"\[\*\*[^\]]*\*\*\]|_{3,}"}


def patterns(wanted: Iterable[str]) -> list[str]:
    """The regular expressions of what is asked for, in the order in which what each finds is blanked."""
    return [pattern for name, pattern in PATTERNS.items() if name in set(wanted)]


def clean(text: str, wanted: Iterable[str]) -> str:
    """A note with blanks for what is asked for, as many as it has characters, so that all else stays in its place."""
    for pattern in patterns(wanted):
        text = re.sub(pattern, lambda found: " " * len(found.group()), text)
    return text


def cleaned(source: sources.Corpus, wanted: Iterable[str]) -> tuple[sources.Corpus, dict[str, int]]:
    """The source with its notes cleaned, and what was dropped so far, with the notes that this left blank."""
    if not wanted:
        return source, dict(source.dropped)
    texts = pd.Series([clean(text, wanted) for text in source.notes["text"]], index=source.notes.index, dtype=object)
    filled = texts.str.contains(r"\S")
    notes = source.notes.assign(text=texts)[filled].reset_index(drop=True)
    return replace(source, notes=notes), source.dropped | {"notes left blank by `clean_text`": int((~filled).sum())}
