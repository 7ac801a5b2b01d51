import http.server
import json
import socket
import socketserver
import threading
from email.parser import BytesParser

import pytest

from evaluate import client


BALL = "red\nball\x07 🎈"


class FakeVideos(http.server.BaseHTTPRequestHandler):
    """The Videos API in memory. A prompt with `refuse` is a 400, with `fail` a failed job, with `busy` a 503 at first."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def address_string(self):
        return "local"

    def _send(self, status, body, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-length": len(data), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(data)

    def _fields(self, data):
        kind = self.headers["content-type"]
        if kind == "application/json":
            return json.loads(data)
        form = BytesParser().parsebytes(f"content-type: {kind}\r\n\r\n".encode() + data)
        return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode() for part in form.get_payload()}

    def do_POST(self):
        fields, state = self._fields(self.rfile.read(int(self.headers["content-length"]))), self.server.state
        state["asked"].append((self.path, fields, self.headers["authorization"], self.headers["idempotency-key"]))
        prompt = fields["prompt"]
        if "refuse" in prompt:
            return self._send(400, {"error": {"code": "invalid", "message": "the prompt is empty"}})
        if "busy" in prompt and len([a for a in state["asked"] if a[1]["prompt"] == prompt]) == 1:
            return self._send(503, {"error": {"code": "busy", "message": "too much is going on"}}, retry_after=0)
        video = {"id": f"video_{len(state['videos'])}", "status": "queued", "prompt": prompt}
        state["videos"][video["id"]] = video
        return self._send(200, video)

    def do_GET(self):
        state, name = self.server.state, self.path.split("/")[3]
        video = state["videos"][name]
        if self.path.endswith("/content"):
            return self._send(200, b"clip of " + video["prompt"].encode())
        video["status"] = {"queued": "in_progress"}.get(video["status"], "failed" if "fail" in video["prompt"] else "completed")
        if video["status"] == "failed":
            video["error"] = {"code": "worker_died", "message": "the worker stopped"}
        return self._send(200, video, openai_poll_after_ms=1)

    def do_DELETE(self):
        name = self.path.split("/")[3]
        self.server.state["deleted"].append(name)
        self._send(200, {"id": name, "deleted": True})


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture(params=["url", "socket"])
def service(request, tmp_path):
    """(arguments that name the server, its state)"""
    path = tmp_path / "api.sock"
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeVideos) if request.param == "url" else UnixServer(str(path), FakeVideos)
    server.state = {"asked": [], "videos": {}, "deleted": []}
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    where = ["--url", f"http://127.0.0.1:{server.server_address[1]}/v1"] if request.param == "url" else ["--socket", str(path)]
    yield where, server.state
    server.shutdown()
    thread.join()
    server.server_close()


def write_lines(path, *entries):
    path.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")
    return str(path)


def manifest(folder):
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text(encoding="utf-8").split("\n") if line]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_clips_and_manifest(service, tmp_path, form):
    where, state = service
    prompts = write_lines(tmp_path / "then.jsonl", {"prompt": BALL, "expect": {"groups": [{"kind": "ball"}]}}, {"prompt": "busy box"})
    out = tmp_path / "out"
    given = [*where, "--key", "secret", "--prompts", prompts, "--out", str(out), "--field", "num_frames=17", "--seed", "5", "--delete"]
    assert client.main([*given, *form]) == 0
    lines = {line["prompt"]: line for line in manifest(out)}
    ball = lines[BALL]
    assert (ball["status"], ball["group"], ball["line"], ball["seed"]) == ("completed", "then", 1, 5)
    assert ball["expect"] == {"groups": [{"kind": "ball"}]}
    assert (out / ball["file"]).read_bytes() == f"clip of {BALL}".encode()
    assert lines["busy box"]["status"] == "completed"
    assert sorted(state["deleted"]) == ["video_0", "video_1"]
    path, fields, key, _ = next(a for a in state["asked"] if a[1]["prompt"].startswith("red"))
    assert (path, key) == ("/v1/videos", "Bearer secret")
    assert fields == {"prompt": BALL, "seed": 5 if form else "5", "num_frames": 17 if form else "17"}
    assert len({a[3] for a in state["asked"] if a[1]["prompt"] == "busy box"}) == 1, "a retry keeps its idempotency key"


def test_a_second_run_makes_what_is_missing(service, tmp_path):
    where, state = service
    prompts = write_lines(tmp_path / "p.jsonl", {"prompt": "a"}, {"prompt": "b fail"}, {"prompt": "c refuse"}, {"prompt": "a"})
    out = tmp_path / "out"
    given = [*where, "--prompts", prompts, "--out", str(out)]
    assert client.main(given) == 1
    assert sorted(a[1]["prompt"] for a in state["asked"]) == ["a", "b fail", "c refuse"]
    errors = {line["prompt"]: line.get("error", {}).get("code") for line in manifest(out)}
    assert errors == {"a": None, "b fail": "worker_died", "c refuse": "invalid"}
    with open(out / "manifest.jsonl", "a", encoding="utf-8") as file:
        file.write('{"key": "half a li')
    assert client.main(given) == 1
    assert sorted(a[1]["prompt"] for a in state["asked"][3:]) == ["b fail", "c refuse"]
    (out / next(line for line in manifest(out) if line["prompt"] == "a")["file"]).unlink()
    assert client.main([*given, "--limit", "1"]) == 0
    assert state["asked"][-1][1]["prompt"] == "a"
    assert client.main([*given, "--limit", "1", "--seed", "9"]) == 0
    assert state["asked"][-1][1]["seed"] == "9"


def test_pairs_and_text_files(tmp_path):
    pairs = write_lines(tmp_path / "swaps.jsonl", {"a": "x", "b": "y", "expect_a": {"place": "sea"}, "expect_b": {}})
    read = list(client.read_prompts(tmp_path / "swaps.jsonl"))
    assert pairs and read == [("x", {"line": 1, "side": "a", "expect": {"place": "sea"}}), ("y", {"line": 1, "side": "b", "expect": {}})]
    (tmp_path / "list.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    assert [p for p, _ in client.read_prompts(tmp_path / "list.txt")] == ["one", "two"]


@pytest.mark.parametrize("text", ["{", "[]", '{"expect": {}}'])
def test_a_bad_line_is_named(tmp_path, text, capsys):
    (tmp_path / "bad.jsonl").write_text('{"prompt": "good"}\n' + text, encoding="utf-8")
    assert client.main(["--url", "http://127.0.0.1:9/v1", "--prompts", str(tmp_path / "bad.jsonl"), "--out", str(tmp_path)]) == 2
    assert "bad.jsonl:2: no prompt can be read" in capsys.readouterr().err


def test_no_server(tmp_path, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    given = ["--url", url, "--prompts", write_lines(tmp_path / "p.jsonl", {"prompt": "a"}), "--out", str(tmp_path), "--patience", "0"]
    assert client.main(given) == 1
    assert "no answer from the server" in capsys.readouterr().err
