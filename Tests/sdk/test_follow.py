"""What `sorad-ctl` makes of a stream of events that ends early."""
import json
import socket
import subprocess
import threading

from conftest import BUILD


class Between:
    """Hands requests on to a daemon, but answers the first one for events itself: the job as it is, and in the same packet the end."""

    def __init__(self, daemon, path):
        self.daemon, self.path, self.cut = daemon, str(path), 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection):
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(1 << 16)
                if not piece:
                    return
                head += piece
            head, body = head.split(b"\r\n\r\n", 1)
            lines = head.split(b"\r\n")
            length = next((int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")), 0)
            while len(body) < length:
                body += connection.recv(1 << 16)
            target = lines[0].split()[1].decode()
            if target.endswith("/events") and not self.cut:
                self.cut += 1
                video = json.loads(self.daemon.curl(target.removesuffix("/events")).stdout)
                event = f"event: video\nid: 1\ndata: {json.dumps(video)}\n\n".encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                                   + b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event))
                return
            kept = [line for line in lines if not line.lower().startswith(b"connection:")]
            with socket.socket(socket.AF_UNIX) as upstream:
                upstream.connect(self.daemon.socket)
                upstream.sendall(b"\r\n".join(kept + [b"connection: close"]) + b"\r\n\r\n" + body)
                while piece := upstream.recv(1 << 16):
                    connection.sendall(piece)


def test_an_end_that_comes_with_the_last_event_is_heard(make_daemon, tmp_path):
    between = Between(make_daemon(), tmp_path / "between")
    for number in range(3):
        between.cut, path = 0, tmp_path / f"{number}.mp4"
        done = subprocess.run(
            [BUILD / "sorad-ctl", "generate", "a red ball bounces on grass", "--socket", between.path, "--seed", str(number), "-o", path],
            capture_output=True, text=True, timeout=60, env=between.daemon.environment)
        assert done.returncode == 0, done.stderr
        assert path.stat().st_size > 0 and between.cut == 1
