"""The notebooks in JupyterLab, in a browser: every one runs without an error and fits the page, a moved slider changes
its figure, and a click sorts a table.

make test-browser    needs Debian's chromium and chromium-driver, or others on the path; pictures land in runs/browser/
"""

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import numpy as np
import pytest
import yaml
from conftest import PROJECT, SLIDERS
from nbclient import NotebookClient
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from shl_utils.evaluation import label_metrics
from shl_utils.method.segmentation import segment
from shl_utils.notebook.lab import SETTINGS
from shl_utils.parameters import STAGES
from shl_utils.reporting import notebook_html, tail_page

SMOKE = yaml.safe_load((PROJECT / "params" / "smoke.yaml").read_text(encoding="utf-8"))
PICTURES = PROJECT / "runs" / "browser"
DARK = ("01_filter", "05_ablate")
PATIENCE = 240  # seconds for one notebook

CELLS = """
const content = jupyterapp.shell.currentWidget.content;
return JSON.stringify([...content.widgets].filter(cell => cell.model.type === 'code').map(cell => ({
    count: cell.model.executionCount,
    error: [...Array(cell.model.outputs.length).keys()].map(i => cell.model.outputs.get(i))
        .filter(output => output.type === 'error').map(output => JSON.stringify(output.toJSON()).slice(0, 500)).join(),
})));
"""
STATUS = """
const panel = window.jupyterapp && jupyterapp.shell.currentWidget;
return panel && panel.sessionContext && panel.sessionContext.session ? panel.sessionContext.session.kernel.status : '';
"""
WIDER = """
return [...document.querySelectorAll('.jp-Notebook, .jp-WindowedPanel-outer, .jp-OutputArea-output img')]
    .filter(part => part.scrollWidth > part.clientWidth + 1).map(part => part.className);
"""


SLIDE = """
const slider = document.getElementById(arguments[0]);
slider.value = arguments[1];
slider.dispatchEvent(new Event('input'));
"""

# by how many pixels the present slide is too small, across and down, and how many of its parts scroll; their zoom
OVER = """
const slide = Reveal.getCurrentSlide();
const scrolls = part => part.scrollHeight > part.clientHeight + 1 && getComputedStyle(part).overflowY === 'auto';
const parts = [...slide.querySelectorAll('*')].filter(scrolls).length;
return [slide.scrollWidth - slide.clientWidth, slide.scrollHeight - slide.clientHeight, parts];
"""
ZOOMS = "return [...Reveal.getCurrentSlide().querySelectorAll('table')].map(table => Number(table.style.zoom))"

