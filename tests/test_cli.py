"""The command line: mistakes are answered with a remedy, lists are taken in any of their forms, and it starts fast."""

import subprocess
import sys

import pytest
from conftest import PROJECT

from shl_utils import cli


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("", "Missing command."),
        ("rn", "No such command 'rn'. Did you mean 'run'?"),
        ("run x.yaml --untl 00_imbalance", "No such option '--untl'. Did you mean '--until'?"),
        ("run x.yaml --until 00", "'00' is not one of '00_imbalance'"),
        ("run", "Missing argument 'FILE...'"),
        ("bench x.yaml --seeds one", "'one' is not a valid integer range"),
        ("bench x.yaml --rates 0", "0.0 is not in the range x>0"),
        ("bench x.yaml --steps --segments 2", "exclude each other"),
        ("bench x.yaml --sizes 10 --seeds 1", "the last two have no rates or seeds"),
        ("scan x --runs", "Option '--runs' requires an argument"),
        ("fetch mimic3", "'mimic3' is not one of 'openi', 'mpnet'"),
    ],
)
def test_a_mistake_is_answered(words, answer, command):
    done = command(*words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("shl: ")
    assert answer in done.stderr
    assert done.stderr.endswith(" --help`.\n")


@pytest.mark.parametrize(
    "words", ["--sizes 1 2 --rates 3", "--sizes 1 --sizes 2 --rates 3", "--rates 3 --sizes=1 --sizes 2"]
)
def test_an_option_takes_several_values(words, monkeypatch):
    taken = []
    monkeypatch.setattr(cli.bench, "callback", lambda **given: taken.append(given))
    assert cli.main(["bench", *words.split(), "--seeds", "5", "--", "x.yaml"]) == 0
    assert [(given["sizes"], given["seeds"], given["rates"]) for given in taken] == [((1, 2), (5,), (3.0,))]


@pytest.mark.parametrize("name", ["", *cli.shl.commands])
def test_every_command_explains_itself(name, command):
    for option in ("-h", "--help"):
        done = command(*name.split(), option)
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: shl {name}".strip())
        assert "..." not in done.stdout.partition("Commands:")[2], "a help that is cut short"


def test_it_starts_without_the_libraries_of_training():
    demo = str(PROJECT / "params" / "demo.yaml")
    code = "import sys, pathlib; from shl_utils import cli, runner; cli.main(['--help'])\n"
    code += f"runner.read_all([pathlib.Path({demo!r})]); print({{'torch', 'pandas'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
