"""Notebooks as pages and as slides: whole, and without anything from elsewhere."""

import base64
import json
import re
import shutil

import numpy as np
import pytest
from conftest import PRIMER

from shl_utils import runner
from shl_utils.data import corpus
from shl_utils.evaluation import predictions
from shl_utils.parameters import STAGES
from shl_utils.reporting import html_page, site, tail_page
from shl_utils.runs import stages
from shl_utils.training import variants

ELSEWHERE = re.compile(
    r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'\s>]+\.(?:js|css|woff2?|png)|@import|import\(["']https?:"""
)


def test_pages_hold_all_and_fetch_nothing(smoke, command, tmp_path):
    done = command("site", smoke[0], tmp_path / "site")
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    for stage in site.NAMES:
        text = (tmp_path / "site" / f"{stage}.html").read_text(encoding="utf-8")
        assert f'href="{stage}.html"' in index
        assert 'href="tail.html"' in index
        assert not ELSEWHERE.search(text), ELSEWHERE.search(text)
        assert not re.search(r'<img(?![^>]*alt="[^"]{20})', text), "a picture without words"
        assert html_page.sorting() in text
        assert "(prefers-color-scheme: dark)" in text
        assert "<summary>code</summary>" in text
        assert text.count('<a href="index.html">Contents</a>') == 2
        assert "<title>Notebook" not in text
    assert not ELSEWHERE.search(index), ELSEWHERE.search(index)
    for words in ("The long tail", "Changed parameters", "max_tokens", "Provenance", "fingerprint of codes"):
        assert words in index
    train = (tmp_path / "site" / "03_train.html").read_text(encoding="utf-8")
    assert "<math" in train
    assert train.count('href="02_segment.html"') >= 2, "before"
    assert 'href="primer.html"' in train
    assert re.search(r'<strong>Next.</strong> <a href="04_evaluate.html"', train)
    assert "$" not in re.sub(r"<script.*?</script>|<style.*?</style>|<pre.*?</pre>", "", train, flags=re.DOTALL)
    with pytest.raises(ValueError, match="is there already"):
        site.site(smoke[0], tmp_path / "site", primer=runner.execute_primer)


def test_the_tail_page_has_the_runs_labels_and_probabilities(smoke, tmp_path):
    parameters, _ = stages.finished(smoke[0], STAGES[-1])
    tail_page.write(smoke[0], parameters, tmp_path / "tail.html")
    text = (tmp_path / "tail.html").read_text(encoding="utf-8")
    assert not ELSEWHERE.search(text)
    data = json.loads(re.search(r"<script id=data type=application/json>(.*?)</script>", text).group(1))
    notes = corpus.read(smoke[0])
    rows = notes.rows("validation")
    shape = len(rows), len(data["counts"])
    segments = variants.read_segments(smoke[0], variants.main(parameters))
    assert data["counts"] == sorted(segments["train_count"]), "as 02_segment counts them"
    labels = np.frombuffer(base64.b64decode(data["labels"]), dtype=np.uint8).reshape(shape)
    assert labels.sum() == notes.labels[rows][:, variants.segment_of_code(segments, notes) >= 0].sum()
    found = predictions.read_variant(smoke[0], variants.main(parameters), notes).select(rows)
    packed = np.frombuffer(base64.b64decode(next(iter(data["models"].values()))), dtype="<u2").reshape(shape)
    for i, name in enumerate(data["names"]):
        code = notes.codes.index[notes.codes["description"] == name]
        assert abs(found[:, code].T - packed[:, i] / 65_535).max(axis=1).min() < 1e-5, "one of those so called"


def test_slides_hold_pictures_without_code_and_fetch_nothing(smoke, command, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "execute_primer", PRIMER)
    done = command("slides", smoke[0], tmp_path / "slides")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "slides" / "reveal" / "dist" / "reveal.js").is_file()
    for stage in site.NAMES:
        text = (tmp_path / "slides" / f"{stage}.html").read_text(encoding="utf-8")
        assert not ELSEWHERE.search(text), ELSEWHERE.search(text)
        assert 'Reveal.initialize({navigationMode: "linear"' in text, "one key shows every slide"
        assert "Notes: generated text" in text, "their source and licence"
        assert "require(" not in text
        assert html_page.sorting() not in text, "an empty slide"
        (theme,) = re.findall(r'href="(reveal/dist/theme/[a-z]+\.css)"', text)
        assert "http" not in re.sub(r"/\*.*?\*/", "", (tmp_path / "slides" / theme).read_text(), flags=re.DOTALL)
        assert "put yours in place of None" not in text
        assert "Run a cell with Shift+Enter" not in text
        assert "| Reads |" not in text
    first = (tmp_path / "slides" / "00_imbalance.html").read_text(encoding="utf-8")
    assert first.count("data:image/png") >= 6
    assert "stages.open_run" not in first
    assert '<a href="01_filter.html">' in first
    assert 'href="00_imbalance.html"' in (tmp_path / "slides" / "index.html").read_text(encoding="utf-8")


def test_text_of_a_private_note_or_an_unfinished_run_is_not_shown(smoke, tmp_path):
    folder = tmp_path / "private"
    shutil.copytree(smoke[0], folder)
    stamp = folder / "stages" / "00_imbalance.json"
    stamp.write_text(stamp.read_text().replace('"private": false', '"private": true'))
    for write in (site.site, site.slides):  # 08_one_note was made while the source was open
        with pytest.raises(ValueError, match=r"would show text of \d+ notes"):
            write(folder, tmp_path / "shown", primer=PRIMER)
        assert not list(tmp_path.glob("shown*"))
    (folder / "stages" / "08_one_note.json").unlink()
    with pytest.raises(ValueError, match="08_one_note is not run"):
        site.slides(folder, tmp_path / "slides", primer=PRIMER)
