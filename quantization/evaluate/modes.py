"""What holds of the modes beyond text to video, measured on a running server.

    cd quantization && PYTHONPATH=training python -m evaluate.modes --socket /run/sorad/sorad.sock --out DIR [--count 20] [--photos FOLDER]

Of the first COUNT prompts of one_object: a clip; a clip from its first frame; extensions forwards and backwards, a loop, a
join with the next clip; and of every tenth a clip of 60 seconds in one request. With --photos, a clip from each picture.

| measure | of | holds when |
|---|---|---|
| first frame | picture to video | PSNR to the picture that was given at least 30 dB |
| subject kept | picture to video | in the last second the judge sees the prompt's kinds and colours |
| photograph kept | --photos | the last frame's correlation with the picture at least 0.5 |
| seam | each joint | the step across it at most 1.3 times the median step within a second of it |
| a minute | 60 s | the judge sees the prompt's kinds, colours and place in the window of each second |

Prints shares with 95 % intervals, writes DIR/modes.json; clips stay in DIR, and a second run makes only what is missing.
"""
from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from . import client

PICTURE, SEAM, ALIKE, MINUTE = 30.0, 1.3, 0.5, 60   # dB; times a typical step; correlation; seconds
WANTED = {"first frame": 1.0, "subject kept": 0.9, "photograph kept": 0.9, "seam forwards": 0.9, "seam backwards": 0.9, "seam loop": 0.9,
          "seam join": 0.9, "a minute": 0.8}
KEPT = ("kind", "colour")


class Server:
    """Makes clips into files of a folder, each once. Jobs stay on the server: extensions need them."""

    def __init__(self, server: client.Server, folder: Path, fields: dict) -> None:
        self.server, self.folder, self.fields = server, folder, fields
        folder.mkdir(parents=True, exist_ok=True)

    def made(self, name: str, path: str = "/videos", **asked) -> dict:
        """The finished Video object, with `wall_seconds`; its clip is in FOLDER/NAME.mp4."""
        kept = self.folder / f"{name}.json"
        if kept.exists():
            return json.loads(kept.read_text())
        began = time.monotonic()
        body = json.dumps(self.fields | asked).encode()
        video = json.loads(self.server.call("POST", path, body, {"content-type": "application/json"})[1])
        while video["status"] in ("queued", "in_progress"):
            time.sleep(0.05)
            video = json.loads(self.server.call("GET", f"/videos/{video['id']}")[1])
        if video["status"] != "completed":
            raise SystemExit(f"{name}: {video.get('error')}")
        video["wall_seconds"] = round(time.monotonic() - began, 3)
        (self.folder / f"{name}.mp4").write_bytes(self.server.call("GET", f"/videos/{video['id']}/content")[1])
        kept.write_text(json.dumps(video))
        return video


def picture_url(frame: np.ndarray, path: Path) -> dict:
    """A frame as a PNG in a data URL; also written to `path`."""
    height, width, _ = frame.shape
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "-", str(path)],
                   input=frame.tobytes(), check=True)
    return {"image_url": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()}


