"""Dots of ICD codes, by the books."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shl_utils.data.sources import icd


@pytest.mark.parametrize(
    ("code", "procedure", "dotted"),
    [
        ("0010", False, "001.0"),
        ("0010", True, "00.10"),
        ("4019", False, "401.9"),
        ("25000", False, "250.00"),
        ("042", False, "042"),
        ("E8790", False, "E879.0"),
        ("E899", False, "E899"),
        ("V5867", False, "V58.67"),
        ("V08", False, "V08"),
        ("966", True, "96.6"),
        ("3893", True, "38.93"),
    ],
)
def test_the_dot_is_where_the_book_has_it(code, procedure, dotted):
    assert icd.dotted(code, version=9, procedure=procedure) == dotted


@given(
    st.from_regex(r"[0-9]{3,4}", fullmatch=True), st.from_regex(r"([0-9]{3,5}|V[0-9]{2,4}|E[0-9]{3,4})", fullmatch=True)
)
def test_dots_keep_the_code_and_part_procedures_from_diagnoses(procedure, diagnosis):
    pair = icd.dotted(procedure, version=9, procedure=True), icd.dotted(diagnosis, version=9, procedure=False)
    assert [code.replace(".", "") for code in pair] == [procedure, diagnosis]
    assert pair[0] != pair[1]


@pytest.mark.parametrize(
    ("code", "procedure", "dotted"),
    [
        ("I10", False, "I10"),
        ("E119", False, "E11.9"),
        ("E849", False, "E84.9"),
        ("S72001A", False, "S72.001A"),
        ("V4352XA", False, "V43.52XA"),
        ("0DTJ4ZZ", True, "0DTJ4ZZ"),
    ],
)
def test_icd_10_has_its_dot_behind_the_category_and_procedures_none(code, procedure, dotted):
    assert icd.dotted(code, version=10, procedure=procedure) == dotted
