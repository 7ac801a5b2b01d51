"""An honest client in a process of its own: a request every few milliseconds, for so long; prints each answer's time in seconds.

    python honest.py SOCKET SECONDS
"""
import http.client
import json
import socket
import sys
import time


def main(path, seconds):
    paths = ["/healthz", "/v1/models", "/v1/videos?limit=20"]
    times, end, number = [], time.monotonic() + seconds, 0
    connection = None
    while time.monotonic() < end:
        # A new connection every tenth request: that must not take longer either.
        if number % 10 == 0:
            if connection:
                connection.close()
            connection = http.client.HTTPConnection("localhost", timeout=20)
        began = time.perf_counter()
        if number % 10 == 0:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(20)
            connection.sock.connect(path)
        connection.request("GET", paths[number % 3])
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - began)
        assert answer.status == 200, answer.status
        number += 1
        time.sleep(0.01)
    print(json.dumps(times))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
