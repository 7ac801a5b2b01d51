"""What an operator sees: entries of the journal, the line of systemctl status, the socket of monitors, the numbers."""
import array
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

import pytest
import yaml

from daemon import BUILD, MODEL, Daemon
from network import Port
from pool import BOXES
from test_limits import QUICK, ctl, create, finished

ROOT = pathlib.Path(__file__).parents[2]
EVENTS = dict(re.findall(r"case (\w+) = \"([0-9a-f]{32})\"", (ROOT / "Sources/SoradSystem/LogEvent.swift").read_text()))


class Datagrams:
    """A bound datagram socket: the service manager's, or the journal's."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.all = []
        # The kernel keeps a few datagrams alone, and lets their sender wait for a second.
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            data, extra, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
            for level, kind, content in extra:
                assert level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS
                file = array.array("i", content)[0]
                data = os.pread(file, 1 << 24, 0)
                os.close(file)
            self.all.append(data.decode())

    def wait(self, what, seconds=20):
        deadline = time.monotonic() + seconds
        while not any(what(text) for text in list(self.all)):
            assert time.monotonic() < deadline, self.all
            time.sleep(0.05)


def entry(text):
    return dict(line.split("=", 1) for line in text.splitlines())


@pytest.mark.skipif(os.geteuid() != 0, reason="puts a journal of its own in the place of the system's")
def test_the_journal_has_fields_for_every_event_of_a_job(tmp_path):
    journal = Datagrams(tmp_path / "socket")
    folder = tmp_path / "daemon"
    folder.mkdir()
    log = folder / "log"
    log.touch()
    place = log.stat()
    mounted = f"mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind {tmp_path} /run/systemd/journal && exec \"$@\""
    probe = subprocess.run(["unshare", "-m", "sh", "-c", mounted, "sh", "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip(f"no mounts here: {probe.stderr}")
    daemon = Daemon(folder, prefix=["unshare", "-m", "sh", "-c", mounted, "sh"],
                    environment={"JOURNAL_STREAM": f"{place.st_dev}:{place.st_ino}"}).start()
    video = finished(daemon, create(daemon, QUICK | {"prompt": "a secret ball"})[2])
    ctl(daemon, "drain")
    ctl(daemon, "resume")
    daemon.stop()
    journal.wait(lambda text: "MESSAGE=stopped\n" in text)
    entries = [entry(text) for text in journal.all]
    assert log.read_text() == "", "a line went to standard error too"
    assert all(found["SYSLOG_IDENTIFIER"] == "sorad" and found["PRIORITY"].isdigit() and found["MESSAGE"] for found in entries)
    by_event = {found["MESSAGE_ID"]: found for found in entries if "MESSAGE_ID" in found}
    accepted = by_event[EVENTS["jobAccepted"]]
    assert accepted["SORAD_JOB"] == video["id"] and accepted["SORAD_USER"] == "0" and accepted["SORAD_MODEL"] == "sorad-mini"
    assert accepted["MESSAGE"].startswith(video["id"] + " accepted from uid 0: 64x64, 5 frames, 1 steps, sorad-mini")
    assert by_event[EVENTS["jobCompleted"]]["SORAD_JOB"] == video["id"]
    # Workers of a pool start and end elsewhere.
    for event in ("started", "stopping", *(() if BOXES else ("workerStarted", "workerEnded")), "modelFound", "drained", "resumed"):
        assert EVENTS[event] in by_event, event
    assert not any("secret" in found["MESSAGE"] for found in entries), "a prompt is in the journal"


def test_lines_outside_systemd_have_times(make_daemon):
    daemon = make_daemon()
    video = finished(daemon, create(daemon, QUICK)[2])
    lines = daemon.log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z sorad: ", line) for line in lines), lines
    assert any(f"sorad: {video['id']} accepted from uid {os.geteuid()}: " in line for line in lines)


def test_the_status_line_says_what_is_done_for_whom(tmp_path):
    manager = Datagrams(tmp_path / "notify")
    folder = tmp_path / "daemon"
    folder.mkdir()
    daemon = Daemon(folder, environment={"NOTIFY_SOCKET": manager.path}).start()
    try:
        who = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        manager.wait(lambda text: "READY=1" in text)
        # Through a fleet it says where, too.
        what = r"STATUS=denoising \d+/1000" + (r" on box\d+" if BOXES else "") + rf" for {who}, \d+ (s|min) left; 2 queued"
        long = {"num_inference_steps": 1000, "num_frames": 17, "size": "64x64"}
        videos = [create(daemon, long)[2] for _ in range(3)]
        manager.wait(lambda text: re.fullmatch(what, text))
        ctl(daemon, "drain")
        manager.wait(lambda text: re.fullmatch(what + "; drained", text))
        began = time.monotonic()
        before = len(manager.all)
        while time.monotonic() - began < 3:
            time.sleep(0.1)
        assert len(manager.all) - before <= 5, "the manager gets every step"
        for video in videos:
            daemon.curl(f"/v1/videos/{video['id']}/cancel", "-X", "POST")
        manager.wait(lambda text: text == "STATUS=idle; drained")
    finally:
        daemon.process.kill()
        daemon.process.wait()


def ask(path, target, method="GET"):
    """Of a Unix socket: status and body."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request(method, target)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_monitors_have_a_socket_that_can_change_nothing(make_daemon, tmp_path):
    place = tmp_path / "metrics.sock"
    daemon = make_daemon(options=["--metrics-socket", str(place)])
    video = finished(daemon, create(daemon, QUICK)[2])
    status, text = ask(place, "/metrics")
    assert status == 200 and 'sorad_jobs_finished_total{model="sorad-mini",status="completed"} 1\n' in text
    assert ask(place, "/livez") == (200, '{"status":"ok"}') and ask(place, "/readyz") == (200, '{"status":"ok"}')
    assert json.loads(ask(place, "/healthz")[1])["status"] == "ok"
    for method, target in [("GET", "/v1/videos"), ("GET", f"/v1/videos/{video['id']}"), ("POST", "/v1/videos"), ("POST", "/admin/drain"),
                           ("GET", "/admin/status"), ("GET", "/"), ("POST", "/v1/browser_sessions")]:
        assert ask(place, target, method)[0] == 404, target
    assert ask(place, "/metrics", "POST")[0] == 405
    daemon.stop()
    assert not place.exists()


