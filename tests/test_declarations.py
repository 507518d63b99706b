"""One decorated function is enough: the examples of docs/contributing.md, written into a copy of the package, run."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import PROJECT

from shl_utils import declarations
from shl_utils.data import raw_corpus, sources
from shl_utils.method import loss_factory, losses, thresholds
from shl_utils.parameters import Parameters, check
from shl_utils.training import jobs

# the examples of docs/contributing.md by the module that they belong to
EXAMPLE = re.compile(r"`shl_utils/(\S+\.py)`:\n\n```python\n(.*?)```", re.DOTALL)
TOYS = dict(EXAMPLE.findall((PROJECT / "docs" / "contributing.md").read_text(encoding="utf-8")))
RUN = """
import json

import numpy as np
import torch
from scipy import sparse

from shl_utils import cli
from shl_utils.data import corpus, sources
from shl_utils.method import loss_factory, thresholds
from shl_utils.parameters import check, training_parameters
from shl_utils.reporting import training_tables
from shl_utils.runs import dependencies
from shl_utils.training import jobs, variants

def refused(**values):
    try:
        check(values)
    except ValueError as error:
        return str(error)

toys = {"loss": "toy", "threshold": "mean", "source": "toy"}
asked = check(toys | {"damping": 0.25, "gamma": 2.0, "lift": 2.0, "animal": "dog"})
labels = sparse.csr_array(np.array([[1, 0], [1, 0], [1, 1], [1, 0], [1, 0]], dtype=np.float32))
loss = loss_factory.fitted("toy", labels, asked)
logits = torch.zeros(5, 2, requires_grad=True)
value = loss(logits, torch.tensor(labels.toarray()), torch.ones(5))
value.backward()
found = thresholds.Validation(np.eye(2, dtype=int), np.array([[0.5, 0.25], [0.125, 0.125]]), np.zeros(2, dtype=int), 1)
read = sources.load(asked, None)
notes, _ = corpus.build(read, asked)
ours, bce = (variants.inactive_parameters(check({"loss": name})) for name in ("toy", "bce"))
print(json.dumps({
    "errors": [
        refused(loss="toi"), refused(loss="toy", damping=2.0), refused(threshold="main"), refused(source="toi"),
        refused(source="toy"), refused(source="toy", animal="cow"), refused(animal="dog"), refused(dampin=0.5),
    ],
    "value": value.item(),
    "gradient": logits.grad[0].tolist(),
    "derived": {name: taken.tolist() for name, taken in loss_factory.derived("toy", labels, asked).items()},
    "label": training_tables.LABELS["share"],
    "training": sorted(training_parameters(asked) & {"damping", "least_share"}),
    "unused": [sorted({"damping", "least_share", "gamma", "beta"} & unused) for unused in (ours, bce)],
    "limits": thresholds.choose("mean", found, **asked.model_dump()).tolist(),
    "notes": notes.summary()["notes"].sum(),
    "files": [path.name for path in sources.files(asked)],
    "fetched": cli.main(["fetch", "toy"]),
    "private": read.private,
    "code": {name: jobs._code(name, "prior") for name in ("bce", "toy")},
    "reached": [
        (f"shl_utils.{module}", "toy") in dependencies.reached(user)
        for module, user in (("method.losses", loss_factory.fitted), ("method.thresholds", thresholds.choose),
                             ("data.sources.toy", sources.load))
    ],
}))
"""


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """What RUN says where the toys are."""
    place = tmp_path_factory.mktemp("toys")
    shutil.copytree(PROJECT / "shl_utils", place / "shl_utils", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in TOYS.items():
        with (place / "shl_utils" / name).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{text}")
    env = os.environ | {"PYTHONPATH": str(place)}
    done = subprocess.run([sys.executable, "-c", RUN], cwd=place, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) | {"output": done.stdout}


def test_a_toy_is_checked_as_the_others_are(result):
    loss, damping, rule, source, needed, animal, other, misspelt = result["errors"]
    assert "'sh_focal' or 'toy', got 'toi'" in loss
    assert "damping: Input should be less than or equal to 1" in damping
    assert "'shrunk' or 'mean', got 'main'" in rule
    assert "'synthetic' or 'toy', got 'toi'" in source
    assert needed == "parameters: source toy needs `animal`: the kind of animal"
    assert "animal: Input should be '', 'cat' or 'dog'" in animal
    assert other == "parameters: `animal` is given, but source openi would be read: add `source: toy`"
    assert "unknown parameter 'dampin', did you mean 'damping'?" in misspelt


def test_a_toy_loss_gets_what_it_asks_for_and_is_recorded(result):
    # shares 1 and 0.2, the second raised to 0.25; at probability 0.5 each pair costs 0.25 * share * 0.5^2
    assert result["derived"] == {"share": [1.0, 0.25]}
    assert result["value"] == pytest.approx(0.25 * 1.25 * 0.25)
    assert result["gradient"] == pytest.approx([-0.25 * 2 * 0.5 * 0.25 / 5, 0.25 * 0.25 * 2 * 0.5 * 0.25 / 5])
    assert result["label"] == "share of the notes"
    assert result["training"] == ["damping", "least_share"]
    assert result["unused"] == [[], ["beta", "damping", "gamma", "least_share"]]


def test_a_toy_rule_chooses(result):
    assert result["limits"] == [0.5, 0.5]


def test_a_toy_source_is_read_and_fetched(result):
    assert result["notes"] == 20
    assert result["files"] == ["rooms.csv"]
    assert result["fetched"] == 0
    assert "toy: verified, kennel" in result["output"]
    assert result["private"] is False


def test_results_depend_on_a_toy_where_it_is_used_alone(result):
    assert result["reached"] == [True, True, True]
    assert result["code"]["bce"] == jobs._code("bce", "prior"), "a new loss outdates no model of another"
    assert result["code"]["toy"] != result["code"]["bce"]


@pytest.mark.parametrize(
    ("declared", "registry"),
    [
        (declarations.LOSSES, losses.LOSSES),
        (declarations.DERIVED, loss_factory.DERIVED),
        (declarations.RULES, thresholds.RULES),
        (declarations.SOURCES, raw_corpus.SOURCES),
    ],
    ids=["losses", "derived", "rules", "sources"],
)
def test_what_is_read_is_what_is_there(declared, registry):
    for source in declarations.SOURCES:
        sources.module(source)
    assert declared.keys() == registry.keys()
    assert all(registry[name].__name__ == one.function for name, one in declared.items())
    known = Parameters.model_fields.keys() | declarations.DERIVED.keys()
    assert all(known.issuperset(one.takes) for one in declared.values())


def test_which_sources_are_private():
    private = {name: source.private for name, source in declarations.SOURCES.items()}
    theirs = {"mimic3": True, "mimic4": True, "table": "private"}
    assert private == dict.fromkeys(private, False) | theirs


@pytest.mark.parametrize("private", [True, False])
def test_the_parameter_that_a_source_names_says_whether_it_is_private(tmp_path, private):
    table = tmp_path / "notes.csv"
    table.write_text("id,text,codes\n1,cough,A;B\n", encoding="utf-8")
    asked = check({"source": "table", "table": str(table), "private": private})
    assert sources.load(asked, tmp_path).private is private
    assert sources.files(asked) == [table.resolve()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [("harmonic=ON", "line 2: give `@LOSSES.add` literals"), ("harmonik=True", "`declarations.Loss` has.*'harmonik'")],
)
def test_a_declaration_that_cannot_be_read_is_refused_with_its_place(tmp_path, arguments, message):
    file = tmp_path / "losses.py"
    file.write_text(f"ON = True\n@LOSSES.add({arguments})\ndef toy(): ...\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        list(declarations._in_file(declarations.Loss, "LOSSES.add", file))
