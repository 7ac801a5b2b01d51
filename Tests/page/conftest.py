"""A real Chromium (Debian's package) that looks at the page of a real daemon with the shipped model.

SORAD_BUILD: folder of the built programs; SORAD_MODEL: the model file; SORAD_SHOTS: folder for screenshots, if they are wanted.
"""
import os
import pathlib
import sys

import pytest
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "sdk"))
from daemon import Daemon  # noqa: E402

CHROMIUM = os.environ.get("SORAD_CHROMIUM", "/usr/bin/chromium")


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def daemon(tmp_path):
    made = Daemon(tmp_path, options=("--listen", "127.0.0.1:0")).start()
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def open_page(chromium, daemon):
    """A function that opens the page, with the key of a user if one is named, as `sorad-ctl open` would. No page may have an error."""
    contexts, errors = [], []
    # The browser itself notes an answer of 400; a test that wants one says so.
    expected = "the server responded with a status of 400"

    def make(user=None, path="/", **options):
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        key = f"#key={daemon.key(f'{user}-{len(contexts)}', user)}" if user else ""
        page.goto(daemon.url + path + key)
        return page

    make.expects_refusal = False
    yield make
    for context in contexts:
        context.close()
    assert [error for error in errors if not (make.expects_refusal and expected in error)] == []


def shot(page, name, **options):
    if folder := os.environ.get("SORAD_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", **options)
