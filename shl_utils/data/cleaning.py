"""What is removed from notes before anything reads them: regular expressions, so that a model is exported with them.

Training, `shl predict` and an exported model clean a note by the same ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from shl_utils.data import raw_corpus

# marks: of de-identification, [**2151-7-16**] in MIMIC-III and ___ in MIMIC-IV; each costs ten tokens.
# header: the first lines of a discharge summary, which say who was where when, up to the first other line.
FIELDS = r"Name|Unit No|(?:Admission|Discharge) Date|Date of Birth|Sex|Service|Attending"
PATTERNS = {"header": rf"\A(?:[^\S\n]*(?:(?:{FIELDS})[^\S\n]*:[^\n]*)?\n)+", "marks": r"\[\*\*[^\]]*\*\*\]|_{3,}"}

# invisible characters and their replacements: line ends of other systems; byte order marks, soft hyphens, marks of
# direction, control characters; blanks of other widths. A joiner within a word belongs to some scripts, and stays.
PLAIN = (
    (r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]", "\n"),
    (
        r"[\x00-\x08\x0e-\x1b\x7f-\x9f\xad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
        r"|[\ufff9-\ufffb\U000e0000-\U000e007f]",
        "",
    ),
    (r"(?<!\S)[\u200c\u200d]+|[\u200c\u200d]+(?!\S)", ""),
    (r"[^\S\n\t]", " "),
)
UNSEEN = re.compile(r"[^\S \n\t]|[\u200c\u200d]|" + PLAIN[1][0])


def plain(text: str) -> str:
    """The text as people see it: without invisible characters, with line breaks and blanks of one kind."""
    if UNSEEN.search(text):  # rare, and searching is quicker
        for pattern, instead in PLAIN:
            text = re.sub(pattern, instead, text)
    return text


def patterns(wanted: Iterable[str]) -> list[str]:
    """The regular expressions of the names in `wanted` (keys of PATTERNS), in the order in which they are applied."""
    return [pattern for name, pattern in PATTERNS.items() if name in set(wanted)]


def clean(text: str, wanted: Iterable[str]) -> str:
    """A note after `plain`, with blanks for each match of the `wanted` patterns, as many as characters: all else
    stays."""
    text = plain(text)
    for pattern in patterns(wanted):
        text = re.sub(pattern, lambda found: " " * len(found.group()), text)
    return text


def clean_source(source: raw_corpus.RawCorpus, wanted: Iterable[str]) -> tuple[raw_corpus.RawCorpus, dict[str, int]]:
    """The source with its notes cleaned, and counts of what was dropped so far, now with the notes left blank."""
    texts = pd.Series([clean(text, wanted) for text in source.notes["text"]], index=source.notes.index, dtype=object)
    filled = texts.str.contains(r"\S")
    notes = source.notes.assign(text=texts)[filled].reset_index(drop=True)
    dropped = dict(source.dropped)
    if wanted or not filled.all():
        dropped["notes left blank by cleaning"] = int((~filled).sum())
    return replace(source, notes=notes), dropped
