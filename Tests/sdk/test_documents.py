"""The commands of README.md and docs/GETTING_STARTED.md, word for word, as a newcomer types them. Clips have one step, or they would take a minute."""
import pathlib
import re
import subprocess

import pytest

from conftest import BUILD
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
