"""Each notebook has a process of its own: no other start, and nothing set up outside, comes between."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import pytest
from jupyter_core.utils import run_sync

import shl_utils
from shl_utils import runner
from shl_utils.kernels import manager, reserve
from shl_utils.runs import environment_variables, stamps

IMPORTS = "import os, signal; from shl_utils.kernels import manager, reserve\n"
IMPORTS += "from shl_utils.runs import environment_variables\n"
START = "with manager.started(environment_variables.closed(os.environ)): "


@pytest.fixture(autouse=True)
def none_later(monkeypatch):
    monkeypatch.setattr(reserve, "LATER", ())


def ask(code, ready=None, variables=None):
    """What a fresh kernel prints to `code`."""
    said = []
    with manager.started(environment_variables.closed(os.environ | (variables or {})), ready) as kernel:
        client = kernel.client()
        client.start_channels()
        hear = lambda message: said.append(message["content"])  # noqa: E731
        reply = run_sync(client.execute_interactive)(code, output_hook=hear, timeout=600)
        client.stop_channels()
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(part.get("text", "") for part in said).strip()


@pytest.mark.long
def test_ten_starts_in_pairs_from_one_folder_beside_a_busy_loop(tmp_path):
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        command = [sys.executable, "-c", f"{IMPORTS}for _ in range(5):\n    {START}print('up', flush=True)"]
        pair = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert [process.communicate()[0].split() for process in pair] == [["up"] * 5] * 2
    finally:
        busy.kill()
        busy.wait()
    assert not list(tmp_path.iterdir()), "nothing is left where the user stands"


@pytest.mark.parametrize("way", sorted({*manager.WAYS, "tcp"}))
def test_its_sockets_are_in_a_closed_folder_that_goes_with_it(monkeypatch, short_place, way):
    monkeypatch.setattr(tempfile, "tempdir", str(short_place))
    monkeypatch.setattr(manager, "WAYS", (way, way))
    with manager.started(environment_variables.closed(os.environ)) as kernel:
        (folder,) = short_place.iterdir()
        assert folder.stat().st_mode & 0o077 == 0
        assert len(list(folder.glob("s-*"))) == (5 if way == "ipc" else 0)
        process = psutil.Process(kernel.provisioner.pid)
    assert not list(short_place.iterdir())
    assert not process.is_running()


@pytest.fixture
def short_place():
    """A folder whose name leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="k") as place:
        yield Path(place)


def test_what_a_killed_command_has_left_goes_with_the_next(short_place):
    here = {"env": os.environ | {"TMPDIR": str(short_place)}, "cwd": short_place}
    killed = f"{IMPORTS}{START}os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", killed], **here, check=False)
    (left,) = short_place.iterdir()
    run = short_place / "shl-kernel-mine"  # a run, wherever somebody keeps it
    run.mkdir()
    (run / "lock").touch()
    for old in (left / manager.IN_USE, run / "lock"):
        os.utime(old, (1, 1))
    command = [sys.executable, "-c", f"{IMPORTS}{START}print(os.listdir())"]
    listed = subprocess.run(command, **here, capture_output=True, text=True, check=True).stdout
    assert left.name not in listed
    assert "shl-" in listed
    assert list(short_place.iterdir()) == [run]


@pytest.mark.parametrize("longest", [manager.LONGEST, 1000])  # with the second it is tried, and then ports are
def test_a_place_that_is_too_long_for_a_socket_is_not_taken(monkeypatch, tmp_path, longest):
    place = tmp_path / ("long" * 20)
    place.mkdir()
    monkeypatch.setattr(manager, "LONGEST", longest)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    assert ask("print(1)") == "1"
    assert not list(place.iterdir())