def test_monitors_by_tcp_see_the_numbers_and_nothing_more(make_daemon):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    daemon = make_daemon(options=["--metrics-socket", f"127.0.0.1:{port}"])
    monitor = Port(f"http://127.0.0.1:{port}")
    while monitor.ask("GET", "/readyz")[0] == 503:
        time.sleep(0.05)
    status, headers, text = monitor.ask("GET", "/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4") and b"sorad_ready 1\n" in text
    assert monitor.ask("GET", "/healthz")[2] == {"status": "ok"}
    assert monitor.code("GET", "/v1/videos") == (404, "unknown_path")
    assert monitor.code("GET", "/metrics", host="evil.example") == (421, "unknown_host")
    assert monitor.code("GET", "/metrics", origin="https://evil.example") == (403, "foreign_origin")
    ctl(daemon, "drain")
    status, _, answer = monitor.ask("GET", "/readyz")
    assert status == 503 and answer["error"]["code"] == "draining" and answer["error"]["message"] == "no clip can be made now"
    assert b"sorad_ready 0\n" in monitor.ask("GET", "/metrics")[2] and monitor.ask("GET", "/livez")[0] == 200
    for far in ("0.0.0.0:9791", "[::]:9791", "192.0.2.1:9791"):
        run = subprocess.run([BUILD / "sorad", "--check-config", "--metrics-socket", far, "--model", MODEL], capture_output=True, text=True)
        assert run.returncode == 78 and "on this machine alone" in run.stderr, run


