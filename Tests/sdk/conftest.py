"""Starts the built `sorad` with the shipped model, for the tests that need the real engine.

SORAD_BUILD: folder of the built programs; SORAD_MODEL: the model file; SORAD_SDK2_PYTHON: a Python that has version 2 of the SDK.
"""
import os
import pathlib
import signal
import subprocess
import time

import pytest

BUILD = pathlib.Path(os.environ["SORAD_BUILD"])
MODEL = pathlib.Path(os.environ["SORAD_MODEL"])
# test_sdk.py is a script that wants a running daemon; test_service.py runs it.
collect_ignore = ["test_sdk.py"]


class Daemon:
    """One running `sorad`. `prefix` goes in front of the command (taskset), `environment` is added to the daemon's."""

    def __init__(self, folder, model=MODEL, prefix=(), environment=None):
        self.folder = folder
        self.socket = str(folder / "s")
        self.log = folder / "log"
        self.command = [*prefix, BUILD / "sorad", "--socket", self.socket, "--model", model]
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("SORAD_")}
        self.environment |= {"SORAD_STATE_DIR": str(folder / "state")} | (environment or {})
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stderr=log, env=self.environment)
        deadline = time.monotonic() + 20
        while self.curl("/healthz").returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.log.read_text()

    def curl(self, path, *options, body=None):
        """`body` goes to standard input, for `-d @-`."""
        command = ["curl", "-sS", "--unix-socket", self.socket, *options, "http://localhost" + path]
        return subprocess.run(command, input=body, capture_output=True, text=True, timeout=120)

    def ctl(self, *arguments):
        return subprocess.run(
            [BUILD / "sorad-ctl", arguments[0], "--socket", self.socket, *arguments[1:]], capture_output=True, text=True, env=self.environment, timeout=300)


@pytest.fixture
def make_daemon(tmp_path):
    """A function that starts a daemon in a folder of its own; all are ended after the test."""
    running = []

    def make(name="daemon", **options):
        (tmp_path / name).mkdir()
        running.append(Daemon(tmp_path / name, **options).start())
        return running[-1]

    yield make
    for daemon in running:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
