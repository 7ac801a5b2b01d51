#!/usr/bin/env python3
"""How a forward pass grows with tokens and threads, next to what the arithmetic says: measured by sorad-bench, drawn as an SVG.

    Tests/bench/forward_cost.py --sorad .build/release/sorad-bench --json figures.json --svg docs/forward_cost.svg
    Tests/bench/forward_cost.py --json figures.json --svg docs/forward_cost.svg        draws figures that were measured before

The arithmetic: multiplies and adds of the whole pass, divided by the int8 peak of as many threads, measured in the same process just before.
The blocks are those of Wan 2.1 1.3B; --layers says how many of its 30, so that all sizes fit into a minute and a half.
"""

import argparse
import json
import math
import subprocess
import sys

# Latent frames, height, width; four latent pixels are a token.
SIZES = [(5, 16, 16), (5, 16, 32), (5, 32, 32), (10, 32, 32), (9, 34, 60)]


def measure(sorad, layers, threads):
    """One figure for every number of threads and size."""
    figures = []
    for count in threads:
        for frames, height, width in SIZES:
            command = [sorad, "forward", "--model", "wan-1.3b", "--json", "--layers", layers, "--threads", count]
            command += ["--frames", frames, "--height", height, "--width", width]
            found = json.loads(subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout)
            figures.append(
                {
                    "threads": count,
                    "tokens": frames * height * width // 4,
                    "layers": layers,
                    "seconds": found["seconds"],
                    "operations": found["operations"],
                    "peak_gops": found["peak_int8_gops"],
                }
            )
            print(json.dumps(figures[-1]), file=sys.stderr)
    return figures


class Panel:
    """Axes in a rectangle of the picture: tokens to the right, logarithmic."""

    WIDTH, HEIGHT = 380, 300

    def __init__(self, left, title, low, high, logarithmic):
        self.left, self.top, self.low, self.high, self.logarithmic = left, 50, low, high, logarithmic
        self.parts = [f'<text x="{left}" y="{self.top - 18}" class="title">{title}</text>']

    def x(self, tokens):
        return self.left + self.WIDTH * math.log(tokens / 256) / math.log(5632 / 256)

    def y(self, value):
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.top + self.HEIGHT * (1 - share)

    def axes(self, ticks, unit):
        right, bottom = self.left + self.WIDTH, self.top + self.HEIGHT
        for frames, height, width in SIZES:
            tokens = frames * height * width // 4
            self.parts.append(f'<line x1="{self.x(tokens):.1f}" y1="{self.top}" x2="{self.x(tokens):.1f}" y2="{bottom}" class="grid"/>')
            self.parts.append(f'<text x="{self.x(tokens):.1f}" y="{bottom + 18}" class="middle">{tokens}</text>')
        for tick in ticks:
            self.parts.append(f'<line x1="{self.left}" y1="{self.y(tick):.1f}" x2="{right}" y2="{self.y(tick):.1f}" class="grid"/>')
            self.parts.append(f'<text x="{self.left - 8}" y="{self.y(tick) + 4:.1f}" class="end">{tick:g}{unit}</text>')
        self.parts.append(f'<text x="{(self.left + right) / 2}" y="{bottom + 38}" class="middle">tokens</text>')

    def line(self, points, color, dashed=False):
        path = " ".join(f"{self.x(tokens):.1f},{self.y(value):.1f}" for tokens, value in points)
        style = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{style}/>')
        if not dashed:
            for tokens, value in points:
                self.parts.append(f'<circle cx="{self.x(tokens):.1f}" cy="{self.y(value):.1f}" r="3.5" fill="{color}"/>')

    def label(self, x, y, color, text):
        self.parts.append(f'<text x="{x}" y="{y}" fill="{color}">{text}</text>')


COLORS = ["#1b6ca8", "#c2571a", "#3c8d40", "#7a4fa3"]


def draw(figures):
    layers = figures[0]["layers"]
    floor = {id(f): f["operations"] / f["peak_gops"] * 1e-9 for f in figures}
    times = [f["seconds"] for f in figures] + list(floor.values())
    ticks = [tick * 10**power for power in range(-3, 4) for tick in (1, 2, 5)]
    low = max(tick for tick in ticks if tick <= min(times))
    high = min(tick for tick in ticks if tick >= max(times))
    time = Panel(70, f"seconds of a forward pass, {layers} layers", low, high, True)
    time.axes([tick for tick in ticks if low <= tick <= high], " s")
    share = Panel(560, "share of the int8 peak of as many threads", 0, 100, False)
    share.axes(range(0, 101, 20), " %")
    for index, threads in enumerate(sorted({f["threads"] for f in figures})):
        color = COLORS[index % len(COLORS)]
        own = sorted((f for f in figures if f["threads"] == threads), key=lambda f: f["tokens"])
        time.line([(f["tokens"], f["seconds"]) for f in own], color)
        time.line([(f["tokens"], floor[id(f)]) for f in own], color, dashed=True)
        share.line([(f["tokens"], 100 * floor[id(f)] / f["seconds"]) for f in own], color)
        name = f"{threads} thread" + ("s" if threads > 1 else "")
        time.label(time.left + 12, time.top + 20 + 20 * index, color, f"{name}; dashed: the arithmetic alone")
        share.label(share.left + 12, share.top + share.HEIGHT - 14 - 20 * index, color, name)
    style = (
        "text{font:13px sans-serif} .title{font-weight:bold} .middle{text-anchor:middle} .end{text-anchor:end} "
        ".grid{stroke:#ddd;stroke-width:1}"
    )
    body = "\n".join(time.parts + share.parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 970 410" width="970" height="410">\n<style>{style}</style>\n'
        f'<rect width="970" height="410" fill="white"/>\n{body}\n</svg>\n'
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sorad", help="sorad-bench; without it the figures are read from --json")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", required=True, help="where the figures are written to or read from")
    parser.add_argument("--svg", required=True)
    given = parser.parse_args()
    if given.sorad:
        figures = measure(given.sorad, given.layers, given.threads)
        with open(given.json, "w") as file:
            file.write("[\n  " + ",\n  ".join(json.dumps(figure) for figure in figures) + "\n]\n")
    else:
        with open(given.json) as file:
            figures = json.load(file)
    with open(given.svg, "w") as file:
        file.write(draw(figures))


if __name__ == "__main__":
    main()
