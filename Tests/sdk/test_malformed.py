"""Every malformed request of the table in malformed/, sent to one real daemon: the exact status, one error in JSON, and a connection that is
closed or kept as RFC 9112 says. None of them changes anything."""
import json
import socket
import time

import pytest

from conftest import Daemon
from malformed import bodies, fields, framing, lines, taken

CASES = lines.CASES + framing.CASES + bodies.CASES + fields.CASES
PROBE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    daemon = Daemon(tmp_path_factory.mktemp("m")).start()
    yield daemon
    daemon.stop()


@pytest.fixture(scope="module")
def video(daemon):
    """The id of a finished clip, the smallest there is."""
    smallest = {"prompt": "x", "num_frames": 1, "num_inference_steps": 1, "seed": 1}
    created = json.loads(daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", json.dumps(smallest)).stdout)
    while (now := json.loads(daemon.curl("/v1/videos/" + created["id"]).stdout))["status"] != "completed":
        assert now["status"] in ("queued", "in_progress"), now
        time.sleep(0.05)
    return created["id"]


def is_sentence(message):
    """In the one form of all errors: lower case, no full stop."""
    return len(message) > 8 and not message.endswith(".") and not message[0].isupper()


class Connection:
    """A client that takes nothing for granted."""

    def __init__(self, daemon):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(daemon.socket)
        self.pending = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data, ends=False):
        try:
            self.socket.sendall(data)
            if ends:
                self.socket.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # Answered and closed before all of it was read; the answer is there.

    def more(self):
        data = self.socket.recv(65536)
        self.pending += data
        return data

    def answer(self, bodyless=False):
        """Status, fields (each once) and body of the next answer."""
        while b"\r\n\r\n" not in self.pending:
            assert self.more(), f"the connection ended in a header: {self.pending!r}"
        head, self.pending = self.pending.split(b"\r\n\r\n", 1)
        start, *field_lines = head.decode().split("\r\n")
        version, status, _ = start.split(" ", 2)
        assert version == "HTTP/1.1"
        names = [line.split(":", 1)[0] for line in field_lines]
        assert len(set(names)) == len(names), f"a field comes twice: {names}"
        answer_fields = {line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in field_lines}
        length = 0 if bodyless or status == "304" else int(answer_fields["content-length"])
        while len(self.pending) < length:
            assert self.more(), "the connection ended in a body"
        body, self.pending = self.pending[:length], self.pending[length:]
        return int(status), answer_fields, body

    def is_over(self):
        """The server has ended its side and has said nothing more."""
        while self.more():
            pass
        return self.pending == b""


def check_error(case, answer_fields, body):
    assert answer_fields["x-request-id"]
    assert answer_fields.get("x-should-retry") == "false"
    assert answer_fields["content-type"] == "application/json"
    if case.bodyless:
        return
    envelope = json.loads(body)
    assert list(envelope) == ["error"]
    error = envelope["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert is_sentence(error["message"]) and error["type"] == ("server_error" if case.status >= 500 else "invalid_request_error") and error["code"]
    assert case.param is None or error["param"] == case.param, error


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused(daemon, video, case):
    with Connection(daemon) as connection:
        connection.send(case.request.replace(b"{video}", video.encode()), case.ends)
        for status in case.before:
            assert connection.answer()[0] == status
        status, answer_fields, body = connection.answer(case.bodyless)
        assert status == case.status, (status, body)
        check_error(case, answer_fields, body)
        assert answer_fields.get("allow") == case.allow
        if case.keeps:
            assert "connection" not in answer_fields
            connection.send(PROBE)
            assert connection.answer()[0] == 200 and connection.pending == b""
        else:
            assert answer_fields["connection"] == "close"
            assert connection.is_over(), connection.pending


@pytest.mark.parametrize("pieces", [1 << 20, 11])
@pytest.mark.parametrize("case", taken.TAKEN, ids=lambda case: case.name)
def test_taken_on_purpose(daemon, case, pieces):
    """What is not by the letter makes the clip that was meant, and the same when it comes in pieces."""
    assert case.reason
    with Connection(daemon) as connection:
        for start in range(0, len(case.request), pieces):
            connection.send(case.request[start : start + pieces])
        status, _, body = connection.answer()
        assert status == 200, body
        created = json.loads(body)
        assert created["num_frames"] == 1 and created["prompt"] == "x"
        connection.send(PROBE)
        assert connection.answer()[0] == 200 and connection.pending == b""
    given = list((daemon.folder / "state" / "spool" / created["id"]).glob("given-*"))
    assert [file.read_bytes() for file in given] == [taken.PNG] * case.files
    assert daemon.curl("/v1/videos/" + created["id"], "-X", "DELETE").returncode == 0


@pytest.mark.parametrize("value,status", fields.TOLERATED_RANGES)
def test_ranges_that_are_ignored(daemon, video, value, status):
    with Connection(daemon) as connection:
        connection.send(f"GET /v1/videos/{video}/content HTTP/1.1\r\nHost: x\r\nRange: {value}\r\n\r\n".encode())
        assert connection.answer()[0] == status


@pytest.mark.parametrize("case", [case for case in CASES if len(case.request) < 2000], ids=lambda case: case.name)
def test_the_same_in_pieces(daemon, video, case):
    """The answers do not depend on how the bytes arrive."""
    with Connection(daemon) as connection:
        request = case.request.replace(b"{video}", video.encode())
        for start in range(0, len(request), 7):
            connection.send(request[start : start + 7])
        connection.send(b"", case.ends)
        for status in case.before:
            assert connection.answer()[0] == status
        status, answer_fields, _ = connection.answer(case.bodyless)
        assert (status, "connection" not in answer_fields) == (case.status, case.keeps)


def test_the_table_is_large_enough():
    assert len(CASES) >= 150
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({case.request for case in CASES}) == len(CASES)


def test_nothing_was_changed(daemon, video):
    listed = json.loads(daemon.curl("/v1/videos").stdout)["data"]
    assert [entry["id"] for entry in listed] == [video]
    assert json.loads(daemon.curl("/healthz").stdout)["status"] == "ok"
