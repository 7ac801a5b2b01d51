"""Starts the built `sorad` with the shipped model, for the tests that need the real engine.

SORAD_BUILD: folder of the built programs; SORAD_MODEL: the model file; SORAD_SDK2_PYTHON: a Python that has version 2 of the SDK.
"""
import pytest

from daemon import BUILD, MODEL, Daemon  # noqa: F401

# test_sdk.py is a script that wants a running daemon; test_service.py runs it.
collect_ignore = ["test_sdk.py"]


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
