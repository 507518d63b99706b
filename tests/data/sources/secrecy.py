"""Errors that must not show a note."""

import traceback

import pytest

SECRET = "Zebulon Quackenbush"  # the text of notes in the tests of sources


def refused(load, kind=ValueError):
    """The message of the error that `load()` raises; no text of a note is in it, nor in what is chained to it."""
    with pytest.raises(kind) as caught:
        load()
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    context = caught.value.__context__
    assert context is None or SECRET not in repr(vars(context)) + repr(context.args), "the cause holds a note"
    return str(caught.value)
