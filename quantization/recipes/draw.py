#!/usr/bin/env python3
"""Draws a report of `sorad-quantize --json`: a column for every linear layer, in the order of the file.

    quantization/recipes/draw.py REPORT.json -o PICTURE.svg

Rows from the top: error of the layer's output; kurtosis of its weights and of its inputs; the largest of its inputs in root mean squares;
inputs that stand out. All scales are logarithmic. Blue layers are int8, green ones rotated, violet ones of 10 bits, red ones stay float.
"""
import argparse
import html
import json
import math
import pathlib

WIDTH, HEIGHT, LEFT, GAP = 6, 110, 130, 34
COLORS = {"int8": "#3b6fb6", "rotated": "#3a9d5d", "10 bits": "#8059b5", "float": "#c8443c"}


def kind(row: dict) -> str:
    if row["decision"].startswith("float"):
        return "float"
    return "10 bits" if row.get("bits") == 10 else "rotated" if "rotated" in row["decision"] else "int8"


def panels(rows: list[dict]) -> list[tuple[str, float, float, list[float]]]:
    """Title, least and most of the scale, and a value for each layer."""
    def spread(which: str, field: str) -> list[float]:
        return [row.get(which, {}).get(field, 0) for row in rows]
    return [
        ("output error", 1e-4, 1, [row["attempts"][-1]["output_error"] for row in rows]),
        ("kurtosis, weights", 1, 1000, spread("weight_spread", "kurtosis")),
        ("kurtosis, inputs", 1, 1000, spread("input_spread", "kurtosis")),
        ("largest input / rms", 1, 1000, spread("input_spread", "peak")),
        ("inputs that stand out", 0.5, 1000, spread("input_spread", "outlier_inputs")),
    ]


def draw(report: dict) -> str:
    rows = [row for row in report["tensors"] if row.get("attempts")]
    width = LEFT + WIDTH * max(1, len(rows)) + 20
    drawn = panels(rows)
    height = 30 + (HEIGHT + GAP) * len(drawn) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="16">{html.escape(pathlib.Path(report["file"]).name)}: {len(rows)} layers</text>']
    for place, (title, low, high, values) in enumerate(drawn):
        top = 30 + (HEIGHT + GAP) * place
        parts.append(f'<text x="4" y="{top + 12}">{title}</text>')
        for step in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1):
            y = top + HEIGHT - HEIGHT * (step - math.log10(low)) / (math.log10(high) - math.log10(low))
            parts.append(f'<line x1="{LEFT}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#666">{10.0 ** step:g}</text>')
        for index, (row, value) in enumerate(zip(rows, values)):
            if value <= low:
                continue
            share = min(1, (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low)))
            x, y = LEFT + WIDTH * index, top + HEIGHT * (1 - share)
            told = html.escape(f'{row["name"]}: {title} {value:.4g}, {row["decision"]}')
            parts.append(
                f'<rect x="{x}" y="{y:.1f}" width="{WIDTH - 1}" height="{top + HEIGHT - y:.1f}" fill="{COLORS[kind(row)]}"><title>{told}</title></rect>')
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("report", type=pathlib.Path)
    arguments.add_argument("-o", "--output", type=pathlib.Path, required=True)
    given = arguments.parse_args()
    given.output.write_text(draw(json.loads(given.report.read_text())))


if __name__ == "__main__":
    main()