SLIDERS_OF_A_PAGE = """
from shl_utils.notebook import style, widgets

style.setup_notebook()
widgets.show(
    lambda ax, n, kind: ax.set_title(f"{n} {kind}"), interactive=False, n=(1, 0, 4), kind=["a", "b"]
)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on copies of the notebooks, whose parameters are those of params/smoke.yaml."""
    place = tmp_path_factory.mktemp("lab")
    for stage in STAGES:
        notebook = nbformat.read(PROJECT / "notebooks" / f"{stage}.ipynb", as_version=4)
        at = next(i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
        values = "\n".join(f"{name} = {value!r}" for name, value in SMOKE.items())
        notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(values))
        nbformat.write(notebook, place / f"{stage}.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--allow-root"]
    command += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={place}"]
    command += [SETTINGS, "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    env = os.environ | {"SHL_RUNS": str(place / "runs"), "JUPYTERLAB_SETTINGS_DIR": str(place / "settings")}
    with (place / "log").open("w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"
        try:
            _wait(lambda: _answers(f"{address}/api"), 60, "JupyterLab")
            yield address
        finally:
            server.terminate()
            server.wait()


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,2400"):
        options.add_argument(word)
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield driver
    driver.quit()


@pytest.mark.parametrize("stage", STAGES)
def test_a_notebook_runs_and_its_sliders_move(lab, browser, stage):
    browser.get(f"{lab}/lab/tree/{stage}.ipynb?reset")
    _wait(lambda: _idle(browser), 90, f"the kernel of {stage}")
    theme = "Dark" if stage in DARK else "Light"
    browser.execute_script(f"jupyterapp.commands.execute('apputils:change-theme', {{theme: 'JupyterLab {theme}'}})")
    browser.execute_script("jupyterapp.commands.execute('notebook:run-all-cells')")
    _wait(lambda: _ended(_cells(browser)) and _idle(browser), PATIENCE, f"{stage} to end")
    assert not [cell["error"] for cell in _cells(browser) if cell["error"]]
    PICTURES.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(PICTURES / f"{stage}.png"))
    assert browser.execute_script(WIDER) == [], "wider than the page"
    if stage == "01_filter":
        _sort_a_table(browser, stage)
    if stage in SLIDERS:
        _move_a_slider(browser, stage)
    if stage == "01_filter":
        _open_again(lab, browser, stage)
    browser.execute_script("jupyterapp.commands.execute('kernelmenu:shutdown')")


def _open_again(lab, browser, stage):
    """A notebook that was saved shows its sliders, and looks for no bar that is gone."""
    browser.execute_script("jupyterapp.commands.execute('docmanager:save')")
    _wait(lambda: not browser.execute_script("return jupyterapp.shell.currentWidget.context.model.dirty"), 20, "a save")
    browser.get(f"{lab}/lab/tree/{stage}.ipynb?reset")
    _wait(lambda: browser.find_elements(By.CSS_SELECTOR, ".widget-slider"), 60, "the sliders of a saved notebook")
    time.sleep(2)
    assert "model not found" not in browser.find_element(By.TAG_NAME, "body").text


def test_the_tail_page_counts_as_the_package_does(browser, tmp_path):
    rng = np.random.default_rng(0)
    counts = np.array([700, 3, 1, 8, 2, 1, 30, 10, 0])
    labels = (rng.random((40, len(counts))) < 0.3).astype(int)
    scores = np.clip(rng.random(labels.shape) * 0.6 + 0.4 * labels, 0, 1)
    page = tmp_path / "tail.html"
    names = [f"c{i} </script>" for i in range(len(counts))]
    page.write_text(tail_page.page(names, counts, labels, {"a": scores}, eta=0.5))
    browser.get(page.as_uri())
    kept = counts > 0
    for eta, threshold in ((0.5, 0.5), (2.0, 0.3), (0.05, 0.9)):
        for name, value in (("eta", eta), ("threshold", threshold)):
            browser.execute_script(SLIDE, name, str(value))
        micro, macro = (float(browser.find_element(By.ID, name).text) for name in ("micro", "macro"))
        found = label_metrics.scores(labels[:, kept], (scores[:, kept] >= threshold).astype(int))
        assert micro == pytest.approx(100 * found["micro_f1"], abs=0.051)
        assert macro == pytest.approx(100 * found["macro_f1_present"], abs=0.051)
        rows = browser.find_elements(By.CSS_SELECTOR, "#segments tr")
        assert len(rows) == segment(counts[kept], eta=eta).max() + 1
    named = [browser.find_element(By.ID, name).accessible_name for name in ("eta", "threshold", "model")]
    assert [name.split()[0] for name in named] == ["eta", "threshold", "model"], "for a screen reader"
    for width in (400, 1366):
        browser.set_window_size(width, 900)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    browser.set_window_size(1400, 2400)


def test_tables_of_slides_fit_and_every_slide_is_reached_by_one_key(browser, tmp_path):
    code = "import pandas as pd\npd.DataFrame(1.25, index=range({}), columns=[f'column {{i}}' for i in range({})])"
    tables = [nbformat.v4.new_code_cell(code.format(*shape)) for shape in ((4, 14), (24, 4))]
    notebook = nbformat.v4.new_notebook(
        cells=[*map(nbformat.v4.new_markdown_cell, ("# A deck", "## The result")), *tables]
    )
    NotebookClient(notebook).execute()
    notebook_html.copy_reveal(tmp_path)
    notebook_html.write_deck(notebook, tmp_path / "deck.html")
    browser.get((tmp_path / "deck.html").as_uri())
    _wait(lambda: browser.execute_script("return window.Reveal && Reveal.isReady()"), 20, "the slides")
    slides = browser.execute_script("return Reveal.getTotalSlides()")
    shrunk = []
    for _ in range(slides):
        time.sleep(0.5)
        assert browser.execute_script(OVER) == [0, 0, 0], "more than the slide holds"
        shrunk += browser.execute_script(ZOOMS)
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
    assert browser.execute_script("return Reveal.isLastSlide()")
    assert len(shrunk) == 2
    assert all(0.5 <= zoom < 1 for zoom in shrunk), shrunk


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# A page"), nbformat.v4.new_code_cell(SLIDERS_OF_A_PAGE)]
    )
    NotebookClient(notebook).execute()
    path = tmp_path_factory.mktemp("page") / "page.html"
    notebook_html.write_page(notebook, path)
    return path


