"""What computes clips, and why, as an operator reads it: /healthz, `sorad-ctl status`, `sorad-ctl doctor` and the log say the same, with
lavapipe, without a driver and without a loader; and the frames are the same.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import on_this_machine
from daemon import BUILD
from test_limits import QUICK, create, ctl, finished

MODELS = pathlib.Path(__file__).parents[1] / "Fixtures/models"
# lavapipe alone, also where there is a card.
LAVAPIPE = next((str(file) for file in pathlib.Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json")), None)
NO_DRIVER = "/nowhere.json"
needs_lavapipe = pytest.mark.skipif(LAVAPIPE is None, reason="lavapipe is not installed")


def drivers(files):
    """Variables that let the loader see these drivers alone."""
    return {"VK_DRIVER_FILES": files, "VK_ICD_FILENAMES": files}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The smallest model: a device that is a processor computes its steps in seconds."""
    file = tmp_path_factory.mktemp("model") / "tiny.gguf"
    subprocess.run([BUILD / "sorad-quantize", MODELS / "tiny", "-o", file], capture_output=True, check=True)
    return file


@pytest.fixture(scope="module")
def frames():
    """The hashes of the clips of this module."""
    return set()


def cases():
    yield "cpu", "cpu", {}, r"clips are made on the CPU: the setting says so"
    yield pytest.param("a device", "vulkan:0", drivers(LAVAPIPE),
                       r"clips are made on vulkan:0 llvmpipe .* fma: the setting says so "
                       r"\(a step of \d+×\d+, \d+ frames: [\d.]+ s on the device,.* [\d.]+ s on the CPU.*\)", marks=needs_lavapipe)
    yield pytest.param("a processor as a device", "vulkan", drivers(LAVAPIPE),
                       r"clips are made on the CPU: no Vulkan device to use \(llvmpipe .*: it is the processor itself\)",
                       marks=needs_lavapipe)
    yield pytest.param("no such device", "vulkan:7", drivers(LAVAPIPE),
                       r"clips are made on the CPU: there is no Vulkan device 7 among the 1 there are", marks=needs_lavapipe)
    yield pytest.param("no driver", "vulkan", drivers(NO_DRIVER),
                       r"clips are made on the CPU: no Vulkan: an instance cannot be made \(there is no driver\)", marks=needs_lavapipe)
    yield "no loader", "vulkan", "no loader", r"clips are made on the CPU: no Vulkan: libvulkan\.so\.1 is not installed or cannot be opened"
    if not pathlib.Path("/dev/dri").exists() and not pathlib.Path("/dev/nvidiactl").exists():
        yield "no card", "auto", {}, r"clips are made on the CPU: there is no graphics card, or it is hidden"


@on_this_machine("each box chooses what makes its clips, and the daemon hears nothing of it")
@pytest.mark.parametrize("what, backend, variables, sentence", cases())
def test_status_and_doctor_say_what_was_found_and_why(make_daemon, tmp_path, tiny, frames, what, backend, variables, sentence):
    if variables == "no loader":
        # Found first, and no library. Debian's ffmpeg links the real one.
        (tmp_path / "libvulkan.so.1").write_text("nothing")
        ffmpeg = tmp_path / "ffmpeg"
        ffmpeg.write_text(f"#!/bin/sh\nunset LD_LIBRARY_PATH\nexec {shutil.which('ffmpeg')} \"$@\"\n")
        ffmpeg.chmod(0o755)
        variables = {"LD_LIBRARY_PATH": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    daemon = make_daemon(model=tiny, options=["--backend", backend], environment=variables)
    before = json.loads(daemon.curl("/healthz").stdout)
    assert before["backends"] == [], "no worker has said anything yet"
    video = finished(daemon, create(daemon, QUICK | {"seed": 5})[2])
    frames.add(video["sha256"])
    assert len(frames) == 1, f"{what}: other frames"

    health = json.loads(daemon.curl("/healthz").stdout)
    assert health["status"] == "ok" and len(health["backends"]) == 1, health
    said = health["backends"][0]
    assert re.fullmatch(f"{video['model']}: {sentence}", said), said
    assert f"{said}." in ctl(daemon, "status").splitlines()
    assert json.loads(ctl(daemon, "status", "--json"))["backends"] == [said]
    found = [finding for finding in json.loads(daemon.ctl("doctor", "--json").stdout)["findings"] if finding["check"] == "backend"]
    assert found == [{"check": "backend", "state": "ok", "text": said}], found
    assert f"ok       backend: {said}\n" in daemon.ctl("doctor").stdout
    # The log has it once, where there was something to choose.
    told = daemon.log.read_text().count(said.partition(": ")[2])
    assert told == (0 if backend == "cpu" or what == "no card" else 1), daemon.log.read_text()
