"""Damaged and odd media files: whatever comes, the answer is a clip or one sentence. SORAD_DAMAGED: how many files (200).

Every answer is 200 or 400. Nothing is left behind: no file in the spool or of an upload, no process. No ffmpeg takes more memory than was
planned for it. A clip of 30 seconds in 4K is inspected within 2 seconds."""
import json
import os
import pathlib
import random
import resource
import subprocess
import threading
import time

import pytest

from conftest import BUILD

COUNT = int(os.environ.get("SORAD_DAMAGED", "200"))
# FrameReader.memory's fixed part, and the private memory that DecodeCommand allows beyond the decoder's (bytes).
BASE, OWN = 66_000_000, 64 << 20
PICTURES = {
    "a.png": "", "b.jpg": "-q:v 2", "c.webp": "", "d.gif": "", "e.bmp": "", "f.tiff": "-pix_fmt rgb24", "g.jxl": "", "h.avif": "-still-picture 1",
    "i.png": "-pix_fmt rgba64be", "j.png": "-pix_fmt pal8", "k.tiff": "-pix_fmt rgb48le -compression_algo deflate", "l.bmp": "-pix_fmt rgb8",
}
H264 = "-c:v libx264 -preset veryfast -pix_fmt yuv420p"
CLIPS = {
    "a.mp4": H264, "b.mov": "-c:v libx265 -x265-params log-level=none -preset ultrafast -tag:v hvc1", "c.webm": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8",
    "d.mkv": "-c:v libaom-av1 -cpu-used 8", "e.webm": "-c:v libvpx -b:v 500k", "f.gif": "", "g.mp4": H264 + " -movflags frag_keyframe+empty_moov",
    "h.mov": "-c:v prores_ks", "i.mov": "-c:v mjpeg -pix_fmt yuvj420p", "j.mp4": H264 + " -movflags +faststart -bf 2", "k.mp4": H264 + " -pix_fmt yuv420p10le",
}


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Good files: name to bytes and kind of field."""
    folder = tmp_path_factory.mktemp("seeds")
    source = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=8"]
    files = []
    for names, frames, field in ((PICTURES, 1, "input_reference"), (CLIPS, 12, "video")):
        for name, options in names.items():
            path = folder / f"{field}-{name}"
            ffmpeg(*source, "-frames:v", str(frames), *options.split(), str(path))
            files.append((path.name, field, path.read_bytes()))
    return files


def damage(data, rng):
    """One of the accidents and tricks that files meet."""
    data = bytearray(data)
    kind = rng.randrange(9)
    if kind == 0:
        del data[rng.randrange(len(data)):]
    elif kind == 1:
        for _ in range(rng.choice([1, 1, 2, 8, 64])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 2:
        start = rng.randrange(len(data))
        data[start : start + rng.randrange(1, 512)] = rng.randbytes(rng.randrange(1, 512))
    elif kind == 3:
        start = rng.randrange(len(data))
        del data[start : start + rng.randrange(1, 256)]
    elif kind == 4:
        start = rng.randrange(len(data))
        data[start:start] = data[start : start + rng.randrange(1, 2048)]
    elif kind == 5:  # A number in the head becomes a huge or an empty one.
        start = rng.randrange(min(len(data), 400))
        size = rng.choice([1, 2, 4, 8])
        data[start : start + size] = rng.choice([b"\xff", b"\x00", b"\x7f", b"\x80"]) * size
    elif kind == 6:  # Filled up, as by a download that broke off.
        start = rng.randrange(len(data))
        data[start:] = bytes(len(data) - start)
    elif kind == 7:
        data += rng.randbytes(rng.randrange(1, 4096))
    else:  # A box, chunk or element of another kind.
        start = rng.randrange(len(data) - 4)
        data[start : start + 4] = rng.choice([b"moov", b"mdat", b"free", b"IDAT", b"VP8L", b"trak", b"stsd", b"avc1", b"\xff\xda\x00\x0c", b"\x1a\x45\xdf\xa3"])
    return bytes(data)


class Watch(threading.Thread):
    """Looks for ffmpegs of a folder all the time, and keeps what they took and were allowed."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.over, self.highest, self.seen, self.ends = str(folder), [], 0, set(), False

    def run(self):
        while not self.ends:
            for entry in pathlib.Path("/proc").iterdir():
                if not entry.name.isdigit():
                    continue
                try:
                    command = (entry / "cmdline").read_bytes()
                    if not command.split(b"\0")[0].endswith(b"ffmpeg") or self.folder.encode() not in command or b"-codec_whitelist" not in command:
                        continue
                    status = (entry / "status").read_text()
                    limits = (entry / "limits").read_text()
                    high = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024
                    allowed = int(next(line for line in limits.splitlines() if line.startswith("Max data size")).split()[3])
                except (OSError, StopIteration, ValueError):
                    continue
                self.seen.add(entry.name)
                self.highest = max(self.highest, high)
                if high > BASE + allowed - OWN:
                    self.over.append((high, allowed, command))
            time.sleep(0.005)


