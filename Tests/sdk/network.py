"""What the tests of the TCP port share: requests with a key, and connections that send what they get."""
import http.client
import json
import socket
import urllib.parse


class Port:
    """A client of the TCP port with one key, or none."""

    def __init__(self, url, key=None):
        self.address = urllib.parse.urlsplit(url)
        self.key = key

    def ask(self, method, path, body=None, **fields):
        """Status, header fields and body; underscores in the names of `fields` are dashes."""
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=60)
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if self.key:
            headers.setdefault("authorization", "Bearer " + self.key)
        if body is not None:
            body = json.dumps(body)
            headers["content-type"] = "application/json"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.headers.get("content-type") == "application/json":
            data = json.loads(data)
        return answer.status, answer.headers, data

    def code(self, method, path, body=None, **fields):
        """Status and the code of the refusal."""
        status, _, data = self.ask(method, path, body, **fields)
        return status, data["error"]["code"] if status >= 400 else None

    def connect(self):
        made = socket.create_connection((self.address.hostname, self.address.port), timeout=20)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def raw(self, data):
        """All that comes back until the connection ends."""
        with self.connect() as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            answer = b""
            try:
                while more := connection.recv(65536):
                    answer += more
            except ConnectionResetError:
                pass
            return answer
