"""Holds the daemon to docs/openapi.yaml with schemathesis: examples, boundaries and random requests, valid and invalid ones, each answer
checked against what the file says. The daemon is the real one; its worker is the scripted one of Tests/fakes, so that the thousands of
jobs which come of it take moments.

SORAD_CONTRACT_SECONDS: how long (default 40).
"""
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

from bridge import Bridge
from conftest import BUILD, Daemon, on_this_machine

HERE = pathlib.Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "openapi.yaml"
SECONDS = int(os.environ.get("SORAD_CONTRACT_SECONDS", "40"))
IS_LONG = SECONDS > 100
MODEL = {
    "id": "mini", "sha256": "0" * 64, "created": 1, "license": "Apache-2.0", "defaultWidth": 128, "defaultHeight": 128,
    "defaultNumFrames": 17, "fps": 16, "sizeMultiple": 16, "frameMultiple": 4, "maxWidth": 256, "maxHeight": 256, "maxNumFrames": 81,
    "maxPixels": 256 * 256 * 81, "defaultNumInferenceSteps": 20, "defaultGuidanceScale": 4, "defaultFlowShift": 3,
    "takesConditioningFrames": True,
}


@pytest.fixture
def scripted_daemon(tmp_path):
    """A daemon whose jobs take moments."""
    (tmp_path / "mini.gguf").write_text(json.dumps(MODEL))
    daemon = Daemon(tmp_path, model=tmp_path / "mini.gguf")
    daemon.command += ["--worker", HERE.parent / "fakes" / "test-worker.py", "--queue-limit", "10000"]
    daemon.start()
    yield daemon
    if daemon.process.poll() is None:
        daemon.process.kill()
        daemon.process.wait()


@on_this_machine("its worker is a script that only the daemon can start")
def test_schemathesis_finds_nothing(scripted_daemon, tmp_path):
    bridge = Bridge(scripted_daemon.socket)
    phases = "examples,coverage,fuzzing" + (",stateful" if IS_LONG else "")
    command = [
        pathlib.Path(sys.executable).parent / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run", DOCUMENT, "--url", bridge.url,
        "--phases", phases, "--max-time", str(SECONDS), "--max-examples", "1000" if IS_LONG else "25", "--request-timeout", "20",
        "--continue-on-failure", "--output-truncate", "true",
    ]
    if not IS_LONG:
        command += ["--seed", "1"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=not IS_LONG, text=True, timeout=SECONDS * 3 + 120)
    bridge.close()
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}\n{scripted_daemon.log.read_text()[-2000:]}"
    # It is still there, and did what it should.
    assert json.loads(scripted_daemon.curl("/healthz").stdout)["status"] == "ok"
    scripted_daemon.stop()


def test_the_document_names_every_route():
    """What the daemon's sources register is what the document has, no more and no less."""
    registered = set()
    for source in (HERE.parent.parent / "Sources" / "sorad").glob("*.swift"):
        text = source.read_text()
        registered |= set(re.findall(r'routes\.on\(\.(\w+), "([^"]+)"', text))
        registered |= {("post", path) for path in re.findall(r'onCreate\("([^"]+)"', text)}
    document = yaml.safe_load(DOCUMENT.read_text())
    described = {(method, path) for path, operations in document["paths"].items() for method in operations}
    # That one is on the sockets of administrators and monitors alone.
    assert registered - {("get", "/metrics")} == described


def test_every_operation_describes_every_refusal_of_the_codec():
    document = yaml.safe_load(DOCUMENT.read_text())
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            missing = {"400", "404", "405", "408", "413", "414", "415", "417", "431", "500", "501", "503", "505"} - set(operation["responses"])
            assert not missing, f"{method} {path}: {missing}"
            assert ("411" in operation["responses"]) == ("requestBody" in operation), f"{method} {path}"