def submit(daemon, path, field, name, frames=None):
    """Status and answer."""
    call = "/v1/videos" if field == "input_reference" else "/v1/videos/edits"
    run = daemon.curl(call, "-F", "prompt=x", "-F", "num_inference_steps=1", "-F", "seed=1", 
                      *(["-F", f"num_frames={frames or 1}"] if frames or field == "input_reference" else []), "-F", f"{field}=@{path};filename={name}", "-w", "\n%{http_code}")
    body, status = run.stdout.rsplit("\n", 1)
    return int(status), json.loads(body)


def test_damaged_files_are_a_clip_or_one_sentence(make_daemon, seeds, tmp_path):
    daemon = make_daemon()
    assert daemon.ctl("pause").returncode == 0
    watch = Watch(daemon.folder)
    watch.start()
    rng = random.Random(15)
    counts = {200: 0, 400: 0}
    path = tmp_path / "file"
    for name, field, data in seeds:
        path.write_bytes(data)
        status, answer = submit(daemon, path, field, name)
        assert status == 200, (name, answer)
        assert daemon.curl("/v1/videos/" + answer["id"], "-X", "DELETE").returncode == 0
    for number in range(COUNT):
        name, field, data = seeds[number % len(seeds)]
        data = damage(data, rng)
        path.write_bytes(data)
        status, answer = submit(daemon, path, field, name)
        if status not in counts:
            keep = pathlib.Path(os.environ.get("SORAD_KEEP", tmp_path)) / f"bad-{number}-{name}"
            keep.write_bytes(data)
        assert status in counts, (number, name, answer)
        counts[status] += 1
        if status == 200:
            assert daemon.curl("/v1/videos/" + answer["id"], "-X", "DELETE").returncode == 0
        else:
            message = answer["error"]["message"]
            assert len(message) > 20 and str(daemon.folder) not in message and "\n" not in message, message
    watch.ends = True
    watch.join()
    print(f"{COUNT} files: {counts}; {len(watch.seen)} ffmpegs seen, at most {watch.highest >> 20} MiB")
    assert not watch.over, watch.over[0]
    assert watch.seen and counts[400] > COUNT / 4
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and (left := [*(daemon.folder / "state" / "spool").glob("*"), *(daemon.folder / "state" / "uploads").glob("*")]):
        time.sleep(0.05)
    assert not left
    children = subprocess.run(["ps", "-o", "comm=", "--ppid", str(daemon.process.pid)], capture_output=True, text=True).stdout.split()
    assert set(children) <= {"sorad-worker"}, children


def test_a_long_clip_in_4k_is_inspected_at_once(make_daemon, tmp_path):
    daemon = make_daemon()
    assert daemon.ctl("pause").returncode == 0
    second, whole = tmp_path / "second.mp4", tmp_path / "whole.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=3840x2160:rate=30", "-frames:v", "30", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(second))
    ffmpeg("-stream_loop", "29", "-i", str(second), "-c", "copy", str(whole))
    start = time.monotonic()
    status, answer = submit(daemon, whole, "video", "whole.mp4", frames=17)
    wall = time.monotonic() - start
    assert status == 200 and answer["fps"] == 30, answer
    # Processor time of the worker and its ffmpegs, because the machine may be shared.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts = json.loads(subprocess.run([BUILD / "sorad-worker", "--inspect", whole], check=True, capture_output=True).stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert facts["num_frames"] == 900 and facts["microseconds"] == 30_000_000
    print(f"{whole.stat().st_size >> 20} MiB, inspected with {used:.2f} s of a processor; {wall:.2f} s from the first byte to the answer")
    assert used < 2, used