def test_a_process_that_never_answers_is_ended_and_said(monkeypatch):
    monkeypatch.setattr(manager, "patience", lambda: 1)
    monkeypatch.setattr(manager._Manager.kernel_spec, "argv", [sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(RuntimeError, match="did not answer"), manager.started(dict(os.environ)):
        pytest.fail("it has not answered")
    waiting = [p for p in psutil.Process().children() if "time.sleep(600)" in " ".join(p.cmdline())]
    assert not waiting


def test_the_wait_grows_with_the_load(monkeypatch):
    idle = manager.patience()
    monkeypatch.setattr(psutil, "getloadavg", lambda: (60.0 * os.cpu_count(), 0, 0))
    assert manager.patience() > 10 * 60
    assert idle >= 60


def test_two_at_once_in_one_process(tmp_path):
    said = []
    threads = [threading.Thread(target=lambda: said.append(ask("print(1)"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["1", "1"]


def test_what_the_user_has_set_up_stays_outside(monkeypatch, tmp_path):
    for path, text in {
        "jupyter/kernels/python3/kernel.json": '{"argv": ["false"], "display_name": "other", "language": "python"}',
        "ipython/profile_default/startup/00.py": "DATA = 'startup'",
        "ipython/profile_default/ipython_config.py": "c.InteractiveShellApp.exec_lines = ['DATA = 1']",
        "start.py": "DATA = 'PYTHONSTARTUP'",
        "random.py": "raise SystemExit('the random.py of the working folder')",
        "torch.py": "raise SystemExit('the torch.py of the working folder')",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    outside = {
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
        "JUPYTER_DEFAULT_PROVISIONER_NAME": "nobody",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PYTHONSTARTUP": str(tmp_path / "start.py"),
        "PYTHONPATH": os.pathsep + "." + os.pathsep + os.environ.get("PYTHONPATH", ""),
        "PYTHONWARNINGS": "error",
        "PYTHONOPTIMIZE": "1",
        "MPLBACKEND": "agg",
    }
    for name, value in outside.items():
        monkeypatch.setenv(name, value)
    code = "import random, sys, os, shl_utils; print('DATA' in globals(), sys.executable, shl_utils.__file__, "
    code += "sys.flags.optimize, os.environ['MPLBACKEND'], sys.warnoptions)"
    expected = f"False {sys.executable} {shl_utils.__file__} 0 "
    assert ask(code) == expected + "module://matplotlib_inline.backend_inline []"


def test_bars_go_to_where_the_command_speaks_and_not_into_the_notebook(capfd):
    code = "import time; from shl_utils.runs import progress; progress.LINE_EVERY = 0.01\n"
    assert ask(code + "for _ in progress.over('abc', 'letters'): time.sleep(0.1)\nprint('done')") == "done"
    assert "letters: 67%, " in capfd.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("forks", sorted({reserve.FORKS, False}))
def test_one_that_waited_is_a_kernel_as_any_other(monkeypatch, forks):
    monkeypatch.setattr(reserve, "FORKS", forks)
    monkeypatch.setattr(reserve, "LIBRARIES", ("ipykernel.kernelapp", "torch"))
    variables = environment_variables.closed(os.environ)
    code = "import os, sys; ours = sorted(name for name in sys.modules if name.startswith('shl_'))\n"
    code += "print(os.getpid(), 'torch' in sys.modules, ours)"
    with reserve.Reserve(variables) as ready:
        assert ready.take([], {}) is None, "none before it is filled"
        plain = ask(code, ready).split(maxsplit=1)[1]
        ready.fill()
        waiting = ready._process
        pid, rest = ask(code, ready).split(maxsplit=1)
        assert rest == plain.replace("False", "True"), "it has the libraries, and the package's modules as any other"
        assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE
        assert (waiting.poll() is None) == forks, "it goes on if it was forked, and else ends with its notebook"
        assert (int(pid) == waiting.pid) == (not forks)
        assert ready.holds_one() == forks
        if forks:
            again, _ = ask(code, ready).split(maxsplit=1)
            assert len({pid, again, str(waiting.pid)}) == 3, "each is a process of its own"
            own = "import os, subprocess, torch; print(subprocess.call(['false']), os.getsid(0) == os.getpid(), "
            own += "os.read(0, 1), torch.cuda._is_in_bad_fork())"
            assert ask(own, ready) == "1 True b'' False", "it is told of its own children, and has no input"


@pytest.mark.skipif(not reserve.FORKS, reason="only Linux forks")
def test_what_later_kernels_need_comes_beside_the_first_and_ends_it_not_where_it_fails(monkeypatch):
    monkeypatch.setattr(reserve, "LIBRARIES", ("ipykernel.kernelapp",))
    monkeypatch.setattr(reserve, "LATER", ("no_such_library", "wave"))
    with reserve.Reserve(environment_variables.closed(os.environ)) as ready:
        ready.fill()
        waiting = ready._process
        assert ask("import sys, time; time.sleep(2); print('wave' in sys.modules)", ready) == "False"
        assert waiting.poll() is None
        assert ask("import sys; print('wave' in sys.modules)", ready) == "True"


@pytest.mark.parametrize("forks", sorted({reserve.FORKS, False}))
def test_a_kernel_that_is_killed_is_said_and_the_next_one_starts(monkeypatch, tmp_path, forks):
    monkeypatch.setattr(reserve, "FORKS", forks)
    monkeypatch.setattr(reserve, "LIBRARIES", ("ipykernel.kernelapp",))
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("import os; os.kill(os.getpid(), 9)")],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, tmp_path / "dies.ipynb")
    monkeypatch.setattr(stamps, "notebook", lambda _: tmp_path / "dies.ipynb")
    with reserve.Reserve(environment_variables.closed(os.environ)) as ready:
        said = runner._execute("00_imbalance", {}, tmp_path, ready, more=True)
        assert "it was ended from outside" in said
        assert ask("print(1)", ready) == "1"


@pytest.mark.skipif(not reserve.FORKS, reason="only Linux forks")
def test_what_is_gone_takes_signals():
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    forked = reserve.Forked(ended.pid)
    assert forked.poll() is None
    ended.communicate()
    assert forked.poll() == 0
    forked.kill()
    forked.terminate()
    forked.send_signal(9)
    forked.wait()


@pytest.mark.skipif(not reserve.FORKS, reason="only Linux forks")
def test_a_forked_kernel_ends_when_the_command_is_killed(short_place):
    code = f"{IMPORTS}reserve.LIBRARIES, reserve.LATER = ('ipykernel.kernelapp',), ()\n"
    code += "v = environment_variables.closed(os.environ)\n"
    code += "with reserve.Reserve(v) as r:\n    r.fill()\n    with manager.started(v, r) as m:\n"
    code += "        open('pid', 'w').write(str(m.provisioner.pid)); os.kill(os.getpid(), signal.SIGKILL)"
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=short_place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    pid, end = int((short_place / "pid").read_text()), time.monotonic() + 60
    while psutil.pid_exists(pid):
        assert time.monotonic() < end, "it has not seen that it is alone"
        time.sleep(0.1)


@pytest.mark.long
def test_what_waits_ends_with_the_command(monkeypatch):
    monkeypatch.setattr(reserve, "LIBRARIES", ())
    with reserve.Reserve(environment_variables.closed(os.environ)) as ready:
        ready.fill()
        waiting = ready._process
    assert waiting.returncode == -9
    code = f"{IMPORTS}reserve.LIBRARIES = reserve.LATER = ()\n"
    code += "ready = reserve.Reserve(dict(os.environ)); ready.fill()\n"
    code += "print(ready._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as killed:
        pid = int(killed.stdout.readline())
        killed.wait(timeout=60)
    with suppress(psutil.NoSuchProcess):
        left = psutil.Process(pid)
        psutil.wait_procs([left], timeout=60)
        assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE, "it ends when the command was killed"


@pytest.mark.parametrize("ends", ["before", "while it imports"])
def test_one_that_has_ended_is_replaced(monkeypatch, ends):
    monkeypatch.setattr(reserve, "LIBRARIES", ("no_such_library",))
    with reserve.Reserve(environment_variables.closed(os.environ)) as ready:
        ready.fill()
        waiting = ready._process
        if ends == "before":
            waiting.wait(timeout=60)
        assert ask("import os; print(os.getpid())", ready) != str(waiting.pid)
        assert waiting.poll() is not None


def test_nothing_of_the_package_is_imported_ahead():
    assert not [name for name in reserve.LIBRARIES + reserve.LATER if name.startswith("shl_")]
