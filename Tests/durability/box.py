"""What the durability programs share: a daemon in a folder, jobs for it, and what came of them.

SORAD_BUILD: folder of the built programs; SORAD_MODEL: the model file.
"""
import base64
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

BUILD = pathlib.Path(os.environ["SORAD_BUILD"])
MODEL = pathlib.Path(os.environ["SORAD_MODEL"])


class Gone(Exception):
    """The daemon did not answer, or not to the end: whether it took the request is not known."""


class Box:
    """A machine with sorad on it: `start`, `die` and `start` again. The socket lies outside the state folder, which may be
    on a disk of its own. `options` are further arguments of the daemon."""

    def __init__(self, folder, state, *options):
        self.folder, self.state, self.options = pathlib.Path(folder), pathlib.Path(state), options
        self.socket = str(self.folder / "s")
        self.process = None

    def start(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SORAD_")}
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [BUILD / "sorad", "--socket", self.socket, "--state-dir", self.state, "--model", MODEL, *self.options],
                stderr=log, env=environment)
        deadline = time.monotonic() + 120
        while True:
            try:
                return self.request("GET", "/healthz")
            except Gone:
                if self.process.poll() is not None:
                    raise SystemExit(f"sorad ended at its start, see {self.folder}/log:\n{self.tail()}") from None
                if time.monotonic() > deadline:
                    raise SystemExit(f"sorad does not answer, see {self.folder}/log:\n{self.tail()}") from None
                time.sleep(0.005)

    def tail(self):
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-5:])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        assert status == 0, f"sorad ended with {status}: {self.tail()}"

    def worker(self):
        """The process number of a worker, or None."""
        return next(iter(self.workers()), None)

    def workers(self):
        """The process numbers of the workers."""
        try:
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            names = {int(c): pathlib.Path(f"/proc/{c}/comm").read_text().strip() for c in children}
        except OSError:
            return []
        return [pid for pid, name in names.items() if name == "sorad-worker"]

    def request(self, method, path, fields=None, key=None):
        """(status, JSON, or the bytes of another content). Throws Gone."""
        connection = http.client.HTTPConnection("localhost", timeout=120)
        headers = {"content-type": "application/json"} if fields is not None else {}
        if key:
            headers["idempotency-key"] = key
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(120)
            connection.sock.connect(self.socket)
            connection.request(method, path, json.dumps(fields) if fields is not None else None, headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Gone(str(error)) from None
        finally:
            connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(body) if is_json else body

    def video(self, identifier):
        """The job; None when there is none; one of status "unavailable" while the daemon cannot look."""
        status, video = self.request("GET", "/v1/videos/" + identifier)
        return video if status == 200 else None if status == 404 else dict(id=identifier, status="unavailable")


def requests():
    """Jobs of every kind that a single request makes, small ones and one of several seconds."""
    red = base64.b64encode(red_picture()).decode()
    return [
        dict(prompt="a red ball bounces on grass", seed=1, num_inference_steps=24),
        dict(prompt="一个蓝色的盒子", seed=2, num_inference_steps=12, num_frames=9, guidance_scale=1),
        dict(prompt="a yellow ring in the desert at night", seed=3, num_inference_steps=16,
             input_reference=dict(image_url="data:image/png;base64," + red)),
        dict(prompt="a green cone falls on snow", seed=4, num_inference_steps=48, size="192x128"),
        dict(prompt="a white cylinder rises from the sea", seed=5, num_inference_steps=20, num_frames=33),
        # Most of its time goes into decoding.
        dict(prompt="a red ring spins in the city", seed=6, num_inference_steps=1, guidance_scale=1, num_frames=81),
    ]


def red_picture():
    """A PNG of 128 x 128 red pixels."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xc0\x20\x20" * 128) * 128
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 128, 128, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def undisturbed(folder):
    """SHA-256 of the frames of each of `requests()`, made in peace."""
    folder = pathlib.Path(folder)
    folder.mkdir()
    box = Box(folder, folder / "state")
    box.start()
    hashes = []
    for fields in requests():
        status, video = box.request("POST", "/v1/videos", fields)
        assert status == 200, video
        hashes.append(wait(box, video["id"])["sha256"])
    box.stop()
    return hashes


def wait(box, identifier, seconds=600):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        video = box.video(identifier)
        if video["status"] in ("completed", "failed"):
            return video
        time.sleep(0.02)
    raise SystemExit(f"{identifier} is not over after {seconds} s: {video}")
