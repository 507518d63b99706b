"""The encoder: frozen and trainable layers are the whole, padding changes nothing, chunks cover the note."""

import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_up import tiny
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from shl_utils.encoder import encoder, forward_pass, frozen_layers, tokens, weight_files
from shl_utils.encoder.tokens import Ragged
from shl_utils.parameters import check

TEXTS = ["No acute disease.", "A calcified nodule above the left hilum, unchanged since spring, is harmless.", "x"]


@pytest.fixture(scope="module")
def minilm():
    return encoder.load(weight_files.MINILM)


def split(model, n):
    """The encoder, of which the upper `n` layers are trained."""
    return frozen_layers.split_encoder(model, check({"lora_layers": n}))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_frozen_and_trainable_layers_together_are_the_encoder(minilm, n):
    tokenizer, model = minilm
    rows = tokens.tokenize(tokenizer, TEXTS, max_tokens=32)
    ids, mask = rows.pad([0, 1, 2])
    frozen, trainable, trained = split(model, n)
    assert trained == list(range(6 - n, 6))
    shared = {p.data_ptr() for part in (frozen, trainable) for p in part.parameters()}
    assert shared == {p.data_ptr() for p in model.parameters()}
    flat = torch.empty(rows.offsets[-1], 384)
    forward_pass.encode(frozen, rows, flat, device="cpu", dtype=torch.float32, label="encode")
    with torch.inference_mode():
        whole = forward_pass.hidden_states(model, ids, mask)
        parts = forward_pass.hidden_states(trainable, *Ragged(flat, rows.offsets).pad([0, 1, 2]))
    torch.testing.assert_close(parts[mask.bool()], whole[mask.bool()], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "mpnet", "modernbert"])
def test_other_architectures_can_be_split_too(kind, n):
    model = tiny(kind)
    frozen, trainable, _ = split(model, n)
    ids = torch.arange(6, 20).reshape(1, -1)
    mask = torch.ones_like(ids)
    parts = forward_pass.hidden_states(trainable, forward_pass.hidden_states(frozen, ids, mask), mask)
    torch.testing.assert_close(parts, forward_pass.hidden_states(model, ids, mask))


def test_an_architecture_that_does_more_than_its_layers_cannot_be_split():
    assert split(tiny("electra", embedding_size=16), 1).frozen is None
    assert split(tiny("electra", embedding_size=32), 1).frozen
    assert split(tiny("bert"), -1).frozen is None, "every layer is trained"


def words(n=100, *, special=True, **more):
    """A tokenizer of `n` words."""
    known = {"[UNK]": 0, "[CLS]": 2, "[SEP]": 3, "a": 4} | {f"w{i}": i for i in (1, *range(5, n))}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        both = [("[CLS]", 2), ("[SEP]", 3)]
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=both)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **more)


RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
ROBERTA = {"max_position_embeddings": 514}
READS = [
    ("bert", {}, 512),
    ("bert", {"max_position_embeddings": 100}, 96),
    ("roberta", ROBERTA, 512),
    ("roberta", ROBERTA | {"pad_token_id": 0}, 513),
    ("roberta", ROBERTA | {"pad_token_id": 3}, 504),
    ("xlm-roberta", ROBERTA, 512),
    ("mpnet", ROBERTA, 512),
    ("distilbert", {}, 512),
    ("electra", {"embedding_size": 16}, 512),
    ("albert", {"embedding_size": 16}, 512),
    ("deberta-v2", {}, 512),
    ("gpt2", {}, 1024),
]


@pytest.mark.parametrize(("kind", "more", "most"), READS, ids=str)
def test_the_model_says_how_much_it_reads(kind, more, most):
    """Batches are padded to multiples of 8, positions may begin after the padding, and these need a row as well."""
    model, tokenizer = tiny(kind, **more), words()
    for asked in (most + 1, 2000):
        with pytest.raises(ValueError, match=f"max_tokens is {asked}, but the encoder reads at most {most}: lower it"):
            encoder.check(tokenizer, model, asked)
    encoder.check(tokenizer, model, most)
    rows = tokens.tokenize(tokenizer, ["a " * 3000], max_tokens=most)
    assert rows.lengths.tolist() == [most]
    embedded = forward_pass.embed(model, rows, device="cpu", dtype=torch.float32)
    assert np.isfinite(embedded).all()


@pytest.mark.parametrize(("kind", "more"), [("deberta-v2", RELATIVE), ("modernbert", {}), ("xlnet", {})], ids=str)
def test_an_encoder_without_positions_of_its_own_reads_what_is_asked(kind, more):
    encoder.check(words(), tiny(kind, **more), 1000)


def test_the_tokenizers_own_length_does_not_truncate_what_the_model_reads():
    tokenizer = words(model_max_length=20)
    encoder.check(tokenizer, tiny("bert"), 64)
    assert tokens.tokenize(tokenizer, ["a " * 100], max_tokens=64).lengths.tolist() == [64]


def test_a_tokenizer_of_more_words_than_the_model_has_rows():
    encoder.check(words(100), tiny("bert"), 32)
    with pytest.raises(ValueError, match=r"encoder: its tokenizer has tokens up to number 100, .* belong together"):
        encoder.check(words(101), tiny("bert"), 32)


