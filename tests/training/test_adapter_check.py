"""An adapter is tried on the encoder before time is spent, and what would do instead has been tried too."""

import re

import numpy as np
import pytest
from made_up import tiny
from peft import PeftModel

from shl_utils.parameters import check
from shl_utils.training import adapter_check, segment_model, worker

# no single list of layers, or no embeddings before them; or, in attention, no default of PEFT's
REFUSED = [(kind, "all") for kind in ("albert", "xlnet", "gpt2")] + [("modernbert", "attention")]


def fits(base, **changed):
    """What is said; "" where it fits."""
    try:
        adapter_check.check_adapter(base, check(changed))
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("kind", "targets"), REFUSED)
def test_the_remedy_that_is_named_does(kind, targets):
    base = tiny(kind)
    said = fits(base, lora_layers=1, lora_targets=targets)
    named = re.search(r"set `lora_layers: (-?\d+)` and `lora_targets: (\w+)`", said)
    assert not fits(base, lora_layers=int(named[1]), lora_targets=named[2])


@pytest.mark.parametrize("kind", ["bert", "roberta", "mpnet", "distilbert", "modernbert", "electra", "deberta-v2"])
def test_the_default_fits_what_is_laid_out_like_bert(kind):
    assert not fits(tiny(kind))


@pytest.mark.parametrize("kind", ["mpnet", "distilbert"])
def test_query_and_value_are_found_where_peft_has_no_default(kind):
    base, asked = tiny(kind), check({"lora_layers": -1, "lora_targets": "attention"})
    assert not fits(base, lora_layers=-1, lora_targets="attention")
    trained = [name for name, _ in worker.fresh(base, np.full(2, 0.5), asked).named_parameters() if "lora_A" in name]
    assert [name.split(".lora_A")[0].split(".")[-1][0] for name in trained] == ["q", "v"] * 3


def test_more_layers_than_there_are():
    with pytest.raises(ValueError, match="lora_layers is 4"):
        adapter_check.check_adapter(tiny("bert"), check({"lora_layers": 4}))


def test_where_nothing_fits_another_encoder_is_asked_for():
    assert "set another `encoder`" in fits(tiny("vit"))


def test_linear_maps_are_those_of_the_given_layers():
    names = segment_model.linear_maps(tiny("bert"), [2])
    assert len(names) == 6
    assert all(name.startswith("encoder.layer.2.") for name in names)
    outside = tiny("electra", embedding_size=16)
    assert not any("embeddings_project" in name for name in segment_model.linear_maps(outside, [0, 1, 2]))


@pytest.mark.parametrize(("kind", "at"), [("bert", "encoder.layer."), ("modernbert", "layers.")])
def test_an_adapter_is_in_the_trained_layers_alone_on_the_whole_encoder_too(kind, at, tmp_path):
    base, asked = tiny(kind, num_hidden_layers=8), check({"lora_layers": 6})
    net = worker.fresh(base, np.full(2, 0.5), asked)
    segment_model.save(net, tmp_path)
    whole = PeftModel.from_pretrained(tiny(kind, num_hidden_layers=8), tmp_path)
    names = [name.split(at)[1].split(".")[0] for name, _ in whole.named_parameters() if "lora_A" in name]
    assert set(names) == set("234567")
