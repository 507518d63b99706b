"""What is taken out of a note, and that nothing else is."""

import dataclasses

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shl_utils.data import cleaning, raw_corpus

OLD = """Admission Date:  [**2118-6-2**]       Discharge Date:  [**2118-6-14**]

Date of Birth:                    Sex:  F

Service:  MICU and then to [**Doctor Last Name **] Medicine

HISTORY OF PRESENT ILLNESS:  This is an 81-year-old female.
Service: kept here."""
NEW = " \nName:  ___                     Unit No:   ___\n \nService: MEDICINE\n \nAllergies: \nNone, ___ said\n"


@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ([], OLD),
        (["header"], "HISTORY OF PRESENT ILLNESS:  This is an 81-year-old female.\nService: kept here."),
        (["marks"], f"Admission Date:{' ' * 23}Discharge Date:"),
    ],
)
def test_a_note_of_mimic_iii(wanted, left):
    cleaned = cleaning.clean(OLD, wanted)
    assert len(cleaned) == len(OLD)
    assert cleaned.strip().startswith(left.strip())
    assert ("[**" in cleaned) is (wanted == [])


def test_a_note_of_mimic_iv():
    cleaned = cleaning.clean(NEW, ["marks", "header"])
    assert cleaned == " " * NEW.index("Allergies") + "Allergies: \nNone,     said\n"


@given(st.text())
def test_all_else_stays_in_its_place_and_cleaning_again_changes_nothing(text):
    text = cleaning.plain(text)
    once = cleaning.clean(text, ["header", "marks"])
    assert len(once) == len(text)
    assert all(a in (b, " ") for a, b in zip(once, text))
    assert cleaning.clean(text, []) == text
    assert cleaning.clean(once, ["marks"]) == once


def test_a_note_left_blank_is_counted():
    notes = {"note": ["a", "b"], "group": ["a", "b"], "text": ["[**1**]\n", "fever"], "codes": [["x"], ["y"]]}
    notes = pd.DataFrame(notes)
    source = raw_corpus.RawCorpus("table", notes, {"x": "x", "y": "y"}, "", private=False, dropped={"before": 1})
    left, dropped = cleaning.clean_source(source, ["marks"])
    assert left.notes["note"].tolist() == ["b"]
    assert dropped == {"before": 1, "notes left blank by cleaning": 1}
    assert dataclasses.replace(left, notes=notes, dropped={"before": 1}) == source
    left, dropped = cleaning.clean_source(source, [])
    assert left.notes["text"].tolist() == notes["text"].tolist()
    assert dropped == {"before": 1}


MARKS = {
    "byte order mark": "\ufeff",
    "zero-width space": "\u200b",
    "soft hyphen": "\xad",
    "mark of direction": "\u200f",
}
MARKS |= {"isolate": "\u2068", "word joiner": "\u2060", "joiner of letters": "\u200d", "null": "\x00"}
MARKS |= {"control character": "\x7f", "tag": "\U000e0041"}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
def test_what_nobody_sees_changes_nothing(mark):
    lines = NEW.splitlines()
    seen = cleaning.clean(NEW, ["header", "marks"])
    assert seen != NEW
    assert cleaning.clean(mark + NEW, ["header", "marks"]) == seen
    assert cleaning.clean("\n".join(f"{mark}{line}{mark}" for line in lines), ["header", "marks"]) == seen.rstrip("\n")


@pytest.mark.parametrize("end", ["\r\n", "\r", "\x85", "\u2028", "\x0c"])
def test_line_ends_of_other_systems_change_nothing(end):
    assert cleaning.clean(NEW.replace("\n", end), ["header"]) == cleaning.clean(NEW, ["header"])
    assert cleaning.clean(NEW.replace(" ", "\xa0"), ["header"]) == cleaning.clean(NEW, ["header"])


def test_scripts_that_join_letters_keep_their_joiners():
    persian, family = "می\u200cشود", "\U0001f468\u200d\U0001f469"
    assert cleaning.plain(f"{persian} {family}, 発熱\tñandú") == f"{persian} {family}, 発熱\tñandú"
    assert cleaning.plain(cleaning.plain("\ufeff\r\n\u200da")) == cleaning.plain("\ufeff\r\n\u200da") == "\na"
