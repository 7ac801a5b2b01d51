"""Pictures for the model card: the best clips of a report, the worst, and clips of two editions side by side.

    cd quantization && python -m evaluate.pictures CLIPS --out ../docs/images [--old OLD_CLIPS] [--count 6]
    cd quantization && python -m evaluate.pictures CLIPS --out /tmp/eye --sample 100        # for a look by eye

CLIPS and OLD_CLIPS are folders that `evaluate.measure` wrote. Writes OUT/mini-best.webp and OUT/mini-worst.webp, and with
--old OUT/mini-editions.webp: of prompts that both folders have with one seed, the old clip to the left and the new one to
the right. Prompts are drawn by a rule and not by eye; CLIPS/pictures.json says which they are and what was right.
Best: followed strictly, nothing that nobody asked for, most statements first. Worst: the smallest share of right
statements first. At most COMMON of a group.
--sample N draws N clips at random and writes them ten a sheet, with OUT/sample.txt: number, prompt, and a blank for what a
person says; what the judge said is in OUT/sample.json alone. Needs ffmpeg and numpy.
"""
from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np

FRAMES = (0, 4, 8, 12, 16)
GAP, COMMON, BYTES = 4, 1, 200_000      # pixels; clips of one group; bytes of a picture at most


def ranked(clips: list[dict], best: bool) -> list[dict]:
    """The best or the worst first; ties in the order of the report."""
    judged = [clip for clip in clips if clip["group"] not in ("outside", "swaps")]
    right = {clip["file"]: sum(clip["statements"].values()) / max(1, len(clip["statements"])) for clip in judged}
    if best:
        return sorted((c for c in judged if c["strict"] and not c["extras"]), key=lambda c: -len(c["statements"]))
    return sorted((c for c in judged if not c["strict"]), key=lambda c: (right[c["file"]], -c["roughness"]))


def drawn(clips: list[dict], count: int) -> list[dict]:
    """The first of them, at most COMMON of a group while others are left."""
    taken: list[dict] = []
    while len(taken) < count and len(taken) < len(clips):
        seen: dict[str, int] = {}
        for clip in [c for c in clips if c not in taken]:
            if len(taken) < count and seen.get(clip["group"], 0) < COMMON:
                seen[clip["group"]] = seen.get(clip["group"], 0) + 1
                taken.append(clip)
    return taken


def shared(new: list[dict], old: list[dict], count: int) -> list[tuple[dict, dict]]:
    """Pairs (old, new) of one prompt and seed: of each group the first, whatever the judge says of them."""
    earlier = {(clip["prompt"], clip["seed"]): clip for clip in old}
    both = [clip for clip in new if (clip["prompt"], clip["seed"]) in earlier and clip["group"] not in ("outside", "swaps")]
    return [(earlier[clip["prompt"], clip["seed"]], clip) for clip in drawn(both, count)]


def read_frames(path: Path, side: int) -> list[np.ndarray]:
    """FRAMES of a clip, [side, side, 3] each; a shorter clip stands still at its end."""
    run = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), "-vf", f"scale={side}:{side}", "-f", "rawvideo", "-pix_fmt", "rgb24",
                          "-fps_mode", "passthrough", "-"], capture_output=True, check=True)
    clip = np.frombuffer(run.stdout, np.uint8).reshape(-1, side, side, 3)
    return [clip[min(f, len(clip) - 1)] for f in FRAMES]


def strip(frames: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(frames, axis=1)


def sheet(rows: list[np.ndarray]) -> np.ndarray:
    """Rows under each other, with white between them."""
    white = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    return np.concatenate([part for r in rows for part in (r, white)][:-1])


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.concatenate([left, np.full((len(left), 3 * GAP, 3), 255, np.uint8), right], axis=1)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """As WebP, at the first quality that keeps it within BYTES."""
    height, width, _ = picture.shape
    for quality in (90, 80, 65, 50, 30):
        subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "-",
                        "-c:v", "libwebp", "-quality", str(quality), "-frames:v", "1", str(path)], input=picture.tobytes(), check=True)
        if path.stat().st_size <= BYTES:
            return
    raise SystemExit(f"{path} has more than {BYTES} bytes; ask for fewer clips with --count")


def write_sample(report: dict, clips: Path, out: Path, count: int, side: int) -> None:
    """Clips for a person, who does not see what the judge said."""
    order = np.random.default_rng(0).permutation(len(report["clips"]))[:count]
    chosen = [report["clips"][k] for k in order]
    for first in range(0, len(chosen), 10):
        rows = [strip(read_frames(clips / clip["file"], side)) for clip in chosen[first:first + 10]]
        write_picture(out / f"sample-{first // 10:02d}.webp", sheet(rows))
    lines = [f"{number:3} sheet {number // 10} row {number % 10 + 1} [ ] {clip['prompt']!r}" for number, clip in enumerate(chosen)]
    (out / "sample.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (out / "sample.json").write_text(json.dumps([{"number": n, "strict": c["strict"], "statements": c["statements"]} for n, c in enumerate(chosen)]))


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--old", type=Path, metavar="OLD_CLIPS")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=6)
    parser.add_argument("--side", type=int, default=96, help="pixels of a frame")
    parser.add_argument("--sample", type=int, metavar="N")
    args = parser.parse_args(given)
    args.out.mkdir(parents=True, exist_ok=True)
    report = json.loads((args.clips / "report.json").read_text())
    if args.sample:
        return write_sample(report, args.clips, args.out, args.sample, args.side)
    said = {}
    for name, best in (("best", True), ("worst", False)):
        chosen = drawn(ranked(report["clips"], best), args.count)
        if chosen:
            rows = [strip(read_frames(args.clips / clip["file"], args.side)) for clip in chosen]
            write_picture(args.out / f"mini-{name}.webp", sheet(rows))
        said[name] = [{key: clip[key] for key in ("prompt", "group", "seed", "statements", "seen")} for clip in chosen]
    if args.old:
        pairs = shared(report["clips"], json.loads((args.old / "report.json").read_text())["clips"], args.count)
        if not pairs:
            raise SystemExit(f"{args.old} and {args.clips} have no prompt in common: make both with the same prompts and seeds")
        small = args.side * 3 // 4
        rows = [side_by_side(*(strip(read_frames(folder / clip["file"], small)) for folder, clip in zip((args.old, args.clips), pair)))
                for pair in pairs]
        write_picture(args.out / "mini-editions.webp", sheet(rows))
        said["editions"] = [{"prompt": new["prompt"], "group": new["group"], "old": old["strict"], "new": new["strict"]} for old, new in pairs]
    (args.clips / "pictures.json").write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