def test_a_tokenizer_without_special_tokens_or_padding():
    """A text that has no token is a row of zeros."""
    tokenizer, model = words(special=False), tiny("bert")
    encoder.check(tokenizer, model, 32)
    pieces, owner = tokens.chunk(tokenizer, ["", "a a a"], max_tokens=32, chunk_tokens=8)
    assert owner.tolist() == [0, 1]
    embedded = forward_pass.embed(model, pieces, device="cpu", dtype=torch.float32)
    assert not embedded[0].any()
    assert np.linalg.norm(embedded[1]) == pytest.approx(1)
    assert not forward_pass.embed(model, Ragged.from_rows([[]]), device="cpu", dtype=torch.float32).any()


@pytest.mark.parametrize("kind", ["t5", "bart", "vit"])
def test_what_does_not_encode_text_is_refused_by_name(kind):
    with pytest.raises(ValueError, match="encoder: "):
        encoder.check(words(), tiny(kind), 32)


@pytest.mark.parametrize(
    ("tokenizer", "most", "read"), [(words(), 12, 19), (ByT5Tokenizer(), 10, 9)], ids=["fast", "slow"]
)
def test_how_many_characters_are_read(tokenizer, most, read):
    assert tokens.characters_read(tokenizer, "a " * 16, max_tokens=most) == read
    assert tokens.characters_read(tokenizer, "a a", max_tokens=12) == 3


def test_padding_does_not_change_an_embedding(minilm):
    tokenizer, model = minilm
    together = tokens.tokenize(tokenizer, TEXTS, max_tokens=32)
    embedded = forward_pass.embed(model, together, device="cpu", dtype=torch.float32, label="embed")
    for i, text in enumerate(TEXTS):
        alone = tokens.tokenize(tokenizer, [text], max_tokens=32)
        one = forward_pass.embed(model, alone, device="cpu", dtype=torch.float32, label="embed")[0]
        assert embedded[i] == pytest.approx(one, abs=1e-5)
    assert np.linalg.norm(embedded, axis=1) == pytest.approx(1)


def listed(rows):
    return [rows.flat[a:b].tolist() for a, b in zip(rows.offsets, rows.offsets[1:])]


def test_chunks_cover_the_truncated_note_once(minilm):
    tokenizer, _ = minilm
    text = " ".join(f"word{i}" for i in range(100))
    whole = tokens.tokenize(tokenizer, [text], max_tokens=50)
    chunks, owner = tokens.chunk(tokenizer, [text, "short", ""], max_tokens=50, chunk_tokens=20)
    pieces = listed(chunks)
    first, last = whole.flat[0].item(), whole.flat[-1].item()
    assert all(piece[0] == first and piece[-1] == last and len(piece) <= 20 for piece in pieces)
    body = [token for piece, i in zip(pieces, owner) if i == 0 for token in piece[1:-1]]
    assert body == whole.flat[1:-1].tolist()
    assert owner.tolist() == [0, 0, 0, 1, 2]


@given(
    texts=st.lists(st.text(st.sampled_from("ab é\n.心1"), max_size=300), min_size=1, max_size=5),
    length=st.integers(3, 12),
)
def test_blocks_of_texts_and_beginnings_of_long_ones_give_the_tokenizers_own_ids(minilm, texts, length):
    tokenizer, _ = minilm
    with mock.patch.object(tokens, "BLOCK", 2):
        seen = tokens.tokenize(tokenizer, texts, max_tokens=length)
    asked = tokenizer(texts, truncation=True, max_length=length)["input_ids"]
    assert listed(seen) == asked


def test_ragged_rows():
    rows = Ragged.from_rows([[1, 2, 3], [4]])
    padded, mask = rows.pad([1, 0])
    assert padded.tolist() == [[4] + 7 * [0], [1, 2, 3] + 5 * [0]]
    assert mask.tolist() == [[1] + 7 * [0], [1, 1, 1] + 5 * [0]]


def test_batches_by_length_hold_every_row_once():
    lengths = np.random.default_rng(0).integers(1, 500, 300)
    batches = list(tokens.by_length(lengths, label=None))
    assert sorted(np.concatenate(batches).tolist()) == list(range(300))
    assert all(len(b) * math.ceil(lengths[b].max() / 8) * 8 <= tokens.PADDED for b in batches)


def test_a_note_is_read_from_its_beginning_and_a_damaged_tokenizer_named(tmp_path):
    tiny("bert").save_pretrained(tmp_path)
    words(truncation_side="left").save_pretrained(tmp_path)
    assert encoder.load(str(tmp_path))[0].truncation_side == "right"
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="could not be loaded: the folder lacks a part of it"):
        encoder.load(str(tmp_path))


def test_an_incomplete_checkpoint_is_refused(minilm, tmp_path):
    tokenizer, model = minilm
    tokenizer.save_pretrained(tmp_path)
    state = {k: v for k, v in model.state_dict().items() if "layer.3.output.dense" not in k}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(ValueError, match=r"lacks weights, such as encoder.layer.3.output.dense"):
        encoder.load(str(tmp_path))
