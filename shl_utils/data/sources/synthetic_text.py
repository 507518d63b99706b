"""The text of generated discharge summaries: what is evidence for a code, and how a note is composed."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Sequence

import pandas as pd

MISSING = 0.10  # share of the labels without evidence
BEYOND = 0.10  # share of the labels with evidence after the truncation only
LONG = 0.20  # share of notes that may hold evidence after the truncation; the others stay short
TRUNCATION_WORDS = 400  # of these notes, 512 tokens or more
EMPTY = """a an and as by classified elsewhere for from in mention not of on or other otherwise specified than
the to type unspecified with without"""
SHORT = """malignant neoplasm=cancer;diabetes mellitus=dm;myocardial infarction=mi;hypertension=htn;acute=ac
heart failure=hf;fracture=fx;history=hx;chronic=chr;disease=dz;syndrome=synd;injury=inj"""
CHOICES = """DIAGNOSIS=Care was given for {}.|The stay was marked by {}.|Next came {}.
PROCEDURE=The patient underwent {}.|The team performed {}.|On the next day came {}.
DENIED=There was no evidence of {}.|The patient denied {}.|Workup was negative for {}.
FAMILY=Mother had {}.|Father was treated for {}.|A sibling carried {}.
WHO=woman came from home|man came from home|woman came from clinic|man came from clinic
DRUG=aspirin 81 mg|metoprolol 25 mg|furosemide 20 mg|docusate 100 mg|pantoprazole 40 mg
END=Discharged home in stable condition. Return if worse.|Discharged with services. Call with questions."""
FORMS = {line.split("=")[0]: line.split("=")[1].split("|") for line in CHOICES.splitlines()}
NOTE = """CHIEF COMPLAINT: feeling unwell.\n
HISTORY OF PRESENT ILLNESS: A {age} year old {who} and was admitted to the ward the same day. {denied}\n
FAMILY HISTORY: {family}\n
HOSPITAL COURSE: {course} The plan was discussed with the patient and the family every morning.\n
MEDICATIONS: {drugs} daily.\n"""
DATA = "\nPulse {}, weight {} kg, intake {} ml an hour, sodium 139, potassium 4.1, glucose 98, oxygen 97."
FRAME = f"{CHOICES} {NOTE} {DATA}".lower()
Parts = tuple[str, str]  # a note without its last section, and that section


def paraphrases(title: str) -> list[str]:
    """Wordings that are evidence for the code of that title: lower case, no punctuation, the full title last.

    The others are partial (without empty words, or without the last or first word), reordered, or abbreviated.
    """
    words = re.findall(r"[^\W_]+", title.lower().replace("'s", ""))
    core = [word for word in words if word not in EMPTY.split()][:12] or words
    half, short = len(core) // 2, f" {' '.join(core)} "
    for pair in re.split(r"[;\n]", SHORT):
        short = short.replace(*(f" {wording} " for wording in pair.split("=")))
    parts = [core, core[half:] + core[:half], *([core[:-1], core[1:]] if len(core) > 3 else []), words]
    options = [short.strip(), *(" ".join(part) for part in parts)]
    return [option for k, option in enumerate(options) if option not in options[k + 1 :]]


class Writer:
    """Writes notes about codes given by rank. Draws by `random()` alone, which Python promises to keep over
    versions."""

    def __init__(self, codes: pd.DataFrame, seed: int) -> None:
        self.random = random.Random(seed).random
        self.forms = [FORMS["PROCEDURE" if procedure else "DIAGNOSIS"] for procedure in codes["procedure"]]
        self.every = [paraphrases(title) for title in codes["title"]]
        owners = Counter(wording for wordings in self.every for wording in wordings)
        own = [[w for w in every[:-1] if owners[w] == 1 and w not in FRAME] for every in self.every]
        numbers = range(60, 120)
        self.data = [DATA.format(n, n, n) for n in numbers]
        self.own = [some or every[-1:] for some, every in zip(own, self.every)]  # wordings of no other code

    def pick(self, options: Sequence):
        return options[int(self.random() * len(options))]

    def say(self, rank: int, slot: str = "") -> str:
        return self.pick(FORMS[slot] if slot else self.forms[rank]).format(self.pick(self.own[rank]))

    def compose(self, early: str, late: str, denied: str, family: str) -> Parts:
        """The note in two parts; `late` comes after TRUNCATION_WORDS words."""
        drugs = ", ".join(dict.fromkeys(self.pick(FORMS["DRUG"]) for _ in range(3)))
        parts = {"age": self.pick(range(40, 90)), "who": self.pick(FORMS["WHO"]), "drugs": drugs}
        body = NOTE.format(**parts, course=early, denied=denied, family=family)
        end = f"DISCHARGE: {self.pick(FORMS['END'])}"
        if not late:
            return body, end
        body += f"\n{end}\n\nDATA:"
        while len(body.split()) <= TRUNCATION_WORDS:
            body += DATA.format(*(self.pick(range(60, 120)) for _ in range(3)))
        return f"{body}\n", f"FURTHER COURSE: {late}"

    def measurements(self, words: int) -> str:
        """Lines of measurements with at least `words` words; they are evidence for no code."""
        return "".join(self.pick(self.data) for _ in range(math.ceil(max(words, 0) / len(self.data[0].split()))))

    def note(self, ranks: list[int], others: list[int], *, long: bool) -> tuple[Parts, list[str]]:
        """The note in two parts, and per code: evidence "present", "missing" or "beyond" (only after the truncation).

        A code that the words of another code give away becomes "present".
        """
        draws, limit = [self.random() for _ in ranks], MISSING + BEYOND / LONG * long
        states = ["missing" if x < MISSING else "beyond" if x < limit else "present" for x in draws]
        denied, family = (r not in ranks and self.say(r, s) for r, s in zip(others, ("DENIED", "FAMILY")))
        while True:
            early, late = (
                " ".join(self.say(r) for r, s in zip(ranks, states) if s == t) for t in ("present", "beyond")
            )
            parts = self.compose(early, late, denied or "", family or "As before.")
            words = " ".join(parts).lower().split()
            seen = {"missing": " ".join(words), "beyond": " ".join(words[:TRUNCATION_WORDS]), "present": ""}
            given = [any(w in seen[s] for w in self.every[r]) for r, s in zip(ranks, states)]
            if not any(given):
                return parts, states
            states = ["present" if g else s for g, s in zip(given, states)]
