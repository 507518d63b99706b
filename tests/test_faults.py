"""Every fault of the list is found before time is spent, and said as docs/faults.md says."""

from pathlib import Path

import faults
import pytest
import torch


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.what)
def test_a_fault_is_named_before_time_is_spent(fault, tmp_path):
    if "fp16" in fault.what and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    said = faults.happens(fault, tmp_path)
    if fault.says is faults.GOOD:
        assert said == ""
    else:
        assert fault.says in said


@pytest.mark.parametrize("fault", [f for f in faults.FAULTS if f.remedy is not None], ids=lambda fault: fault.what)
def test_what_the_message_asks_for_mends_it(fault, tmp_path):
    assert faults.happens(fault.mended(), tmp_path) == ""


MACHINE = faults.PAGE.read_text(encoding="utf-8").partition(faults.MIDDLE)[2].strip().splitlines()


def test_the_page_has_all_of_them():
    lines = faults.PAGE.read_text(encoding="utf-8").splitlines()
    said = dict(line.strip("| ").split(" | ", 1) for line in lines if line.startswith("| ") and " | " in line)
    for fault in faults.FAULTS:
        expected = "it is read" if fault.says is faults.GOOD else fault.says
        assert expected in said[fault.what], "run `python tests/faults.py`"
    assert len(faults.FAULTS) >= 60
    assert len(MACHINE) >= 20


@pytest.mark.parametrize("line", MACHINE)
def test_the_tests_that_the_page_names_are_there(line):
    _what, _then, named = line.strip("| ").split(" | ")
    file, name = named.strip("`").split("::")
    assert f"def {name}(" in (Path(__file__).parent / file).read_text(encoding="utf-8")
