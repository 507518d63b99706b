"""What is taken out of a note, and that nothing else is."""

import dataclasses

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shl_utils import cleaning, sources

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
    once = cleaning.clean(text, ["header", "marks"])
    assert len(once) == len(text)
    assert all(a in (b, " ") for a, b in zip(once, text))
    assert cleaning.clean(text, []) == text
    assert cleaning.clean(once, ["marks"]) == once


def test_a_note_left_blank_is_counted():
    notes = pd.DataFrame(
        {"note": ["a", "b"], "group": ["a", "b"], "text": ["[**1**]\n", "fever"], "codes": [["x"], ["y"]]}
    )
    source = sources.Corpus("table", notes, {"x": "x", "y": "y"}, "", private=False, dropped={"before": 1})
    left, dropped = cleaning.cleaned(source, ["marks"])
    assert left.notes["note"].tolist() == ["b"]
    assert dropped == {"before": 1, "notes left blank by `clean_text`": 1}
    assert cleaning.cleaned(source, []) == (source, {"before": 1})
    assert dataclasses.replace(left, notes=notes) == dataclasses.replace(source, notes=notes)
