"""Makes clips for a list of prompts with any server that speaks the Videos API. Standard library only.

    cd quantization
    python -m evaluate.client --socket /run/sorad/sorad.sock --prompts evaluate/prompts/then.jsonl --out /tmp/then
    python -m evaluate.client --url http://localhost:8000/v1 --key KEY --prompts a.jsonl b.jsonl --out DIR --at-once 4 \\
        --field size=128x128 --field num_frames=17 --seed 7

Reads .jsonl with `prompt` (and `expect`, which is copied), .jsonl with pairs `a` and `b`, or .txt with a prompt a line.
Writes DIR/<group>-<key>.mp4 and DIR/manifest.jsonl, one line per finished clip or refusal. The key is a hash of prompt,
seed and fields: a second run makes only what is missing, and tries again what failed.
Exit status: 0 all there, 1 some failed, 2 wrong arguments.
"""

import argparse
import hashlib
import http.client
import json
import os
import socket
import ssl
import sys
import threading
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)   # unless `x-should-retry: false`
LONGEST_PAUSE = 30.0   # seconds between two tries


class ServerRefusal(Exception):
    """An answer that no retry can mend. `code` is the API's error code or the HTTP status."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclass
class Server:
    """Where the API is: a Unix socket, or a base URL such as http://host:8000/v1 with an optional key."""

    socket_path: str | None = None
    url: str = "http://localhost/v1"
    key: str | None = None
    timeout: float = 120.0    # seconds for one answer
    patience: float = 900.0   # seconds for which an unreachable or busy server is tried again

    def _connect(self) -> tuple[http.client.HTTPConnection, str]:
        parts = urllib.parse.urlsplit(self.url)
        if self.socket_path:
            return _UnixConnection(self.socket_path, self.timeout), parts.path.rstrip("/")
        if parts.scheme == "https":
            secure = http.client.HTTPSConnection(parts.netloc, timeout=self.timeout, context=ssl.create_default_context())
            return secure, parts.path.rstrip("/")
        return http.client.HTTPConnection(parts.netloc, timeout=self.timeout), parts.path.rstrip("/")

    def _once(self, method: str, path: str, body: bytes | None, headers: dict) -> tuple[int, dict, bytes]:
        connection, base = self._connect()
        try:
            if self.key:
                headers = {**headers, "authorization": f"Bearer {self.key}"}
            connection.request(method, base + path, body, headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None) -> tuple[dict, bytes]:
        """Headers and body of the answer. Tries again while the server is away or busy. Raises ServerRefusal, OSError."""
        end, pause = time.monotonic() + self.patience, 0.5
        while True:
            wait = pause
            try:
                status, answer, data = self._once(method, path, body, headers or {})
            except (OSError, http.client.HTTPException) as problem:
                if time.monotonic() + wait > end:
                    raise OSError(f"no answer from the server to {method} {path}: {problem}; is it running") from problem
            else:
                if status < 300:
                    return answer, data
                final = status not in RETRIED or answer.get("x-should-retry") == "false"
                wait = max(wait, _seconds(answer.get("retry-after")))
                if final or time.monotonic() + wait > end:
                    raise _refusal(status, data)
            time.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE)


def _seconds(text: str | None) -> float:
    try:
        return min(float(text or 0), 600.0)
    except ValueError:
        return 0.0   # a date; the usual pause will do


