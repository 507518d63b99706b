"""An encoder is its content: the same in two places is one, and another under the same name is another."""

import os
import shutil
import subprocess
import sys

import pytest

from shl_utils.encoder.weight_files import MINILM, digest, location


@pytest.fixture
def small(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "vocab.txt", "model.safetensors"):
        (folder / name).write_text(f"what {name} says")
    return folder


def test_the_same_content_in_two_places_is_the_same(small, tmp_path):
    shutil.copytree(small, tmp_path / "copy")
    assert digest(str(tmp_path / "copy")) == digest(str(small))


LOADED = ["config.json", "tokenizer.json", "vocab.txt", "model.safetensors", "added_tokens.json"]
NOT_LOADED = ["README.md", ".gitattributes", "pytorch_model.bin", "modules.json", "onnx/model.onnx"]


@pytest.mark.parametrize("name", [*LOADED, *NOT_LOADED])
def test_a_file_counts_if_it_is_loaded(small, name):
    """One that is there already keeps its size and its time."""
    path, before = small / name, digest(str(small))
    if path.exists():
        state = path.stat()
        path.write_text(f"what {name} sais")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text("more")
    assert (digest(str(small)) != before) == (name in LOADED)


def test_weights_of_the_old_kind_count_where_there_are_no_others(small):
    (small / "model.safetensors").rename(small / "pytorch_model.bin")
    before = digest(str(small))
    (small / "pytorch_model.bin").write_text("other")
    assert digest(str(small)) != before


def test_the_encoder_of_the_package_and_its_copy_are_one(tmp_path):
    shutil.copytree(location(MINILM), tmp_path / "mine")
    assert digest(str(tmp_path / "mine")) == digest(MINILM)


def test_what_the_hub_left_on_this_machine_is_found_without_network(small, tmp_path):
    place = tmp_path / "hub" / "models--org--small"
    shutil.copytree(small, place / "snapshots" / "abc")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    say = (
        "from shl_utils.encoder.weight_files import digest, location; print(location('org/small'), digest('org/small'))"
    )
    env = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub")}
    done = subprocess.run([sys.executable, "-c", say], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(place / "snapshots" / "abc"), digest(str(small))]


@pytest.mark.parametrize("name", ["no/such", "/no/such/folder", "a file", "a:b?*"])
def test_an_encoder_that_is_not_here(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").write_text("")
    assert location(name) is None
    with pytest.raises(FileNotFoundError, match="give a folder, or set `download: true`"):
        digest(name)


def test_a_folder_without_an_encoder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        digest(str(tmp_path))
