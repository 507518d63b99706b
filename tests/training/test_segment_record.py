"""The record of a trained segment, as written and read."""

import json

import pytest
from made_up import invented_record

from shl_utils.evaluation import cost
from shl_utils.training import segment_record
from shl_utils.training.segment_record import FILE, SegmentRecord


def test_records_are_read_as_written_and_in_order(tmp_path):
    found = [invented_record(segment=k, derived={"offset": 0.9}, best_epoch=None) for k in (0, 2, 10)]
    for record in reversed(found):
        record.write(tmp_path / str(record.segment))
    found[0].write(tmp_path / "3.part")  # of one that is being written
    assert segment_record.read_all(tmp_path) == found
    assert segment_record.read_all(tmp_path / "none") == []


@pytest.mark.parametrize("change", [{"of_later": 1}, {"key": None}])
def test_a_record_of_another_version_is_none_of_this_run(tmp_path, change):
    record = invented_record(codes=["a"], history=[{}, {}], positives=3, negatives_per_pass=1)
    for k in range(2):
        record.write(tmp_path / "segments" / str(k))
    path = tmp_path / "segments" / "1" / FILE
    values = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))
    with pytest.raises(ValueError, match=r"segment.json is of another version: .*(of_later|key)"):
        SegmentRecord.read(path.parent)
    lines = cost.segments(tmp_path)
    assert lines[["model", "codes", "notes", "core_seconds"]].to_numpy().tolist() == [["main", 1, 8, 1.0]]
