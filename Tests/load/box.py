"""What the load programs share: a daemon in a folder of its own, requests on its socket, and figures.

SORAD_BUILD: folder of the built programs; SORAD_MODEL: the model file.
"""
import asyncio
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ["SORAD_BUILD"])
MODEL = pathlib.Path(os.environ["SORAD_MODEL"])
# The smallest job of the shipped model.
TINY = {"prompt": "a red ball", "size": "64x64", "num_frames": 1, "num_inference_steps": 1, "guidance_scale": 1}


class Box:
    """One running `sorad`. `options` are its flags, `environment` is added to its environment."""

    def __init__(self, *options, model=MODEL, environment=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-load-"))
        self.socket, self.log = str(self.folder / "s"), self.folder / "log"
        self.command = [BUILD / "sorad", "--socket", self.socket, "--state-dir", self.folder / "state", "--model", model, *options]
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("SORAD_")} | (environment or {})
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(30)
            assert kind or status == 0, f"sorad ended with {status}: {self.tail()}"
        if kind:
            print(self.tail())
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        """Starts it and gives the seconds until a request was answered, from just before the program's start."""
        with open(self.log, "ab") as log:
            began = time.monotonic()
            self.process = subprocess.Popen(self.command, stderr=log, env=self.environment)
        while True:
            try:
                status, _ = self.request("GET", "/healthz")
                assert status == 200
                return time.monotonic() - began
            except OSError:
                assert self.process.poll() is None and time.monotonic() < began + 20, self.tail()
                time.sleep(0.0005)

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def request(self, method, path, fields=None, timeout=300):
        """(status, JSON) over a connection of its own."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(self.socket)
            connection.sendall(message(method, path, fields, close=True))
            data = b""
            while piece := connection.recv(1 << 16):
                data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        if not head:
            raise ConnectionError("the connection ended without an answer")
        return int(head.split()[1]), json.loads(body)

    def video(self, identifier):
        return self.request("GET", "/v1/videos/" + identifier)[1]

    def finish(self, fields, seconds=120):
        """Makes a clip and gives its job, over."""
        status, video = self.request("POST", "/v1/videos", fields)
        assert status == 200, (status, video)
        deadline = time.monotonic() + seconds
        while video["status"] not in ("completed", "failed"):
            assert time.monotonic() < deadline, video
            time.sleep(0.01)
            video = self.video(video["id"])
        assert video["status"] == "completed", video
        return video

    def worker(self):
        """The worker's process number, or None."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next((int(c) for c in children if (comm(c) or "").startswith("sorad-worker")), None)


def comm(process):
    try:
        return pathlib.Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return None


def message(method, path, fields=None, close=False):
    body = json.dumps(fields).encode() if fields is not None else b""
    lines = [f"{method} {path} HTTP/1.1", "host: localhost"]
    if fields is not None:
        lines += ["content-type: application/json", f"content-length: {len(body)}"]
    if close:
        lines += ["connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Client:
    """A connection of asyncio's that serves one request after the other."""

    async def open(self, path):
        self.reader, self.writer = await asyncio.open_unix_connection(path)
        return self

    async def send(self, method, path, fields=None):
        """(status, headers, body)"""
        self.writer.write(message(method, path, fields))
        await self.writer.drain()
        return await answer(self.reader)

    def close(self):
        self.writer.close()


async def answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in head[1:] if line)}
    if "chunked" in headers.get("transfer-encoding", ""):
        raise ValueError("a stream where none was asked for")
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0)))


def memory(process):
    """Bytes: Rss and Pss of a process."""
    sizes = {}
    for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        sizes[name] = int(value.split()[0]) * 1024
    return sizes["Rss"], sizes["Pss"]


def status(process, name):
    """A line of /proc/PID/status as a number."""
    text = pathlib.Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith(name + ":")).split()[1])


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


class Honest:
    """An honest client among the others (`honest.py`), for `seconds`."""

    def __init__(self, box, seconds):
        program = pathlib.Path(__file__).parent / "honest.py"
        self.process = subprocess.Popen([sys.executable, program, box.socket, str(seconds)], stdout=subprocess.PIPE, text=True)

    def times(self):
        """Seconds until each of its answers, once it has ended."""
        times = json.loads(self.process.communicate(timeout=60)[0])
        assert self.process.returncode == 0
        return times
