"""The commands of README.md and docs/GETTING_STARTED.md, word for word, as a newcomer types them. Clips have one step, or they would take a minute."""
import os
import pathlib
import re
import subprocess
import sys

import pytest

from conftest import BUILD, MODEL
from malformed.taken import PNG

ROOT = pathlib.Path(__file__).parent.parent.parent
MAKES_A_CLIP = ("sorad-ctl generate", "sorad-ctl extend", "sorad-ctl remix")
# These stay until Ctrl-C, or need another machine.
ELSEWHERE = ("sorad-ctl run", "sorad-ctl open", "ssh")


def commands(document):
    for block in re.findall(r"```sh\n(.*?)```", (ROOT / document).read_text(), re.DOTALL):
        for line in block.splitlines():
            line = line.partition("  #")[0].rstrip()
            if line.startswith("sorad-ctl") and not line.startswith(ELSEWHERE) and "--socket" not in line:
                yield line


@pytest.mark.parametrize("document", ["docs/GETTING_STARTED.md", "README.md"])
def test_what_a_newcomer_types(make_daemon, tmp_path, document):
    daemon = make_daemon()
    for name in ("photo.jpg", "other.png"):
        (tmp_path / name).write_bytes(PNG)
    lines = list(commands(document))
    assert len(lines) >= 6, "the blocks of commands are no longer found"
    environment = daemon.environment | {"SORAD_SOCKET": daemon.socket, "PATH": f"{BUILD}:/usr/local/bin:/usr/bin:/bin"}
    for line in lines:
        words = line + " --steps 1" if line.startswith(MAKES_A_CLIP) else line
        run = subprocess.run(["bash", "-c", words], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, f"{line}\n{run.stdout}{run.stderr}"
        for file in re.findall(r"-o (\S+)", line):
            assert (tmp_path / file).stat().st_size > 0, line


def test_make_run_takes_any_prompt_and_any_name(tmp_path):
    clip = tmp_path / "it's a clip.mp4"
    words = [f"CLIP={clip}", "PROMPT=-x 'ball' `id`", f"BUILD={BUILD}", f"MODEL={MODEL}"]
    told = subprocess.run(["make", "-n", "run", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    command = next(line for line in told.splitlines() if "first-clip" in line)
    own = {name: value for name, value in os.environ.items() if not name.startswith("SORAD_")}
    made = subprocess.run(["bash", "-c", command], cwd=ROOT, env=own, capture_output=True, text=True)
    assert made.returncode == 0 and clip.read_bytes()[4:8] == b"ftyp", made.stderr


@pytest.mark.skipif(MODEL.resolve() != ROOT.resolve() / "quantization" / "models" / "sorad-mini.gguf", reason="another model than the documents'")
def test_documents_say_what_the_model_file_says():
    """Also that the example of README.md gives the SHA-256 that stands there. Another model: scripts/ship-model BUILD MODEL."""
    told = subprocess.run([sys.executable, ROOT / "scripts" / "ship-model", BUILD, MODEL, "--check"], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
