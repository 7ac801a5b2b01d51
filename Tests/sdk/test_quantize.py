"""`sorad-quantize` as a process: a Ctrl-C while it writes leaves nothing in the folder of the model file."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

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


NO_TMPFILE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

// A file system without files without names.
int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    const unsigned mode = va_arg(rest, unsigned);
    va_end(rest);
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    return next(path, flags, mode);
}
"""


@pytest.fixture(params=["files without names", "named files"])
def environment(request, tmp_path):
    """Of the program: on a file system that has files without names, and on one that has none."""
    if request.param == "files without names":
        return os.environ
    compiler = shutil.which("clang") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "open.c").write_text(NO_TMPFILE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / "open.so", tmp_path / "open.c", "-ldl"], check=True)
    return {**os.environ, "LD_PRELOAD": str(tmp_path / "open.so")}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_while_it_writes_leaves_no_file(tmp_path, environment, number):
    caught = 0
    for attempt in range(200):
        folder = tmp_path / f"models-{attempt}"
        folder.mkdir()
        process = subprocess.Popen(
            [BUILD / "sorad-quantize", TINY, "-o", folder / "m.gguf"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment)
        # Stopped in the middle, so that the signal comes while the file is open and not whole.
        while process.poll() is None:
            os.kill(process.pid, signal.SIGSTOP)
            try:
                writing = open_in(folder, process.pid)
            except FileNotFoundError:
                writing = []
            if writing and not (folder / "m.gguf").exists():
                os.kill(process.pid, number)
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
            assert status == -number
            assert list(folder.iterdir()) == [], f"interrupted, and left {list(folder.iterdir())}"
        if caught >= 3:
            return
    assert caught >= 1, "no attempt met the program while it wrote"


def test_remains_of_a_killed_conversion_go_with_the_next(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / ".m.gguf.4711.partial").write_bytes(b"x" * 100)
    subprocess.run([BUILD / "sorad-quantize", TINY, "-o", folder / "m.gguf"], check=True, stdout=subprocess.DEVNULL)
    assert [path.name for path in folder.iterdir()] == ["m.gguf"]


def test_a_killed_conversion_continues(tmp_path):
    command = [BUILD / "sorad-quantize", TINY, "--created", "1", "-o"]
    subprocess.run([*command, tmp_path / "whole.gguf"], check=True, stdout=subprocess.DEVNULL)
    for attempt in range(100):
        target = tmp_path / "m.gguf"
        process = subprocess.Popen([*command, target, "--resume"], stdout=subprocess.DEVNULL)
        partial, log = tmp_path / "m.gguf.partial", tmp_path / "m.gguf.partial.log"
        while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 5):
            time.sleep(0.0005)
        process.kill()
        process.wait()
        if partial.exists():
            break
        target.unlink()
    assert partial.exists(), "no attempt met the program while it wrote"
    subprocess.run([*command, target, "--resume"], check=True, stdout=subprocess.DEVNULL)
    assert target.read_bytes() == (tmp_path / "whole.gguf").read_bytes()
    assert not partial.exists() and not log.exists()
