"""`sorad-quantize` as a process: a Ctrl-C while it writes leaves nothing in the folder of the model file."""

import os
import pathlib
import signal
import subprocess
import time

from conftest import BUILD

TINY = pathlib.Path(__file__).parent.parent / "Fixtures" / "models" / "tiny"


def open_in(folder, pid):
    """The files of `folder` that the process has open, with their names or without."""
    found = []
    for descriptor in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except OSError:
            continue
        if target.startswith(f"{folder}/") and "/fixture" not in target:
            found.append(target)
    return found


def test_an_interrupt_while_it_writes_leaves_no_file(tmp_path):
    caught = 0
    for attempt in range(200):
        folder = tmp_path / f"models-{attempt}"
        folder.mkdir()
        process = subprocess.Popen(
            [BUILD / "sorad-quantize", TINY, "-o", folder / "m.gguf"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # Stopped in the middle, so that the signal comes while the file is open and not whole.
        while process.poll() is None:
            os.kill(process.pid, signal.SIGSTOP)
            try:
                writing = open_in(folder, process.pid)
            except FileNotFoundError:
                writing = []
            if writing and not (folder / "m.gguf").exists():
                os.kill(process.pid, signal.SIGINT)
                os.kill(process.pid, signal.SIGCONT)
                caught += 1
                break
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(0.0005)
        status = process.wait(timeout=30)
        process.stderr.close()
        if status == 0:
            assert [path.name for path in folder.iterdir()] == ["m.gguf"]
        else:
            assert status == -signal.SIGINT
            assert list(folder.iterdir()) == [], f"interrupted, and left {list(folder.iterdir())}"
        if caught >= 5:
            return
    assert caught >= 1, "no attempt met the program while it wrote"
