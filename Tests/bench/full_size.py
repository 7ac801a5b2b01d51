#!/usr/bin/env python3
"""Makes clips of a full-size model with the daemon inside a memory control group and measures what they take.

    Tests/bench/full_size.py MODEL.gguf [--limit 2G] [--size 256x256] [--frames 17] [--steps 2] [--guidance 1] [--cold]

Printed: seconds from the request to the first denoise step, once with the start of the worker and once for the same prompt in the worker
that is there; the whole clip; the most anonymous memory of daemon, worker and ffmpeg, sampled every 20 ms; the group's own maximum. Needs
root for the group. SORAD_BUILD: folder of the built programs. --cold drops the file from the page cache first.
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

GROUPS = pathlib.Path("/sys/fs/cgroup")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Group:
    """A memory control group of either version."""

    def __init__(self, limit: int | None):
        self.limit = limit
        if limit is None:
            return
        first = (GROUPS / "memory").is_dir()
        self.path = (GROUPS / "memory" if first else GROUPS) / f"sorad-full-size-{os.getpid()}"
        self.path.mkdir()
        (self.path / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(limit))
        self.most_name = "memory.max_usage_in_bytes" if first else "memory.peak"

    def enter(self):
        if self.limit is not None:
            (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def end(self) -> str:
        if self.limit is None:
            return ""
        most = self.path / self.most_name
        text = f"{int(most.read_text()) / 1e6:.0f} MB" if most.exists() else "?"
        self.path.rmdir()
        return text


class Anonymous(threading.Thread):
    """The most anonymous memory of a process and its descendants."""

    def __init__(self, root: int):
        super().__init__(daemon=True)
        self.root, self.most, self.ended = root, {}, False

    def run(self):
        while not self.ended:
            children: dict[int, list[int]] = {}
            names = {}
            for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
                try:
                    text = stat.read_text()
                except OSError:
                    continue
                pid, name = text.split(" (", 1)
                names[int(pid)] = name.rsplit(")", 1)[0]
                children.setdefault(int(name.rsplit(")", 1)[1].split()[1]), []).append(int(pid))
            found, todo = [], [self.root]
            while todo:
                pid = todo.pop()
                found.append(pid)
                todo += children.get(pid, [])
            total = 0
            for pid in found:
                try:
                    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
                except OSError:
                    continue
                anonymous = next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)
                total += anonymous
                name = names.get(pid, "?")
                self.most[name] = max(self.most.get(name, 0), anonymous)
            self.most["together"] = max(self.most.get("together", 0), total)
            time.sleep(0.02)


def request(socket: str, fields: dict) -> tuple[float | None, float, dict]:
    """Seconds until the first step began, and until the clip was there; the Video."""
    body = json.dumps(fields)
    began = time.monotonic()
    made = subprocess.run(
        ["curl", "-sS", "--unix-socket", socket, "-H", "content-type: application/json", "-d", "@-", "http://localhost/v1/videos"],
        input=body, capture_output=True, text=True, check=True)
    video = json.loads(made.stdout)
    assert "id" in video, video
    print("estimate:", json.dumps(video.get("estimate")), flush=True)
    first = None
    while video["status"] in ("queued", "in_progress"):
        time.sleep(0.02)
        answer = subprocess.run(
            ["curl", "-sS", "--unix-socket", socket, f"http://localhost/v1/videos/{video['id']}"], capture_output=True, text=True)
        video = json.loads(answer.stdout)
        if first is None and video.get("phase") in ("denoising", "decoding", "encoding"):
            first = time.monotonic() - began
    return first, time.monotonic() - began, video


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--limit")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--guidance", type=float, default=1)
    parser.add_argument("--prompt", default="a red ball rolls in the grass, the sea at the left")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--once", action="store_true", help="not the second time")
    arguments = parser.parse_args()
    build = pathlib.Path(os.environ["SORAD_BUILD"])
    limit = int(float(arguments.limit[:-1]) * UNITS[arguments.limit[-1]]) if arguments.limit else None
    if arguments.cold:
        with open(arguments.model, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    group = Group(limit)
    with tempfile.TemporaryDirectory(prefix="sorad-full-") as folder:
        socket = f"{folder}/s"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SORAD_")} | {"SORAD_STATE_DIR": f"{folder}/state"}
        log = open(f"{folder}/log", "wb")
        daemon = subprocess.Popen(
            [build / "sorad", "--socket", socket, "--model", arguments.model], stderr=log, env=environment, preexec_fn=group.enter)
        try:
            while subprocess.run(["curl", "-s", "--unix-socket", socket, "http://localhost/healthz"], capture_output=True).returncode:
                time.sleep(0.05)
            # The file is checked once, when the daemon first sees it.
            while True:
                models = json.loads(subprocess.run(
                    ["curl", "-s", "--unix-socket", socket, "http://localhost/v1/models"], capture_output=True, text=True).stdout)
                if models.get("data"):
                    break
                assert daemon.poll() is None
                time.sleep(0.1)
            watch = Anonymous(daemon.pid)
            watch.start()
            fields = dict(
                prompt=arguments.prompt, size=arguments.size, num_frames=arguments.frames, num_inference_steps=arguments.steps,
                guidance_scale=arguments.guidance, seed=7)
            first, whole, video = request(socket, fields)
            print(f"new worker: {first and round(first, 2)} s to the first step, {whole:.1f} s in all, {video['status']}")
            print("timings:", json.dumps(video.get("timings")), video.get("error") or "")
            if not arguments.once and video["status"] == "completed":
                first, whole, video = request(socket, fields | {"seed": 8})
                print(f"prompt seen before: {first and round(first, 2)} s to the first step, {whole:.1f} s in all, {video['status']}")
            watch.ended = True
            watch.join()
            print("most anonymous memory, MB:", {name: round(kilobytes / 1024) for name, kilobytes in watch.most.items()})
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
            print("group's most:", group.end())
            sys.stdout.flush()
            print(open(f"{folder}/log").read()[-1500:] if os.environ.get("SHOW_LOG") else "", end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