def photo(path: Path, side: int) -> np.ndarray:
    """A picture cut to a square and scaled, uint8 [side, side, 3]."""
    cut = f"crop='min(iw,ih)':'min(iw,ih)',scale={side}:{side}:flags=area"
    run = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-frames:v", "1", "-vf", cut, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                         capture_output=True, check=True)
    return np.frombuffer(run.stdout, np.uint8).reshape(side, side, 3)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of two pictures' pixels, each scaled to a quarter: fine detail may differ."""
    def coarse(x: np.ndarray) -> np.ndarray:
        h, w = (n // 4 * 4 for n in x.shape[:2])
        x = x[:h, :w].astype(np.float64).reshape(h // 4, 4, w // 4, 4, 3).mean((1, 3)).ravel()
        return x - x.mean()
    a, b = coarse(a), coarse(b)
    return float((a @ b) / max(1e-9, np.sqrt((a @ a) * (b @ b))))


def seam(clip: np.ndarray, at: int, fps: int = 8) -> float:
    """The step between frames at - 1 and at over the median of the others within a second of it."""
    from .judge.measures import frame_steps
    steps = frame_steps(clip)
    near = [steps[k] for k in range(max(0, at - 1 - fps), min(len(steps), at + fps)) if k != at - 1]
    return float(steps[at - 1] / max(0.5, np.median(near)))


def kept_share(expect: dict, clip: np.ndarray, starts: list[int], see, names: tuple[str, ...]) -> list[bool]:
    """For each window whether all of these statements are right there."""
    from .judge.verdict import judge
    said = {"groups": [{k: v for k, v in group.items() if k in names} for group in expect.get("groups", [])]}
    said |= {k: v for k, v in expect.items() if k in names}
    return [judge(said, see(clip, start)).strict for start in starts]


def measure(server: Server, prompts: list[tuple[str, dict]], photos: list[Path], see, minutes: int) -> dict:
    """All values by name. `see(clip, start)` is what the judge sees in the window of 17 frames that begins at `start`."""
    from .judge.measures import psnr
    from .judge.sight import SPAN, read_clip
    found: dict[str, list] = defaultdict(list)
    made = [server.made(f"{i}-text", prompt=prompt, seed=i) for i, (prompt, _) in enumerate(prompts)]
    for i, (prompt, about) in enumerate(prompts):
        source, expect, n = {"id": made[i]["id"]}, about.get("expect", {}), made[i]["num_frames"]
        first = read_clip(server.folder / f"{i}-text.mp4")[0]
        given = picture_url(first, server.folder / f"{i}-first.png")
        server.made(f"{i}-picture", prompt=prompt, seed=i + 1000, input_reference=given)
        clip = read_clip(server.folder / f"{i}-picture.mp4")
        found["first frame"].append(psnr(clip[0], first) >= PICTURE)
        found["first frame, dB"].append(min(99.0, psnr(clip[0], first)))
        found["subject kept"] += kept_share(expect, np.concatenate([clip[-8:], clip[-1:].repeat(SPAN - 8, 0)]), [0], see, KEPT)
        for name, asked, at in (("forwards", {"seconds": "1"}, [n]), ("backwards", {"seconds": "1", "direction": "backwards"}, None),
                                ("loop", {"seconds": "1", "loop": True}, [n, 0]),
                                ("join", {"seconds": "1", "end_video": {"id": made[(i + 1) % len(made)]["id"]}}, None)):
            server.made(f"{i}-{name}", "/videos/extensions", prompt=prompt, seed=i + 2000, video=source, **asked)
            longer = read_clip(server.folder / f"{i}-{name}.mp4")
            if name == "loop":
                longer = np.concatenate([longer, longer[:n]])
                at = [n, len(longer) - n]
            elif name == "backwards":
                at = [len(longer) - n]
            elif name == "join":
                at = [n, len(longer) - made[(i + 1) % len(made)]["num_frames"]]
            for place in at:
                found[f"seam {name}"].append(seam(longer, place) <= SEAM)
                found[f"seam {name}, times"].append(seam(longer, place))
        if i < minutes:
            video = server.made(f"{i}-minute", prompt=prompt, seed=i + 3000, seconds=str(MINUTE))
            clip = read_clip(server.folder / f"{i}-minute.mp4")
            right = kept_share(expect, clip, list(range(0, len(clip) - SPAN + 1, video["fps"])), see, (*KEPT, "place"))
            found["a minute"].append(all(right))
            found["a minute, seconds right"].append(float(np.mean(right)))
            found["a minute, seconds of work"].append(video["wall_seconds"])
    for i, path in enumerate(photos):
        side = made[0]["height"]
        picture = photo(path, side)
        given = picture_url(picture, server.folder / f"photo-{i}.png")
        server.made(f"photo-{i}", prompt="the camera is still", seed=i, input_reference=given, size=f"{side}x{side}")
        clip = read_clip(server.folder / f"photo-{i}.mp4")
        found["photograph, first frame, dB"].append(min(99.0, psnr(clip[0], picture)))
        found["photograph kept"].append(correlation(clip[-1], picture) >= ALIKE)
    return dict(found)


def table(found: dict) -> str:
    from .judge.report import row, share
    lines = []
    for name, values in found.items():
        if isinstance(values[0], (bool, np.bool_)):
            lines.append(row(name, share([bool(v) for v in values]) | {"wanted": WANTED.get(name)}))
        else:
            lines.append(f"{name}: median {np.median(values):.2f}, {np.min(values):.2f} to {np.max(values):.2f}, 90 % at most {np.quantile(values, 0.9):.2f}")
    return "\n".join(lines)


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket")
    where.add_argument("--url")
    parser.add_argument("--key")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, default=Path(__file__).with_name("prompts") / "one_object.jsonl")
    parser.add_argument("--count", type=int, default=20, help="prompts")
    parser.add_argument("--minutes", type=int, help="clips of 60 s; a tenth of the prompts without it")
    parser.add_argument("--photos", type=Path, help="a folder of pictures")
    parser.add_argument("--field", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--weights", type=Path)
    args = parser.parse_args(given)
    import torch

    from .judge.prove import WEIGHTS
    from .judge.sight import frames_of, load, see
    torch.set_num_threads(1)
    model = load(args.weights or WEIGHTS)
    fields = {name: client._json_value(value) for name, _, value in (pair.partition("=") for pair in args.field)}
    server = Server(client.Server(args.socket, args.url or "http://localhost/v1", args.key), args.out, fields)
    prompts = list(client.read_prompts(args.prompts))[:args.count]
    photos = sorted(p for p in args.photos.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp")) if args.photos else []
    minutes = (args.count + 9) // 10 if args.minutes is None else args.minutes
    found = measure(server, prompts, photos, lambda clip, start: see(model, [frames_of(clip, start)])[0], minutes)
    print(table(found))
    (args.out / "modes.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
