"""Names of runs and folders: what is meant is what is made, and nothing that is not a run's is touched."""

import sys
from pathlib import Path

import pytest
from conftest import PROJECT, shl

from shl_utils.runs import downloads, locations, stages


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("SHL_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()


@pytest.mark.parametrize("name", ["..", ".", "", "a/../..", "../x", "a//b", "a/./b", "a/.."])
def test_a_name_that_leaves_the_folder_of_runs_is_refused(name):
    with pytest.raises(ValueError, match="leaves the folder of runs: use a name such as demo"):
        locations.folder_of(name)


@pytest.mark.parametrize("name", ["nul", "COM1.x", "a:b", "a?", "a.", "a ", " a", "a\\b", 'a"b', "a\nb", "x/aux/y"])
def test_a_name_that_windows_has_not_is_refused_there(name, monkeypatch):
    if "\n" not in name:
        assert locations.folder_of(name) == locations.root() / name
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ValueError, match="no folder here can be called"):
        locations.folder_of(name)


@pytest.mark.parametrize(
    "name", ["demo", "a/b", "mein Lauf ü", "発熱", "😀", "x_{1}$^2$", r"$\alpha$", "console", "v1.2", "demo/"]
)
def test_other_names_are_folders_below_it(tmp_path, name):
    assert locations.folder_of(name) == tmp_path / "runs" / name


@pytest.mark.parametrize("place", ["~", "~/", "~/..", "/", "/..", "{runs}", "{runs}/..", "{project}", "{project}/.."])
def test_a_folder_of_more_than_one_run_is_refused(tmp_path, place):
    with pytest.raises(ValueError, match="name a new folder in it"):
        locations.folder_of(place.format(runs=tmp_path / "runs", project=PROJECT))


def test_a_folder_of_other_things_is_left_as_it_is(tmp_path):
    other = tmp_path / "thesis"
    other.mkdir(mode=0o755)
    (other / "chapter.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"something else than a run, such as chapter.tex: give `run` another folder"):
        stages.begin("00_imbalance", {"run": str(other), "source": "table", "table": "x.csv"})
    assert [path.name for path in other.iterdir()] == ["chapter.tex"]
    assert other.stat().st_mode & 0o777 == 0o755
    with pytest.raises(ValueError, match="something else"), locations.exclusive_run(other):
        pytest.fail("it is not ours")


def test_a_run_that_was_only_begun_is_one(tmp_path):
    for _ in range(2):
        run = stages.begin("00_imbalance", {"run": str(tmp_path / "new")})
        run.path("half").write_text("")


@pytest.mark.long
def test_a_tilde_is_the_users_folder_everywhere(tmp_path, monkeypatch):
    home = tmp_path / "home"
    assert locations.folder_of("~/x") == home / "x"
    monkeypatch.setenv("SHL_RUNS", "~/runs")
    monkeypatch.setenv("SHL_CACHE", "~/cache")
    assert locations.root() == home / "runs"
    assert downloads.cache() == home / "cache"
    (home / "p.yaml").write_text("run: p\nsource: codiesp\nfolder: nowhere", encoding="utf-8")
    done = shl("run", "~/p.yaml", "--until", "00_imbalance", "--json", "~/told.json")
    assert done.returncode == 1, done.stderr
    assert {path.name for path in home.glob("[!.]*")} == {"p.yaml", "runs", "told.json"}
    assert not Path("~").exists()


def test_the_home_of_nobody_is_said(monkeypatch):
    with pytest.raises(ValueError, match="no home folder of that user"):
        locations.folder_of("~nobody_of_that_name/x")
    monkeypatch.setenv("SHL_RUNS", "~nobody_of_that_name")
    done = shl("status")
    assert done.returncode == 2
    assert "no home folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert "no home folder" in shl("run", "~nobody_of_that_name/p.yaml").stderr


def test_a_file_that_names_no_run_is_said_before_anything_runs(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("run: ..", encoding="utf-8")
    done = shl("run", path)
    assert done.returncode == 2
    assert f"{path}: `run` is '..'" in done.stderr
    assert not (tmp_path / "runs").exists()
