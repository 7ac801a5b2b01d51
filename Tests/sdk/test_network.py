"""The loopback port: who gets in, as whom, from which page. A real daemon and real sockets."""
import json
import os
import random
import re
import socket
import stat
import subprocess
import threading
import time

import pytest

from conftest import BUILD, MODEL
from network import Port

TINY = {"prompt": "a red ball", "size": "64x64", "num_frames": 1, "num_inference_steps": 1, "guidance_scale": 1, "seed": 1}
ANNA, BERT = 60_001, 60_002
LISTEN = ("--listen", "127.0.0.1:0")


@pytest.fixture
def daemon(make_daemon):
    return make_daemon(options=LISTEN)


def finished(port, created):
    while True:
        status, _, video = port.ask("GET", "/v1/videos/" + created["id"])
        assert status == 200, video
        if video["status"] in ("completed", "failed"):
            assert video["status"] == "completed", video
            return video
        time.sleep(0.05)


def refused_start(tmp_path, *options, environment=None):
    """What a daemon says that must not start: wrong settings."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SORAD_")} | (environment or {})
    run = subprocess.run(
        [BUILD / "sorad", "--socket", tmp_path / "s", "--state-dir", tmp_path / "state", "--model", MODEL, *options],
        capture_output=True, text=True, env=clean, timeout=20)
    assert run.returncode == 78, run.stderr
    return run.stderr


def test_two_keys_are_two_users(daemon):
    anna, bert = (Port(daemon.url, daemon.key(name, user)) for name, user in (("anna", ANNA), ("bert", BERT)))
    status, _, created = anna.ask("POST", "/v1/videos", TINY)
    assert status == 200, created
    video = finished(anna, created)
    path = "/v1/videos/" + video["id"]
    status, headers, content = anna.ask("GET", path + "/content")
    assert status == 200 and content[4:8] == b"ftyp" and headers["content-type"] == "video/mp4"
    assert bert.code("GET", path) == bert.code("GET", path + "/content") == bert.code("DELETE", path) == (404, "video_not_found")
    assert bert.code("POST", path + "/cancel") == bert.code("GET", path + "/events") == (404, "video_not_found")
    assert bert.ask("GET", "/v1/videos")[2]["data"] == []
    assert [one["id"] for one in anna.ask("GET", "/v1/videos")[2]["data"]] == [video["id"]]
    assert "owner" not in video, "a key is no administrator"
    # The quota is the user's, whatever the key.
    assert daemon.ctl("quota", str(ANNA), "--jobs", "0").returncode == 0
    assert anna.code("POST", "/v1/videos", TINY)[1] == "quota_exceeded"
    assert bert.ask("POST", "/v1/videos", TINY)[0] == 200
    assert anna.ask("GET", "/v1/quota")[2]["limits"]["jobs"] == 0


def test_without_a_key_there_is_the_health_alone(daemon):
    nobody = Port(daemon.url)
    assert set(nobody.ask("GET", "/healthz")[2]) == {"status"}
    for method, path in [("GET", "/v1/models"), ("GET", "/v1/videos"), ("POST", "/v1/videos"), ("GET", "/nowhere"), ("PUT", "/v1/videos"),
                         ("POST", "/v1/browser_sessions"), ("GET", "/admin/status"), ("GET", "/metrics")]:
        status, headers, data = nobody.ask(method, path, {} if method == "POST" else None)
        assert (status, data["error"]["code"], data["error"]["type"]) == (401, "missing_api_key", "authentication_error"), (method, path)
        assert headers["www-authenticate"] == 'Bearer realm="sorad"' and "set-cookie" not in headers
    key = daemon.key("anna", ANNA)
    # One guess for each connection, whatever is sent after it.
    guess = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n"
    assert nobody.raw(guess * 5).count(b"HTTP/1.1 401 ") == 1
    for wrong in ["Bearer " + key[:-1], f"Bearer {key}x", f"Bearer {key.swapcase()}", f"Basic {key}", "Bearer", "Bearer ", key, f"Bearer {key} {key}",
                  "Bearer " + "a" * 4000, f"Bearer,{key}"]:
        assert nobody.code("GET", "/v1/models", authorization=wrong)[0] == 401, wrong
    twice = f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nAuthorization: Bearer {key}\r\n\r\n"
    assert nobody.raw(twice.encode()).startswith(b"HTTP/1.1 401 ")
    for right in ["Bearer " + key, "bearer  " + key]:
        assert nobody.code("GET", "/v1/models", authorization=right)[0] == 200, right
    # Administration has no door here, and a key makes no keys.
    assert Port(daemon.url, key).code("GET", "/admin/keys") == (404, "unknown_path")
    assert Port(daemon.url, key).code("POST", "/v1/browser_sessions") == (403, "permission_denied")


def test_a_removed_key_ends_at_once(daemon):
    anna = Port(daemon.url, daemon.key("anna", ANNA))
    # A clip that takes a while, and somebody who watches it.
    status, _, created = anna.ask("POST", "/v1/videos", TINY | {"num_inference_steps": 1000, "size": "128x128", "num_frames": 17})
    assert status == 200, created
    with anna.connect() as watcher, anna.connect() as idle:
        watcher.sendall(f"GET /v1/videos/{created['id']}/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {anna.key}\r\n\r\n".encode())
        assert watcher.recv(4096).startswith(b"HTTP/1.1 200 ")
        request = f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {anna.key}\r\n\r\n".encode()
        idle.sendall(request)
        assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert daemon.ctl("key", "revoke", "anna").returncode == 0
        assert anna.code("GET", "/v1/models") == (401, "invalid_api_key")
        began = time.monotonic()
        while watcher.recv(65536):
            pass
        assert idle.recv(65536) == b"" and time.monotonic() - began < 2
    assert daemon.ctl("key", "revoke", "anna").returncode == 66
    daemon.curl(f"/v1/videos/{created['id']}/cancel", "-X", "POST")


def test_the_key_file(make_daemon, tmp_path):
    daemon = make_daemon(options=LISTEN)
    key = daemon.key("anna", ANNA)
    assert re.fullmatch(r"sorad-[A-Za-z0-9_-]{43}", key)
    file = daemon.folder / "state" / "keys"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and key not in file.read_text()
    assert daemon.ctl("key", "add", "anna", "--user", str(BERT)).returncode == 65
    for arguments in [("add", "root", "--user", "root"), ("add", "x y", "--user", "1"), ("add", "a/b", "--user", "1"), ("add", "x", "--user", "4294967295")]:
        run = daemon.ctl("key", *arguments)
        assert run.returncode == 65 and "key" in run.stderr, (arguments, run.stderr)
    assert daemon.ctl("key", "add", "x", "--user", "no-such-user").returncode == 66
    assert daemon.ctl("key", "add", "x").returncode == daemon.ctl("key", "what").returncode == daemon.ctl("key", "list", "x").returncode == 64
    listed = json.loads(daemon.ctl("key", "list", "--json").stdout)
    assert listed["schema"] == "sorad.keys/1" and [(one["name"], one["user"]) for one in listed["data"]] == [("anna", ANNA)]
    # A key outlives a restart.
    daemon.stop()
    daemon.start()
    daemon_url = re.findall(r"listening on (http://\S+) for", daemon.log.read_text())[-1]
    assert Port(daemon_url, key).ask("GET", "/v1/models")[0] == 200
    daemon.stop()
    # Others could have changed it, or it is none.
    state = ("--state-dir", daemon.folder / "state", *LISTEN)
    file.chmod(0o644)
    assert "chmod 600" in refused_start(tmp_path, *state)
    file.chmod(0o600)
    text = file.read_text()
    for broken in [text + "x\n", text + text, text.replace(str(ANNA), "0"), text.replace(str(ANNA), "-1"), text[:40] + "\n"]:
        file.write_text(broken)
        assert "is no key" in refused_start(tmp_path, *state), broken
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")
    assert "plain file" in refused_start(tmp_path, *state)


def test_names_of_the_server(make_daemon):
    """DNS rebinding: a foreign name that leads here is refused, whatever else the request says."""
    daemon = make_daemon(options=(*LISTEN, "--host", "Box.Example"))
    anna = Port(daemon.url, daemon.key("anna", ANNA))
    port = anna.address.port
    for name in ["localhost", f"localhost:{port}", "LOCALHOST", "127.0.0.1", f"127.0.0.1:{port}", "[::1]", f"[::1]:{port}", "127.0.0.1:1", "box.example:443"]:
        assert anna.ask("GET", "/v1/models", host=name)[0] == 200, name
    for name in ["evil.example", f"evil.example:{port}", "localhost.evil.example", "localhost.", "0.0.0.0", "127.0.0.2", "[::2]", "[::1].evil.example", "box", ""]:
        for path in ("/v1/models", "/healthz", "/"):
            status, code = anna.code("GET", path, host=name)
            assert (status, code) == (421, "unknown_host") or status == 400, (name, path, status)
    key = f"Authorization: Bearer {anna.key}\r\n\r\n"
    assert anna.raw(f"GET http://evil.example/v1/models HTTP/1.1\r\nHost: localhost\r\n{key}".encode()).startswith(b"HTTP/1.1 421 ")
    assert anna.raw(f"GET http://localhost/v1/models HTTP/1.1\r\nHost: evil.example\r\n{key}".encode()).startswith(b"HTTP/1.1 421 ")
    assert anna.raw(f"GET http://localhost/v1/models HTTP/1.1\r\nHost: localhost\r\n{key}".encode()).startswith(b"HTTP/1.1 200 ")
    assert anna.raw(f"GET /v1/models HTTP/1.0\r\n{key}".encode()).startswith(b"HTTP/1.1 421 ")


def test_origins(make_daemon, tmp_path):
    app = "https://app.example"
    daemon = make_daemon(options=(*LISTEN, "--origin", app, "--origin", "http://localhost:3000"))
    anna = Port(daemon.url, daemon.key("anna", ANNA))
    own = daemon.url
    status, headers, _ = anna.ask("GET", "/v1/models", origin=own)
    assert status == 200 and "access-control-allow-origin" not in headers
    status, headers, _ = anna.ask("GET", "/v1/models", origin=app)
    assert status == 200 and headers["access-control-allow-origin"] == app and "origin" in headers["vary"]
    assert "access-control-allow-credentials" not in headers and "x-request-id" in headers["access-control-expose-headers"]
    # The page must be able to read the refusal.
    status, headers, _ = Port(own).ask("GET", "/v1/models", origin=app)
    assert status == 401 and headers["access-control-allow-origin"] == app
    for origin in ["https://evil.example", "null", "", "*", "http://app.example", app + ":8443", app + ".evil.example", own + "0", own.replace("http:", "ftp:"), "localhost"]:
        status, headers, data = anna.ask("GET", "/v1/models", origin=origin)
        assert status == 403 and data["error"]["code"] == "foreign_origin" and "access-control-allow-origin" not in headers, origin
        assert anna.code("POST", "/v1/videos", TINY, origin=origin) == (403, "foreign_origin"), origin
        # Through the Unix socket too: a forwarded port has the rights of whoever forwards it.
        assert json.loads(daemon.curl("/v1/models", "-H", "origin: " + origin if origin else "origin;").stdout)["error"]["code"] == "foreign_origin", origin
    preflight = {"access_control_request_method": "POST", "access_control_request_headers": "authorization,content-type"}
    status, headers, data = Port(own).ask("OPTIONS", "/v1/videos", origin=app, **preflight)
    assert (status, data) == (204, b"") and headers["access-control-allow-origin"] == app
    assert "POST" in headers["access-control-allow-methods"] and headers["access-control-allow-headers"] == "authorization, content-type"
    assert Port(own).ask("OPTIONS", "/v1/videos", origin="https://evil.example", **preflight)[0] == 403
    assert Port(own).ask("OPTIONS", "/v1/videos", **preflight)[0] == 401
    assert anna.ask("OPTIONS", "/v1/videos", origin=app)[0] == 501
    assert anna.ask("GET", "/v1/videos")[2]["data"] == [], "no refused request made a clip"
    for wrong in ["*", "https://*.example", "app.example", "https://app.example/", "https://app.example:x", "null"]:
        assert "origin" in refused_start(tmp_path, *LISTEN, "--origin", wrong)
    for setting, wrong in [("--host", "a:1"), ("--host", "*"), ("--listen", "localhost:1"), ("--listen", "8790"), ("--listen", "[127.0.0.1]:1"),
                           ("--trusted-proxy", "www-data"), ("--trusted-proxy", "user:no-such-user")]:
        assert setting.strip("-") in refused_start(tmp_path, setting, wrong)


def test_beyond_the_loopback_only_with_keys(make_daemon, tmp_path):
    said = refused_start(tmp_path, "--listen", "0.0.0.0:0")
    assert "no keys" in said and "TLS" in said and "sorad-ctl key add" in said
    daemon = make_daemon()
    daemon.key("anna", ANNA)
    daemon.stop()
    daemon.command += ["--listen", "0.0.0.0:0", "--listen", "[::1]:0"]
    daemon.start()
    assert "without TLS" in daemon.log.read_text()
    v6 = re.search(r"listening on (http://\[::1\]:\d+) for", daemon.log.read_text()).group(1)
    assert Port(v6).ask("GET", "/healthz")[0] == 200


def test_a_trusted_proxy_names_the_user(make_daemon):
    daemon = make_daemon(options=(*LISTEN, "--trusted-proxy", "key:gateway"))
    gateway, anna = Port(daemon.url, daemon.key("gateway", BERT)), Port(daemon.url, daemon.key("anna", ANNA))
    created = gateway.ask("POST", "/v1/videos", TINY, x_sorad_user=str(ANNA))[2]
    finished(anna, created)
    assert gateway.code("GET", "/v1/videos/" + created["id"]) == (404, "video_not_found")
    assert anna.code("GET", "/v1/videos", x_sorad_user=str(BERT)) == (403, "untrusted_proxy")
    assert Port(daemon.url).code("GET", "/v1/videos", x_sorad_user=str(ANNA))[0] == 401
    for wrong in ["0", "root", "no-such-user", "", "4294967295"]:
        assert gateway.code("GET", "/v1/videos", x_sorad_user=wrong) == (403, "unknown_user"), wrong
    assert json.loads(daemon.curl("/v1/videos", "-H", f"x-sorad-user: {ANNA}").stdout)["error"]["code"] == "untrusted_proxy"
    unix = make_daemon("unix", options=("--trusted-proxy", f"user:{os.getuid()}"))
    assert json.loads(unix.curl("/v1/quota", "-H", f"x-sorad-user: {ANNA}").stdout)["object"] == "quota"
    created = json.loads(unix.curl("/v1/videos", "-H", f"x-sorad-user: {ANNA}", "-H", "content-type: application/json", "-d", json.dumps(TINY)).stdout)
    assert "owner" not in created, created
    if os.getuid() == 0:
        assert json.loads(unix.curl("/v1/videos/" + created["id"]).stdout)["owner"] == ANNA


def times(port, until, found):
    """Asks again and again, and notes how long each answer took."""
    while not until.is_set():
        began = time.monotonic()
        status, _, _ = port.ask("GET", "/v1/videos")
        found.append((status, time.monotonic() - began))


def test_ten_thousand_wrong_keys_cost_an_honest_client_nothing(daemon):
    anna = Port(daemon.url, daemon.key("anna", ANNA))
    done, alone, attacked = threading.Event(), [], []

    def guess(count):
        nobody = Port(daemon.url)
        for number in range(count):
            answer = nobody.raw(f"GET /v1/videos HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sorad-{number:043d}\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 401 ") and answer.count(b"HTTP/1.1") == 1

    honest = threading.Thread(target=times, args=(anna, done, alone))
    honest.start()
    time.sleep(1)
    done.set()
    honest.join()
    done.clear()
    honest = threading.Thread(target=times, args=(anna, done, attacked))
    honest.start()
    began = time.monotonic()
    guessers = [threading.Thread(target=guess, args=(2_500,)) for _ in range(4)]
    for one in guessers:
        one.start()
    for one in guessers:
        one.join()
    took = time.monotonic() - began
    done.set()
    honest.join()
    assert {status for status, _ in alone + attacked} == {200}
    median = [sorted(time for _, time in found)[len(found) // 2] * 1000 for found in (alone, attacked)]
    slowest = max(time for _, time in attacked) * 1000
    print(f"10,000 wrong keys in {took:.2f} s; an honest request: {median[0]:.1f} ms alone, {median[1]:.1f} ms meanwhile, {slowest:.0f} ms the slowest")
    assert slowest < 1000


def test_idle_nobodies_keep_nobody_out(daemon):
    """Connections that show no key have few places, and the oldest goes first."""
    anna, nobody = Port(daemon.url, daemon.key("anna", ANNA)), Port(daemon.url)
    nobodies = []
    try:
        for _ in range(600):
            nobodies.append(nobody.connect())
        assert anna.ask("GET", "/v1/videos")[0] == 200
        with anna.connect() as known:
            request = f"GET /v1/videos HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {anna.key}\r\n\r\n".encode()
            known.sendall(request)
            assert known.recv(65536).startswith(b"HTTP/1.1 200 ")
            for _ in range(300):
                nobodies.append(nobody.connect())
            known.sendall(request)
            assert known.recv(65536).startswith(b"HTTP/1.1 200 "), "a client that has shown its key keeps its place"
        assert daemon.curl("/v1/models").returncode == 0, "the Unix socket has places of its own"
        open_ones = int(re.search(r"sorad_connections (\d+)", daemon.ctl("metrics").stdout).group(1))
        assert open_ones <= 270
    finally:
        for one in nobodies:
            one.close()


def test_a_body_without_a_key_is_not_kept(daemon):
    """Nothing of it reaches the disk or the memory of bodies: the answer comes with the head."""
    nobody = Port(daemon.url)
    head = b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 200000000\r\n\r\n"
    assert nobody.raw(head + b"x" * 100_000).startswith(b"HTTP/1.1 401 ")
    waits = head.replace(b"Content-Length", b"Expect: 100-continue\r\nContent-Length")
    assert nobody.raw(waits).startswith(b"HTTP/1.1 401 ")


def test_fuzzed_heads(daemon):
    """Mutated heads are refused, or mean what they did; none makes the daemon fall, none lets anybody in."""
    nobody, anna = Port(daemon.url), Port(daemon.url, daemon.key("anna", ANNA))
    chance = random.Random(18)
    head = [b"GET /v1/videos HTTP/1.1", b"Host: localhost", b"Origin: http://localhost", b"Authorization: Bearer sorad-" + b"A" * 43, b"X-Sorad-User: 60001"]
    pieces = [b"\0", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b",", b"\xff", b"\xc3\xa9", b"%00", b"[", b"]", b"[::1", b"Bearer ", b"http://", b"*", b"null", b"A" * 5000, b"@", b"localhost"]
    statuses = {}
    for _ in range(1500):
        lines = [line for line in head if chance.random() < .85]
        chance.shuffle(lines)
        data = bytearray(b"\r\n".join(lines) + b"\r\n\r\n")
        for _ in range(chance.randrange(4)):
            place = chance.randrange(len(data) + 1)
            data[place:place + chance.randrange(3)] = chance.choice(pieces)
        answer = nobody.raw(bytes(data))
        status = answer[9:12].decode()
        statuses[status] = statuses.get(status, 0) + 1
        assert not answer or status in ("400", "401", "403", "404", "405", "408", "413", "414", "421", "431", "501", "505"), (bytes(data), answer[:200])
    assert {"400", "401", "403", "421"} <= set(statuses), statuses
    assert anna.ask("GET", "/v1/videos")[0] == 200


def test_the_page_is_open_and_strict(daemon):
    nobody = Port(daemon.url)
    for path, kind in [("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css"), ("/icon.svg", "image/svg+xml")]:
        status, headers, data = nobody.ask("GET", path)
        assert status == 200 and headers["content-type"].startswith(kind) and data
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert nobody.ask("GET", path, if_none_match=headers["etag"])[0] == 304
        assert nobody.code("GET", path, host="evil.example")[0] == 421
    page = nobody.ask("GET", "/")[2].decode()
    assert "http://" not in page and "https://" not in page and "style=" not in page and "onclick" not in page
    assert daemon.curl("/").stdout == page


def test_sorad_ctl_open(daemon, tmp_path):
    """It leads a browser to the socket, and nobody else: whoever reaches the port needs the key."""
    clean = {key: value for key, value in daemon.environment.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION")}
    command = [BUILD / "sorad-ctl", "open", "--socket", daemon.socket, "--no-browser"]
    url, key = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=20).stdout.strip().split("/#key=")
    assert url == daemon.url, "the daemon has a port of its own"
    assert Port(url, key).ask("GET", "/v1/models")[0] == 200
    with subprocess.Popen([*command, "--port", "0"], env=clean, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as opened:
        try:
            url, key = opened.stdout.readline().strip().split("/#key=")
            assert url != daemon.url
            nobody, browser = Port(url), Port(url, key)
            assert b"<!doctype html>" in nobody.ask("GET", "/")[2]
            assert nobody.code("GET", "/v1/videos") == nobody.code("POST", "/v1/browser_sessions") == (401, "missing_api_key")
            assert browser.code("GET", "/v1/videos", host="evil.example") == (421, "unknown_host")
            assert browser.code("GET", "/v1/videos", origin="http://evil.example") == (403, "foreign_origin")
            created = browser.ask("POST", "/v1/videos", TINY, origin=url)[2]
            video = finished(browser, created)
            assert browser.ask("GET", f"/v1/videos/{video['id']}/content")[2][4:8] == b"ftyp"
            assert json.loads(daemon.curl("/v1/videos/" + video["id"]).stdout)["id"] == video["id"], "it is the caller's own clip"
        finally:
            opened.terminate()
    assert opened.returncode is not None


def test_sockets_from_the_service_manager(tmp_path):
    """As systemd hands them over: two of TCP with one name, the clients' Unix socket, the administrators', the fleet's where there is one."""
    from conftest import Daemon
    daemon = Daemon(tmp_path)
    paths = {"sorad.socket": daemon.socket, "admin": str(tmp_path / "admin.sock")}
    if daemon.pool:
        paths["fleet"] = str(daemon.pool.socket)
    listeners = [socket.socket(socket.AF_UNIX) for _ in paths]
    for listener, path in zip(listeners, paths.values()):
        listener.bind(path)
        listener.listen()
    listeners += [socket.create_server(("127.0.0.1", 0)), socket.create_server(("::1", 0), family=socket.AF_INET6)]
    names = ":".join([*paths, "tcp", "tcp"])
    # The descriptors must be 3 and the next ones, and LISTEN_PID the daemon's own.
    above = [os.dup(os.dup2(listener.fileno(), 40 + index)) for index, listener in enumerate(listeners)]
    script = " ".join(f"{3 + index}<&{descriptor}" for index, descriptor in enumerate(above))
    command = ["bash", "-c", f'export LISTEN_PID=$$ LISTEN_FDS={len(listeners)} LISTEN_FDNAMES={names}; exec "$0" "$@" {script}', *daemon.command]
    with open(daemon.log, "ab") as log:
        daemon.process = subprocess.Popen([str(part) for part in command], stderr=log, env=daemon.environment, pass_fds=above)
    try:
        deadline = time.monotonic() + 20
        while daemon.curl("/healthz").returncode != 0:
            assert daemon.process.poll() is None and time.monotonic() < deadline, daemon.log.read_text()
            time.sleep(0.05)
        key = daemon.key("anna", ANNA)
        for listener in listeners[-2:]:
            host, port = listener.getsockname()[:2]
            assert Port(f"http://{'[::1]' if ':' in host else host}:{port}", key).ask("GET", "/v1/models")[0] == 200
    finally:
        daemon.process.kill()
        daemon.process.wait()
        for listener in listeners:
            listener.close()
        for descriptor in above:
            os.close(descriptor)
