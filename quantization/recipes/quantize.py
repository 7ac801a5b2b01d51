#!/usr/bin/env python3
"""Runs `sorad-quantize` by a recipe of recipes.json and keeps its report as JSON and as a picture.

    quantization/recipes/quantize.py RECIPE CHECKPOINT… -o FILE.gguf [any option of sorad-quantize]

Further options stand behind the recipe's, so they decide. A diffusers folder says itself how clips are sampled; for files the recipe does.
SORAD_QUANTIZE names the program, if it is not in the path.
"""
import json
import os
import pathlib
import subprocess
import sys

from draw import draw

FOLDER = pathlib.Path(__file__).resolve().parent


def main() -> None:
    recipes = json.loads((FOLDER / "recipes.json").read_text())
    if len(sys.argv) < 5 or sys.argv[1] not in recipes or "-o" not in sys.argv[:-1]:
        known = "\n".join(f"  {name}: {recipe['why']}" for name, recipe in recipes.items())
        sys.exit(f"{__doc__}\nrecipes:\n{known}")
    recipe, words = recipes[sys.argv[1]], sys.argv[2:]
    output = pathlib.Path(words[words.index("-o") + 1])
    report = output.with_suffix(".quality.json")
    folders = [word for word in words if (pathlib.Path(word) / "model_index.json").exists()]
    sampling = ["--recipe", recipe["sampling"]] if "sampling" in recipe and not folders and "--recipe" not in words else []
    options = [option for option in recipe["options"] if option not in words]
    program = os.environ.get("SORAD_QUANTIZE", "sorad-quantize")
    run = subprocess.run([program, *words, *options, *sampling, "--json", str(report)])
    if run.returncode:
        sys.exit(run.returncode)
    picture = output.with_suffix(".quality.svg")
    picture.write_text(draw(json.loads(report.read_text())))
    print(f"{report}, {picture}")


if __name__ == "__main__":
    main()
