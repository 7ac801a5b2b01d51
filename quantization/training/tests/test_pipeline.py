"""The recipe from an empty folder to an exported model, every stage as documented, at its smallest; with SORAD_BUILD, the folder of the
built programs, to a model file."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def stage(module: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", f"sorad_mini.{module}", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{module}: {done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_every_stage_runs_and_leads_to_the_next(tmp_path):
    work, minutes = f"--work={tmp_path}", "--minutes=0.05"
    stage("pool", work, "--size=128x128", "--clips=100")
    stage("tokenizer", work, "--scenes=2000")
    stage("fit_encoder", work, "--clips=40")
    stage("train_autoencoder", work, minutes, "--batch=2")
    stage("train_text_encoder", work, minutes, "--batch=4")
    stage("cache", work, "--size=64x64", "--clips=300")
    stage("cache", work, "--size=64x64", "--clips=100", "--foreign")
    stage("cache", work, "--size=128x128", "--clips=100")
    stage("cascade", "fit", work, "--clips=40")
    stage("train_transformer", work, "--sizes", "64x64", "128x128", "--refine-below=0.8", minutes, "--batch=2", "--lessons=2")
    stage("cascade", "sheet", work, f"--output={tmp_path / 'sheet.png'}", "a red ball")
    stage("distill", work, "--sizes", "64x64", "--steps=4", minutes, "--batch=2")
    stage("enhance", "upscaler", work, minutes, "--batch=1", "--stock=2")
    stage("enhance", "interpolator", work, minutes, "--batch=1", "--stock=2")
    stage("enhance", "export", work)
    stage("export", work, "--sizes", "64x64", "128x128")
    stage("calibrate", work, "--prompts=2", "--rows=8")
    stage("snapshot", "save", work, f"--state={tmp_path / 'state'}")
    stage("snapshot", "restore", f"--work={tmp_path / 'again'}", f"--state={tmp_path / 'state'}")
    stage("train_transformer", f"--work={tmp_path}", "--sizes", "64x64", "--minutes=0.1", "--batch=2")
    assert (tmp_path / "export" / "sorad-mini" / "model_index.json").exists()
    assert {"upscaler.pt", "interpolator.pt"} <= {path.name for path in (tmp_path / "again").iterdir()}
    assert max(path.stat().st_size for path in (tmp_path / "state").iterdir() if path.is_file()) < 16 << 20
    if build := os.environ.get("SORAD_BUILD"):
        made = quantized(Path(build), tmp_path)
        assert made["id"] == "sorad-mini" and made["sizes"] == ["64x64", "128x128"] and made["defaultNumInferenceSteps"] == 4
        assert made["upscales"] and made["interpolates"] and made["textLength"] == 128


def quantized(build: Path, work: Path) -> dict:
    """What the worker says of the model file, which is made as `make model` makes it."""
    model = work / "sorad-mini.gguf"
    subprocess.run([build / "sorad-quantize", work / "export" / "sorad-mini", "-o", model, "--int8-decoder", "--calibration",
                    work / "calibration.safetensors", "--enhancers", work / "enhancers"], check=True, capture_output=True)
    assert model.stat().st_size < 64_000_000
    return json.loads(subprocess.run([build / "sorad-worker", "--model", model, "--describe"], check=True, capture_output=True).stdout)
