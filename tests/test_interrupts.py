"""Ctrl-C while a command imports its libraries, in processes of their own."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from redsm5.interrupts import SENTENCE, Terminated, imports_end_at_once, sigterm_as_ctrl_c

CALLBACK = """
import weakref
class Dropped: pass
dropped = Dropped()
reference = weakref.ref(dropped, lambda _: signal.raise_signal(signal.SIGINT))
del dropped
"""
"""Python prints what is raised in such a callback, and goes on: so are the locks of imports cleaned up."""

BLOCK = """
try:
    signal.raise_signal(signal.SIGINT)
except BaseException:
    pass
"""


@pytest.fixture(autouse=True)
def interrupts_are_heard():
    """A shell starts background jobs with SIGINT ignored, and they hand that on to their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("interrupt", ["signal.raise_signal(signal.SIGINT)", CALLBACK, BLOCK])
def test_interrupt_during_an_import_ends_the_command_at_once(tmp_path, interrupt):
    (tmp_path / "interrupted.py").write_text(f"import signal\n{interrupt}\n")
    code = (
        "import sys, redsm5.cli, redsm5.commands.view as view\n"
        "view.run = lambda args: __import__('interrupted') and print('went on') or 0\n"
        "sys.exit(redsm5.cli.main(['view', 'x']))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", SENTENCE)


def test_interrupt_outside_imports_is_a_keyboard_interrupt(capsys):
    with pytest.raises(KeyboardInterrupt), imports_end_at_once():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_of_a_command_that_a_module_runs_as_it_is_imported_is_a_keyboard_interrupt(tmp_path):
    (tmp_path / "script.py").write_text(
        "import signal\nfrom redsm5.interrupts import imports_end_at_once\n"
        "def work():\n    with imports_end_at_once():\n        signal.raise_signal(signal.SIGINT)\nwork()\n"
    )
    spec = importlib.util.spec_from_file_location("script", tmp_path / "script.py")
    with pytest.raises(KeyboardInterrupt):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_handlers_of_others_and_other_threads_are_left_alone():
    def own(number, frame):
        pass

    before = signal.signal(signal.SIGINT, own)
    try:
        with imports_end_at_once():
            assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)
    found = []

    def elsewhere():
        with imports_end_at_once():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.2, 0.4, 0.7, 1.0, 1.4, 1.8, 2.3, 2.8, 3.5])
def test_interrupt_of_predict_at_any_moment_is_one_sentence_and_130(trained_run, tmp_path, delay):
    posts = tmp_path / "posts.jsonl"
    posts.write_text("".join(f'{{"post_id": "p{i}", "text": "I feel gloomy, {i} times."}}\n' for i in range(20_000)))
    out = tmp_path / "out.jsonl"
    command = [
        sys.executable,
        "-c",
        "import sys; from redsm5.cli import main; print('begun', flush=True); sys.exit(main())",
    ]
    process = subprocess.Popen(
        [*command, "predict", str(trained_run), "--posts", str(posts), "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "begun\n"
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.startswith("redsm5: interrupted")
    assert err.count("\n") == 1
    assert not out.exists()


def _under_sigterm():
    with sigterm_as_ctrl_c():
        signal.raise_signal(signal.SIGTERM)


def test_sigterm_is_as_ctrl_c_in_the_block_and_as_ever_behind_it():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(Terminated):
            _under_sigterm()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_goes_to_whoever_handles_it_already():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(True))
    try:
        _under_sigterm()
        assert heard == [True]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_during_an_import_ends_the_command_at_once(tmp_path):
    (tmp_path / "ended.py").write_text("import signal\nsignal.raise_signal(signal.SIGTERM)\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from redsm5.interrupts import sigterm_as_ctrl_c\n"
        "def command():\n    with sigterm_as_ctrl_c():\n        import ended\n"
        "command()\n"
    )
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, timeout=60)
    assert (process.returncode, process.stderr) == (143, SENTENCE)