@pytest.mark.parametrize(("width", "scheme"), list(itertools.product((400, 1366), ("light", "dark"))))
def test_a_slider_of_a_page_shows_frames(browser, page, width, scheme):
    browser.set_window_size(width, 900)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        browser.get(page.as_uri())
        n, kind = browser.find_elements(By.CSS_SELECTOR, ".frames input")
        image = browser.find_element(By.CSS_SELECTOR, ".frames img")
        assert image.get_attribute("alt") == "1 a."
        n.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        kind.send_keys(Keys.ARROW_RIGHT)
        assert image.get_attribute("alt") == "3 b."
        assert [part.get_attribute("aria-valuetext") for part in (n, kind)] == ["3", "b"]
        assert browser.execute_script("return arguments[0].naturalWidth", image) > 0, "it is a picture"
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        PICTURES.mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(PICTURES / f"page-{width}-{scheme}.png"))
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.set_window_size(1400, 2400)


def _move_a_slider(browser, stage: str) -> None:
    handles = browser.find_elements(By.CSS_SELECTOR, ".widget-slider .noUi-handle")
    assert handles, f"{stage} shows no slider"
    image = browser.find_element(By.CSS_SELECTOR, "img.widget-image")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", handles[0])
    before = image.get_attribute("src")
    for _ in range(10):
        handles[0].send_keys(Keys.ARROW_RIGHT)
    _wait(lambda: image.get_attribute("src") != before, 10, f"the figure of {stage} to follow its slider")
    browser.save_screenshot(str(PICTURES / f"{stage}-moved.png"))


def _sort_a_table(browser, stage: str) -> None:
    table = next(t for t in browser.find_elements(By.CSS_SELECTOR, "table.dataframe") if "codes lost" in t.text)
    head = next(h for h in table.find_elements(By.CSS_SELECTOR, "thead button") if h.text == "cosine")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", head)
    before = _column(table)
    head.click()
    assert _column(table) == sorted(before, reverse=True)
    browser.save_screenshot(str(PICTURES / f"{stage}-sorted.png"))
    for order in (sorted(before), before):
        head.send_keys(Keys.SPACE)
        assert _column(table) == order


def _column(table) -> list[float]:
    return [float(cell.text) for cell in table.find_elements(By.CSS_SELECTOR, "tbody td:nth-child(2)")]


def _ended(cells: list[dict]) -> bool:
    """All have run, or one has failed, after which none runs."""
    return all(cell["count"] for cell in cells) or any(cell["error"] for cell in cells)


def _cells(browser) -> list[dict]:
    return json.loads(browser.execute_script(CELLS))


def _idle(browser) -> bool:
    return browser.execute_script(STATUS) == "idle"


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def _wait(condition, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.3)
