"""A training that stops in another process says why."""

import json

import pytest
from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from shl_utils.parameters import check
from shl_utils.training import launch, variants


@pytest.mark.parametrize(
    ("code", "error", "log", "expected"),
    [
        (
            1,
            {"message": "ValueError: two\nlines", "extraInfo": {}},
            "Traceback",
            "code 1; ValueError: two\nlines (",
        ),
        (1, "root cause: Signal 9", "=====", "code 1; root cause: Signal 9 (all of it: {log})"),
        (1, None, "Traceback\nImportError: no torch\n", "code 1; ImportError: no torch (all of it: {log})"),
        (2, None, "", "code 2; no output (all of it: {log})"),
        (
            -9,
            None,
            "",
            "(signal 9), as it is when the machine runs out of memory: lower `parallel_models`",
        ),
    ],
)
def test_the_cause_is_the_error_that_was_left_or_else_the_last_line(tmp_path, code, error, log, expected):
    (tmp_path / "launch.3.log").write_text(log)
    if error:
        (tmp_path / "launch.3.error").write_text(json.dumps({"message": error}))
    assert expected.format(log=tmp_path / "launch.3.log") in launch._stopped(code, tmp_path, 3)


def test_torchrun_leaves_the_first_error_of_its_processes_even_if_they_could_not(tmp_path, monkeypatch):
    (tmp_path / "1").write_text(json.dumps({"message": {"message": "lost its peer", "extraInfo": {"timestamp": 2e9}}}))
    killed, other = (ProcessFailure(rank, 7, -9, str(tmp_path / str(rank))) for rank in (0, 1))

    def fails(arguments):
        raise ChildFailedError("worker", {1: other, 0: killed})

    monkeypatch.setattr(run, "main", fails)
    monkeypatch.setenv(launch.ERROR_FILE, str(tmp_path / "error"))
    with pytest.raises(ChildFailedError):
        launch._torchrun([])
    assert json.loads((tmp_path / "error").read_text()) == {
        "message": "root cause: Signal 9 (SIGKILL) received by PID 7"
    }


def test_worker_processes_get_the_variants_that_were_asked_for():
    run, tuned = check({"initialization": "label_embedding", "eta": 0.7}), check({"column_names": {"text": "note"}})
    asked = [variants.main(run), variants.reference(run), variants.Variant("ablation/1", tuned)]
    plain = variants.VARIANTS.dump_python(asked, mode="json")
    assert variants.VARIANTS.validate_python(json.loads(json.dumps(plain))) == asked


def test_one_that_fails_ends_the_others(tmp_path):
    """The first sleeps until it is ended."""
    code = "import os, sys, time; time.sleep(900 * (os.environ['N'] == '0')); sys.exit('enough')"
    with pytest.raises(RuntimeError, match=r"exit code 1; enough \(all of it: .*launch\.1\.log"):
        launch._run([launch.sys.executable, "-c", code], tmp_path, {i: {"N": str(i)} for i in range(2)})
