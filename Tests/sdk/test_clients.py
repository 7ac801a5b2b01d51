"""Clients other than the official SDKs. Requests as .NET, n8n and promptfoo write them are in malformed/taken.py."""
import os
import pathlib
import subprocess

from bridge import Bridge
from malformed.taken import PNG

HERE = pathlib.Path(__file__).parent


def test_litellm(make_daemon, tmp_path):
    """LiteLLM knows no Unix sockets, so its bytes are carried from a loopback port."""
    daemon = make_daemon()
    picture = tmp_path / "ball.png"
    picture.write_bytes(PNG)
    bridge = Bridge(daemon.socket)
    try:
        run = subprocess.run(
            [os.environ["SORAD_LITELLM_PYTHON"], HERE / "litellm_client.py", bridge.url, picture], capture_output=True, text=True, timeout=300,
            env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"})
    finally:
        bridge.close()
    assert run.returncode == 0, run.stdout + run.stderr
    assert "remixed" in run.stdout
    given = list((daemon.folder / "state" / "spool").glob("*/given-first-frame"))
    assert [file.read_bytes() for file in given] == [PNG]
