#!/usr/bin/env python3
"""Measures the engine and writes the table of docs/PERFORMANCE.md between its two markers.

    python3 Tests/bench/table.py --sorad .build/release/sorad-bench --model quantization/models/sorad-mini.gguf \
        --document docs/PERFORMANCE.md

Each row says the command that it comes from. A command runs RUNS times (the kernels once, and what takes over three seconds); the row has
the median.
Shares are of the peak-throughput microbenchmark that runs in the same process just before and after.
"""
import argparse
import datetime
import json
import pathlib
import re
import statistics
import subprocess

RUNS = 3
BEGIN, END = "<!-- table: make bench -->", "<!-- end of table -->"


def measure(sorad, words, runs=RUNS):
    """The JSON reports of one command."""
    reports = []
    while len(reports) < runs:
        done = subprocess.run([sorad, *words, "--json"], capture_output=True, text=True, check=True)
        reports.append(json.loads(done.stdout))
        if reports[-1].get("seconds", 0) > 3:
            break
    return reports


def middle(reports, value):
    return statistics.median(value(report) for report in reports)


def duration(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def percent(share):
    return f"{share * 100:.0f} %"


def whole(sorad, words):
    """Time, share of the int8 peak and memory of a forward pass or of a decoding."""
    reports = measure(sorad, words)
    share = middle(reports, lambda r: r["operations"] / r["seconds"] / r["peak_int8_gops"] / 1e9)
    memory = max(report["peak_bytes"] for report in reports)
    return f"{duration(middle(reports, lambda r: r['seconds']))}, {percent(share)} of the int8 peak, {memory / 2**20:,.0f} MiB"


def clip(sorad, words):
    """Stages of one clip in the process, and a worker's way to the MP4."""
    reports = measure(sorad, words)
    names = [stage["name"] for stage in reports[0]["stages"]]
    stages = ", ".join(
        f"{name} {duration(middle(reports, lambda r: r['stages'][index]['seconds']))}" for index, name in enumerate(names))
    fresh = middle(reports, lambda r: r["worker"]["fresh"]["mp4_seconds"])
    warm = middle(reports, lambda r: r["worker"]["warm"]["mp4_seconds"])
    playing = reports[0]["worker"]["playing_seconds"]
    return [
        ("frames in one process", f"{duration(middle(reports, lambda r: r['seconds']))}: {stages}"),
        (f"MP4 of {playing:.1f} s, new worker; worker that has the model", f"{duration(fresh)}; {duration(warm)}"),
    ]


def kernels(sorad, words):
    """Share of the peak by kernel and shape; each is the best of many short runs already."""
    report, = measure(sorad, words, runs=1)
    shares = {(row["kernel"], row["shape"]): row["ratio"] for row in report["rows"] if row["ratio"] is not None}
    return shares, report["isa"]


def kernel_rows(sorad, words):
    shares, isa = kernels(sorad, words)
    chosen = [
        ("int8 GEMM, M = 1280", "gemm_qd8_f32_qc8w", "M=1280"),
        ("int8 GEMM with GELU", "gemm_qd8_f32_qc8w gelu", ""),
        ("int8 attention, packing included", "attention_f32_qd8kv", ""),
        ("int8 convolution, 3×3", "conv2d_qt8_f32_qc8w", ""),
    ]
    for label, kernel, shape in chosen:
        found = [(s, share) for (k, s), share in shares.items() if k == kernel and shape in s]
        text = "; ".join(f"{name.replace('M=1280 ', '')}: {percent(share)}" for name, share in found)
        yield f"{label}, {isa}, one thread", text or "not measured"


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    fields = {key: re.search(rf"^{key}\s*: (.*)$", info, re.M) for key in ("model name", "cpu family", "model")}
    name = fields["model name"][1] if fields["model name"] else "unknown CPU"
    numbers = " ".join(f"{key} {fields[key][1]}" for key in ("cpu family", "model") if fields[key])
    return f"{name} ({numbers.replace('cpu ', '')}), {info.count('processor')} CPUs"


def rows(sorad, model):
    forward = ["forward", "--model", "wan-1.3b"]
    yield "one forward of Wan 2.1 1.3B's shape, 1280 tokens", whole(sorad, forward), forward
    words = ["clip", model]
    for label, text in clip(sorad, words):
        yield f"a clip of sorad-mini: {label}", text, words
    for name, label in (("decode-taehv", "TAEHV"), ("decode-wan", "Wan 2.1's autoencoder")):
        yield f"decoding 17 frames of 256×256, {label}", whole(sorad, [name]), [name]
    words = ["kernels"]
    for label, text in kernel_rows(sorad, words):
        yield label, text, words


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sorad", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--document", type=pathlib.Path, required=True)
    args = parser.parse_args()
    text = args.document.read_text()
    front, rest = text.split(BEGIN)
    back = rest.split(END)[1]
    lines = [f"Measured on {datetime.date.today()}: {machine()}.", "", "| what | result | `sorad-bench …` |", "|---|---|---|"]
    for label, result, words in rows(args.sorad, args.model):
        line = f"| {label} | {result} | `{' '.join(words)}` |"
        print(line, flush=True)
        lines.append(line)
    args.document.write_text(f"{front}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{back}")


if __name__ == "__main__":
    main()