def test_less_space_than_must_stay_free_has_a_remedy(make_daemon):
    daemon = make_daemon(options=["--min-free", "1000000"])
    while (health := json.loads(daemon.curl("/healthz").stdout))["status"] == "starting":
        time.sleep(0.05)
    assert health["status"] == "degraded" and [trouble["check"] for trouble in health["troubles"]] == ["disk"], health
    assert health["trouble"] == health["troubles"][0]["text"] and "the setting min-free keeps 1000.0 GB" in health["trouble"], health
    sick = daemon.ctl("doctor")
    assert sick.returncode == 1 and sick.stdout.count("min-free keeps") == 1, sick
    assert "do: sorad-ctl delete --all --older-than 7d, or free other space there, or lower min-free\n" in sick.stdout, sick
    assert "Trouble: the disk that holds the jobs has" in ctl(daemon, "status")


def test_without_a_model_the_command_is_named(make_daemon, tmp_path):
    daemon = make_daemon(model=tmp_path / "none.gguf")
    run = daemon.ctl("generate", "a red ball", "-o", str(tmp_path / "x.mp4"))
    assert run.returncode == 69 and "hint: sorad-ctl models lists what is installed; sudo sorad-ctl models import FILE" in run.stderr, run


def test_quotas_hold_when_the_command_returns(make_daemon):
    daemon = make_daemon()
    for jobs in range(1, 21):
        row = ["default", str(jobs), "none", "none"]
        for words in (["quota", "default", "--jobs", str(jobs)], ["quota", "--all"]):
            assert ctl(daemon, *words).splitlines()[1].split() == row, words
    assert ctl(daemon, "quota", "nobody", "--bytes", "5").splitlines()[2].split() == ["nobody", "20", "none", "5"]


def test_the_numbers_begin_at_zero(make_daemon):
    daemon = make_daemon()
    while '{model="sorad-mini"}' not in (text := ctl(daemon, "metrics")):
        time.sleep(0.05)
    samples = {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}
    for name in ('sorad_jobs_accepted_total{model="sorad-mini"}', 'sorad_jobs_finished_total{model="sorad-mini",status="failed"}',
                 'sorad_jobs_refused_total{reason="queue_full"}', 'sorad_worker_deaths_total{model="sorad-mini"}',
                 'sorad_http_requests_total{code="503"}', 'sorad_job_wait_seconds_bucket{model="sorad-mini",le="86400"}',
                 'sorad_disk_full_total', 'sorad_store_outages_total', 'sorad_oldest_queued_seconds', 'sorad_draining'):
        assert samples[name] == 0, name
    assert samples["process_resident_memory_bytes"] > 1 << 20 and samples["process_open_fds"] >= 5
    assert samples["process_max_fds"] >= samples["process_open_fds"] and samples["process_cpu_seconds_total"] > 0
    assert abs(samples["process_start_time_seconds"] - time.time()) < 60


def test_the_rules_for_alerts_ask_for_numbers_that_are_there(make_daemon):
    daemon = make_daemon()
    while '{model="sorad-mini"}' not in (text := ctl(daemon, "metrics")):
        time.sleep(0.05)
    types = dict(line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE "))
    rules = [rule for group in yaml.safe_load((ROOT / "systemd/prometheus/sorad-alerts.yml").read_text())["groups"] for rule in group["rules"]]
    assert len(rules) >= 8
    for rule in rules:
        assert rule["alert"].startswith("Sorad") and rule["annotations"]["summary"] and rule["annotations"]["description"], rule
        used = set(re.findall(r"\b(?:sorad|process)_[a-z_]+", rule["expr"]))
        assert used or "up{" in rule["expr"], rule
        for name in used:
            assert name in types or re.sub("_(bucket|sum|count)$", "", name) in types, name
            # A counter alone only grows: a rule about one looks at its change.
            if types.get(name) == "counter":
                assert re.search(rf"(increase|rate)\({name}", rule["expr"]), rule
