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


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "vocab.txt", "model.safetensors"])
def test_another_content_of_a_file_that_is_loaded_is_told_at_once(small, name):
    """Of the same size, and with the time of the old one."""
    before, state = digest(str(small)), (small / name).stat()
    (small / name).write_text(f"what {name} sais")
    os.utime(small / name, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert digest(str(small)) != before


def test_a_file_more_of_the_tokenizer_counts(small):
    before = digest(str(small))
    (small / "added_tokens.json").write_text("{}")
    assert digest(str(small)) != before


@pytest.mark.parametrize(
    "name", ["README.md", ".gitattributes", "pytorch_model.bin", "modules.json", "onnx/model.onnx"]
)
def test_what_is_not_loaded_does_not_count(small, name):
    before = digest(str(small))
    (small / name).parent.mkdir(exist_ok=True)
    (small / name).write_text("more")
    assert digest(str(small)) == before


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