def _refusal(status: int, data: bytes) -> ServerRefusal:
    try:
        error = json.loads(data)["error"]
        return ServerRefusal(status, str(error.get("code") or status), str(error.get("message")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return ServerRefusal(status, str(status), data[:200].decode("utf-8", "replace"))


@dataclass
class Request:
    """One clip to make. `about` (group, line, expect, pair, ...) goes into the manifest as it is."""

    prompt: str
    group: str
    seed: int
    fields: dict[str, str]
    about: dict = field(default_factory=dict)

    @property
    def key(self) -> str:
        text = json.dumps([self.prompt, self.seed, sorted(self.fields.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def file_name(self) -> str:
        return f"{self.group}-{self.key}.mp4"

    def body(self, as_json: bool) -> tuple[bytes, str]:
        """Bytes and content type: a form, as the official SDK sends it, or a JSON object."""
        values = {"prompt": self.prompt, "seed": str(self.seed), **self.fields}
        if as_json:
            return json.dumps({k: v if k == "prompt" else _json_value(v) for k, v in values.items()}).encode(), "application/json"
        boundary = uuid.uuid4().hex
        parts = (f'--{boundary}\r\ncontent-disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in values.items())
        return ("".join(parts) + f"--{boundary}--\r\n").encode(), f"multipart/form-data; boundary={boundary}"


def _json_value(text: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float, bool)) else text


def read_prompts(path: Path) -> Iterator[tuple[str, dict]]:
    """Prompts of a file with what the manifest says about them. Raises ValueError with the line."""
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        if path.suffix != ".jsonl":
            yield line, {"line": number}
            continue
        try:
            entry = json.loads(line)
            if "prompt" in entry:
                yield entry["prompt"], {"line": number, **{k: v for k, v in entry.items() if k != "prompt"}}
            else:
                for side in "ab":
                    yield entry[side], {"line": number, "side": side, "expect": entry.get(f"expect_{side}", {})}
        except (ValueError, KeyError, TypeError) as problem:
            raise ValueError(f"{path}:{number}: no prompt can be read ({problem}); "
                             "a line is a JSON object with prompt, or with a and b") from None


class Manifest:
    """An append-only file of JSON lines; the last line of a key counts. Safe for threads, not for several programs."""

    def __init__(self, folder: Path) -> None:
        self.path, self.lock = folder / "manifest.jsonl", threading.Lock()
        self.lines: dict[str, dict] = {}
        if self.path.exists():
            data = self.path.read_bytes()
            whole = data[:data.rfind(b"\n") + 1]   # a run that was killed may have left half a line
            if whole != data:
                self.path.write_bytes(whole)
            for line in whole.decode("utf-8").split("\n"):
                if line:
                    entry = json.loads(line)
                    self.lines[entry["key"]] = entry

    def has(self, request: Request) -> bool:
        entry = self.lines.get(request.key)
        return bool(entry and entry["status"] == "completed" and (self.path.parent / entry["file"]).exists())

    def add(self, entry: dict) -> None:
        with self.lock, open(self.path, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
            self.lines[entry["key"]] = entry


@dataclass
class Maker:
    """Makes requests into files of a folder, `at_once` at a time."""

    server: Server
    folder: Path
    at_once: int = 2
    as_json: bool = False
    delete: bool = False       # remove a job from the server once its clip is here
    longest: float = 3600.0    # seconds for one clip, from acceptance to completion

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.manifest = Manifest(self.folder)
        self.stop = threading.Event()

    def make_all(self, requests: list[Request], report=lambda done, wanted, entry: None) -> int:
        """Number of requests that failed. Those already in the manifest are skipped."""
        missing = list({r.key: r for r in requests if not self.manifest.has(r)}.values())
        failed = done = 0
        with ThreadPoolExecutor(self.at_once) as pool:
            try:
                for entry in pool.map(self._make_one, missing):
                    done += 1
                    failed += entry["status"] != "completed"
                    report(done, len(missing), entry)
            except BaseException:
                self.stop.set()   # the other threads leave their jobs to the server
                pool.shutdown(cancel_futures=True)
                raise
        return failed

    def _make_one(self, request: Request) -> dict:
        begun = time.monotonic()
        entry = {"key": request.key, "prompt": request.prompt, "group": request.group, "seed": request.seed,
                 "fields": request.fields, **request.about, "status": "failed"}
        try:
            video = self._finished(self._created(request))
            entry["id"] = video["id"]
            if video["status"] != "completed":
                entry["error"] = video.get("error") or {"code": video["status"]}
            else:
                _, clip = self.server.call("GET", f"/videos/{video['id']}/content")
                unfinished = self.folder / f".{request.file_name}.part"
                unfinished.write_bytes(clip)
                os.replace(unfinished, self.folder / request.file_name)
                entry.update(status="completed", file=request.file_name, bytes=len(clip),
                             sha256=hashlib.sha256(clip).hexdigest(), video=video)
                if self.delete:
                    self.server.call("DELETE", f"/videos/{video['id']}")
        except ServerRefusal as refusal:
            entry["error"] = {"code": refusal.code, "message": str(refusal)}
        entry["wall_seconds"] = round(time.monotonic() - begun, 3)
        self.manifest.add(entry)
        return entry

    def _created(self, request: Request) -> dict:
        body, kind = request.body(self.as_json)
        # The same key with every retry: an answer that was lost on its way makes no second job.
        headers = {"content-type": kind, "idempotency-key": uuid.uuid4().hex}
        return json.loads(self.server.call("POST", "/videos", body, headers)[1])

    def _finished(self, video: dict) -> dict:
        end, pause = time.monotonic() + self.longest, 0.2
        while video["status"] in ("queued", "in_progress"):
            if self.stop.wait(pause):
                raise ServerRefusal(0, "stopped", "this program was stopped before the clip was finished")
            if time.monotonic() > end:
                raise ServerRefusal(0, "timeout", f"the clip was not finished after {self.longest:.0f} s")
            headers, data = self.server.call("GET", f"/videos/{video['id']}")
            video = json.loads(data)
            pause = min(max(_seconds(headers.get("openai-poll-after-ms")) / 1000, 0.2), 5.0)
        return video


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="evaluate.client", description=__doc__.split("\n")[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket", metavar="PATH", help="Unix socket of the server")
    where.add_argument("--url", help="base URL, with /v1")
    parser.add_argument("--key", default=os.environ.get("OPENAI_API_KEY"), help="bearer token (OPENAI_API_KEY)")
    parser.add_argument("--prompts", nargs="+", type=Path, required=True, metavar="FILE", help=".jsonl or .txt")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--field", action="append", default=[], metavar="NAME=VALUE", help="any other field of the request; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="clips per prompt, with seeds that follow each other")
    parser.add_argument("--limit", type=int, help="only this many prompts of each file")
    parser.add_argument("--at-once", type=int, default=2, help="requests in flight")
    parser.add_argument("--json", action="store_true", help="send JSON instead of a form")
    parser.add_argument("--delete", action="store_true", help="delete each job on the server once its clip is here")
    parser.add_argument("--longest", type=float, default=3600, help="seconds for one clip")
    parser.add_argument("--patience", type=float, default=900, help="seconds for which an unreachable or busy server is tried again")
    parsed = parser.parse_args(given)
    for pair in parsed.field:
        name, equals, _ = pair.partition("=")
        if not equals or not name.isidentifier() or name in ("prompt", "seed"):
            parser.error(f"--field {pair}: not NAME=VALUE; prompt and seed have their own arguments")
    if parsed.at_once < 1 or parsed.seeds < 1:
        parser.error("--at-once and --seeds are at least 1")
    return parsed


def main(given: list[str] | None = None) -> int:
    wanted = _arguments(given)
    fields = dict(pair.split("=", 1) for pair in wanted.field)
    try:
        requests = [Request(prompt, path.stem, seed, fields, about)
                    for path in wanted.prompts
                    for prompt, about in list(read_prompts(path))[:wanted.limit]
                    for seed in range(wanted.seed, wanted.seed + wanted.seeds)]
    except (OSError, ValueError) as problem:
        print(f"evaluate.client: {problem}", file=sys.stderr)
        return 2
    server = Server(wanted.socket, wanted.url or "http://localhost/v1", wanted.key, patience=wanted.patience)
    maker = Maker(server, wanted.out, wanted.at_once, wanted.json, wanted.delete, wanted.longest)

    def report(done: int, count: int, entry: dict) -> None:
        said = entry.get("error", {}).get("message", "") if entry["status"] != "completed" else ""
        print(f"{done}/{count} {entry['status']} {entry['wall_seconds']:.1f} s {entry['prompt'][:60]!r} {said}", flush=True)

    try:
        return 1 if maker.make_all(requests, report) else 0
    except OSError as problem:
        print(f"evaluate.client: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
