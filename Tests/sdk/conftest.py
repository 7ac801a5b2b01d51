"""Starts the built `sorad` with the shipped model, for the tests that need the real engine.

SORAD_BUILD: folder of the built programs; SORAD_MODEL: the model file; SORAD_SDK2_PYTHON: a Python that has version 2 of the SDK;
SORAD_FLEET: see pool.py.
"""
import pytest

from daemon import BUILD, MODEL, Daemon  # noqa: F401
from pool import BOXES, Pool

# test_sdk.py is a script that wants a running daemon; test_service.py runs it.
collect_ignore = ["test_sdk.py"]


def on_this_machine(why):
    """A mark for what a pool of machines does otherwise, by nature."""
    return pytest.mark.skipif(BOXES > 0, reason=f"through a fleet: {why}")


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


@pytest.fixture(autouse=True)
def no_pool_is_left():
    """The pool of a daemon that the test has ended ends with it."""
    yield
    for pool in [pool for pool in Pool.running if pool.is_orphan]:
        pool.end()


@pytest.fixture(scope="session", autouse=True)
def no_pool_at_the_end():
    yield
    for pool in list(Pool.running):
        pool.end()
