"""Progress in a file: a line now and then, and nobody need read it."""

import io
import time

import nbformat
import pytest
from nbclient import NotebookClient

from shl_utils.runs import progress


@pytest.fixture
def said(monkeypatch):
    """What bars have written so far, line by line."""
    file = io.StringIO()
    for name, value in (("ASIDE", file), ("EVERY", 0.01), ("LINE_EVERY", 0.02)):
        monkeypatch.setattr(progress, name, value)
    return lambda: file.getvalue().splitlines()


def test_every_item_moves_the_bar_and_lines_hold_nothing_else(said):
    with progress.bar(1, "outer"):
        for letter in progress.over("abc", "letters"):
            assert letter in "abc"
            time.sleep(0.03)
    assert [line.split(",")[0] for line in said()] == ["letters: 33%", "letters: 67%", "letters: 100%"]
    assert all(line.isprintable() for line in said())


def test_a_step_that_knows_its_share_moves_the_bar_as_soon_as_it_does(said):
    shares = iter([-1.0, -1.0, 40.5, 40.5, 30.0])
    with progress.watched(lambda: next(shares, 90.0), "read"):
        while not said() or "90%" not in said()[-1]:
            time.sleep(0.01)
    done = [int(line.split()[1].rstrip("%,")) for line in said()]
    assert done == sorted(done)


def test_what_is_short_says_nothing(said, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 60)
    assert list(progress.over("abc", "letters")) == list("abc")
    assert said() == []


def test_a_failing_step_ends_its_bar(said):
    with pytest.raises(OSError, match="gone"), progress.watched(lambda: 10.0, "read"):
        raise OSError("gone")
    before = said()
    time.sleep(0.05)
    assert said() == before


def test_a_reader_that_leaves_stops_no_work(said, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(progress, "ASIDE", Gone())
    for _ in progress.over("abc", "letters"):
        time.sleep(0.03)


def test_a_saved_notebook_looks_for_no_bar_that_is_gone():
    code = "from shl_utils.runs import progress\nfor _ in progress.over('abc', 'letters'): pass\nprint('done')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, kernel_name="python3").execute()
    emptied, said = notebook.cells[0].outputs
    assert emptied["data"]["text/html"] == ""
    assert "application/vnd.jupyter.widget-view+json" not in emptied["data"]
    assert said["text"] == "done\n"
