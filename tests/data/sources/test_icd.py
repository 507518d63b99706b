"""Dots of ICD codes, by the books."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shl_utils.data.sources import icd


@pytest.mark.parametrize(
    ("version", "code", "procedure", "dotted"),
    [
        (9, "0010", False, "001.0"),
        (9, "0010", True, "00.10"),
        (9, "4019", False, "401.9"),
        (9, "25000", False, "250.00"),
        (9, "042", False, "042"),
        (9, "E8790", False, "E879.0"),
        (9, "E899", False, "E899"),
        (9, "V5867", False, "V58.67"),
        (9, "V08", False, "V08"),
        (9, "966", True, "96.6"),
        (9, "3893", True, "38.93"),
        (10, "I10", False, "I10"),
        (10, "E119", False, "E11.9"),
        (10, "E849", False, "E84.9"),
        (10, "S72001A", False, "S72.001A"),
        (10, "V4352XA", False, "V43.52XA"),
        (10, "0DTJ4ZZ", True, "0DTJ4ZZ"),  # procedures of ICD-10 have none
    ],
)
def test_the_dot_is_where_the_book_has_it(version, code, procedure, dotted):
    assert icd.dotted(code, version=version, procedure=procedure) == dotted


@given(
    st.from_regex(r"[0-9]{3,4}", fullmatch=True), st.from_regex(r"([0-9]{3,5}|V[0-9]{2,4}|E[0-9]{3,4})", fullmatch=True)
)
def test_dots_keep_the_code_and_part_procedures_from_diagnoses(procedure, diagnosis):
    pair = icd.dotted(procedure, version=9, procedure=True), icd.dotted(diagnosis, version=9, procedure=False)
    assert [code.replace(".", "") for code in pair] == [procedure, diagnosis]
    assert pair[0] != pair[1]
