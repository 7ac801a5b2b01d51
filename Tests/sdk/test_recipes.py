"""quantization/recipes: a checkpoint with planted outliers by a recipe; the report names them, as JSON and in a picture."""
import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from conftest import BUILD

ROOT = pathlib.Path(__file__).parents[2]
RECIPES = ROOT / "quantization/recipes"
MODELS = ROOT / "Tests/Fixtures/models"


def quantized(tmp_path, *words):
    environment = os.environ | {"SORAD_QUANTIZE": str(BUILD / "sorad-quantize")}
    return subprocess.run([sys.executable, RECIPES / "quantize.py", *words], cwd=tmp_path, env=environment, capture_output=True, text=True)


@pytest.fixture
def report(tmp_path):
    run = quantized(tmp_path, "wan2.1-t2v", MODELS / "tiny-outliers", "-o", "m.gguf")
    assert run.returncode == 0, run.stderr
    return json.loads((tmp_path / "m.quality.json").read_text())


def test_planted_outliers_are_seen(report, tmp_path):
    """write_fixtures.py makes input 5 + n of the self-attention and 11 + n of the feed-forward of block n stand out, and 3 + n of attn2."""
    layers = {row["name"]: row for row in report["tensors"] if "input_spread" in row}
    assert len(layers) >= 20
    for block in range(2):
        for layer in ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn2.to_q", "ffn.net.0.proj"):
            row = layers[f"dit.blocks.{block}.{layer}.weight"]
            spread = row["input_spread"]
            assert spread["outlier_inputs"] == 1 and spread["peak"] > 8 and spread["kurtosis"] > 10, (layer, spread)
            # The transform spreads it, or the layer is left alone.
            assert "rotated" in row["decision"] or row["decision"].startswith("float") or row["attempts"][-1]["output_error"] <= 0.015, row
        quiet = layers[f"dit.blocks.{block}.attn1.to_out.0.weight"]["input_spread"]
        assert quiet["outlier_inputs"] == 0 and quiet["kurtosis"] < 4 and quiet["peak"] < 6, quiet
    picture = xml.etree.ElementTree.parse(tmp_path / "m.quality.svg")
    told = [title.text for title in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert any("dit.blocks.0.attn1.to_q.weight: inputs that stand out 1" in text for text in told)
    assert sum("output error" in text for text in told) == sum(1 for row in report["tensors"] if row.get("attempts"))


def test_every_recipe_is_one_of_the_converter(tmp_path):
    recipes = json.loads((RECIPES / "recipes.json").read_text())
    told = subprocess.run([BUILD / "sorad-quantize", "--help"], capture_output=True, text=True).stdout
    for name, recipe in recipes.items():
        assert all(option in told for option in recipe["options"] if option.startswith("--")), name
        assert recipe["why"] and ("sampling" not in recipe or recipe["sampling"] in told), name
    run = quantized(tmp_path, "none", MODELS / "tiny", "-o", "m.gguf")
    assert run.returncode != 0 and "wan2.1-vace" in run.stderr
