"""The encoder: trunk and top together are the whole, padding changes nothing, chunks cover the note."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel

from shl_utils import encoder, tokens
from shl_utils.tokens import Ragged

TEXTS = ["No acute disease.", "A calcified nodule above the left hilum, unchanged since spring, is harmless.", "x"]


@pytest.fixture(scope="module")
def minilm():
    return encoder.load(encoder.MINILM)


@pytest.mark.parametrize("top", [1, 2, 5])
def test_trunk_and_top_together_are_the_encoder(minilm, top):
    tokenizer, model = minilm
    rows = tokens.tokenize(tokenizer, TEXTS, max_tokens=32)
    ids, mask = rows.pad([0, 1, 2])
    trunk, upper = encoder.halves(model, top=top)
    flat = torch.empty(rows.offsets[-1], 384)
    encoder.encode(trunk, rows, flat, device="cpu", label="encode")
    hidden, _ = Ragged(flat, rows.offsets).pad([0, 1, 2])
    with torch.inference_mode():
        whole = model(input_ids=ids.long(), attention_mask=mask).last_hidden_state
        parts = upper(inputs_embeds=hidden, attention_mask=mask).last_hidden_state
    torch.testing.assert_close(parts[mask.bool()], whole[mask.bool()], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("top", [1, 2])
@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "mpnet", "modernbert"])
def test_other_architectures_divide_too(kind, top):
    model = tiny(kind)
    trunk, upper = encoder.halves(model, top=top)
    ids = torch.arange(6, 20).reshape(1, -1)
    below = trunk(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    whole = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    above = upper(inputs_embeds=below, attention_mask=torch.ones_like(ids)).last_hidden_state
    torch.testing.assert_close(above, whole)


def test_an_architecture_that_does_more_than_its_layers_does_not_divide():
    assert encoder.halves(tiny("electra", embedding_size=16), top=1) is None
    assert encoder.halves(tiny("electra", embedding_size=32), top=1)


def tiny(kind, **more):
    """A random encoder of that architecture, three layers of width 32."""
    names = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    if kind == "distilbert":
        names = {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 64}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=100, pad_token_id=1, **names, **more)
    return AutoModel.from_config(config, attn_implementation="eager").eval()


def test_more_tokens_than_positions_are_refused(minilm):
    with pytest.raises(ValueError, match="max_tokens is 600, but the encoder reads at most 512"):
        encoder.check_length(minilm[1], 600)


def test_views_share_the_weights_and_leave_the_encoder_whole(minilm):
    _, model = minilm
    trunk, upper = encoder.halves(model, top=2)
    ours = {p.data_ptr() for p in model.parameters()}
    assert {p.data_ptr() for view in (trunk, upper) for p in view.parameters()} == ours
    assert encoder.n_layers(model) == 6


def test_padding_does_not_change_an_embedding(minilm):
    tokenizer, model = minilm
    together = tokens.tokenize(tokenizer, TEXTS, max_tokens=32)
    embedded = encoder.embed(model, together, device="cpu", dtype=torch.float32, label="embed")
    for i, text in enumerate(TEXTS):
        alone = tokens.tokenize(tokenizer, [text], max_tokens=32)
        one = encoder.embed(model, alone, device="cpu", dtype=torch.float32, label="embed")[0]
        assert embedded[i] == pytest.approx(one, abs=1e-5)
    assert np.linalg.norm(embedded, axis=1) == pytest.approx(1)


def test_chunks_cover_the_cut_note_once(minilm):
    tokenizer, _ = minilm
    text = " ".join(f"word{i}" for i in range(100))
    whole = tokens.tokenize(tokenizer, [text], max_tokens=50)
    chunks, owner = tokens.chunk(tokenizer, [text, "short", ""], max_tokens=50, chunk_tokens=20)
    pieces = [chunks.flat[a:b].tolist() for a, b in zip(chunks.offsets, chunks.offsets[1:])]
    first, last = whole.flat[0].item(), whole.flat[-1].item()
    assert all(piece[0] == first and piece[-1] == last and len(piece) <= 20 for piece in pieces)
    body = [token for piece, i in zip(pieces, owner) if i == 0 for token in piece[1:-1]]
    assert body == whole.flat[1:-1].tolist()
    assert owner.tolist() == [0, 0, 0, 1, 2]


@given(
    texts=st.lists(st.text(st.sampled_from("ab é\n.心1"), max_size=300), min_size=1, max_size=5),
    length=st.integers(3, 12),
)
def test_of_a_long_text_only_the_beginning_is_read_and_nothing_changes(minilm, texts, length):
    tokenizer, _ = minilm
    seen = tokens.tokenize(tokenizer, texts, max_tokens=length)
    asked = tokenizer(texts, truncation=True, max_length=length)["input_ids"]
    assert [seen.flat[a:b].tolist() for a, b in zip(seen.offsets, seen.offsets[1:])] == asked


def test_more_texts_than_a_block(minilm, monkeypatch):
    monkeypatch.setattr(tokens, "BLOCK", 2)
    texts = [f"note {'word ' * i}" for i in range(5)]
    seen = tokens.tokenize(minilm[0], texts, max_tokens=6)
    assert seen.lengths.tolist() == [3, 4, 5, 6, 6]


def test_ragged_rows():
    rows = Ragged.of([[1, 2, 3], [4]])
    padded, mask = rows.pad([1, 0], multiple=4)
    assert padded.tolist() == [[4, 0, 0, 0], [1, 2, 3, 0]]
    assert mask.tolist() == [[1, 0, 0, 0], [1, 1, 1, 0]]


def test_batches_by_length_hold_every_row_once():
    lengths = np.random.default_rng(0).integers(1, 500, 300)
    batches = list(tokens.by_length(lengths, label=None, tokens=2048))
    assert sorted(np.concatenate(batches).tolist()) == list(range(300))
    assert all(len(b) * (-(-lengths[b].max() // 16) * 16) <= 2048 for b in batches)


def test_an_encoder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"give a folder, or set `download: true`"):
        encoder.load(str(tmp_path / "no-such-encoder"))


def test_an_incomplete_checkpoint_is_refused(minilm, tmp_path):
    tokenizer, model = minilm
    tokenizer.save_pretrained(tmp_path)
    state = {k: v for k, v in model.state_dict().items() if "layer.3.output.dense" not in k}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(ValueError, match=r"lacks weights, such as encoder.layer.3.output.dense"):
        encoder.load(str(tmp_path))
