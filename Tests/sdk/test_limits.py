"""Limits as users and administrators meet them: quotas and privacy by user id, the admin socket, finished clips from the store."""
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

DOCS = pathlib.Path(__file__).parents[2] / "docs"

QUICK = {"num_inference_steps": 1, "num_frames": 5, "size": "64x64"}
LONG = {"num_inference_steps": 1000, "num_frames": 49}
NOBODY, OTHER = 65534, 4321
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")


def post(daemon, path, body, *options, user=None, socket=None):
    """Status, headers and JSON of an answer."""
    who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
    data = ["-H", "content-type: application/json", "-d", json.dumps(body)] if body is not None else []
    run = subprocess.run([*who, "curl", "-sS", "-i", "-m", "60", "--unix-socket", socket or daemon.socket, *data, *options, "http://localhost" + path],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    head, _, body = run.stdout.partition("\n\n") if "\r\n\r\n" not in run.stdout else run.stdout.partition("\r\n\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in head.splitlines()[1:])}
    return int(head.split()[1]), headers, json.loads(body)


def create(daemon, body, user=None):
    return post(daemon, "/v1/videos", {"prompt": "a red ball"} | body, user=user)


def get(daemon, path, user=None):
    return post(daemon, path, None, user=user)


def finished(daemon, video):
    while video["status"] not in ("completed", "failed"):
        time.sleep(0.05)
        video = get(daemon, "/v1/videos/" + video["id"])[2]
    assert video["status"] == "completed", video
    return video


def open_to_all(daemon):
    """Lets other users through to the sockets; pytest's folders are private."""
    folder = daemon.folder
    while str(folder) != "/tmp" and folder != folder.parent:
        folder.chmod(0o755)
        folder = folder.parent
    os.chmod(daemon.socket, 0o777)
    os.chmod(daemon.folder / "admin.sock", 0o777)


def ctl(daemon, *arguments):
    run = daemon.ctl(*arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout


@root_only
def test_users_have_quotas_and_turns_of_their_own(make_daemon):
    daemon = make_daemon()
    open_to_all(daemon)
    ctl(daemon, "pause")
    ctl(daemon, "quota", "default", "--jobs", "2", "--seconds-per-day", "4")
    assert [create(daemon, QUICK, NOBODY)[0] for _ in range(2)] == [200, 200]
    status, headers, answer = create(daemon, QUICK, NOBODY)
    assert status == 429 and answer["error"]["code"] == "quota_exceeded" and int(headers["retry-after"]) >= 1, answer
    assert "you have 2 jobs" in answer["error"]["message"] and "quota is 2" in answer["error"]["message"]
    # Somebody else's quota is untouched, and root has none.
    assert create(daemon, QUICK, OTHER)[0] == 200
    assert [create(daemon, QUICK)[0] for _ in range(4)] == [200] * 4
    # Each sees their own jobs alone.
    theirs = [video["id"] for video in get(daemon, "/v1/videos", NOBODY)[2]["data"]]
    assert len(theirs) == 2 and get(daemon, "/v1/videos/" + theirs[0], OTHER)[0] == 404
    assert len(get(daemon, "/v1/videos")[2]["data"]) == 7
    # Seconds of a day: numbers and the time until there are some again.
    ctl(daemon, "quota", "default", "--jobs", "none")
    status, headers, answer = create(daemon, {"num_frames": 17, "fps": 5}, NOBODY)
    assert status == 429 and "4 s that you may ask for within a day" in answer["error"]["message"], answer
    assert 86_000 <= int(headers["retry-after"]) <= 86_400
    assert create(daemon, {"num_frames": 81, "fps": 5}, OTHER)[0] == 400
    # Users see their own limits and what is used of them.
    mine = get(daemon, "/v1/quota", NOBODY)[2]
    assert mine["user"] == NOBODY and mine["limits"] == {"jobs": None, "seconds_per_day": 4, "bytes": None}, mine
    assert mine["used"]["jobs"] == 2 and mine["used"]["seconds_per_day"] > 0, mine
    # Whose a job is, administrators see alone.
    assert {video["owner"] for video in get(daemon, "/v1/videos")[2]["data"]} == {0, NOBODY, OTHER}
    assert not any("owner" in video for video in get(daemon, "/v1/videos", NOBODY)[2]["data"])
    # A quota of one's own, by number and by name.
    ctl(daemon, "quota", str(NOBODY), "--seconds-per-day", "none")
    assert create(daemon, {"num_frames": 17, "fps": 5}, NOBODY)[0] == 200
    assert json.loads(ctl(daemon, "quota", "--all", "--json"))["users"][str(NOBODY)]["seconds_per_day"] is None
    ctl(daemon, "quota", str(NOBODY), "--remove")
    assert json.loads(ctl(daemon, "quota", "--all", "--json"))["users"] == {}
    # Everybody may stand back, only administrators push ahead.
    assert create(daemon, QUICK | {"priority": 5}, OTHER)[0] == 400
    assert create(daemon, QUICK | {"priority": -5}, OTHER)[2]["priority"] == -5


@root_only
def test_users_take_turns(make_daemon):
    daemon = make_daemon()
    open_to_all(daemon)
    ctl(daemon, "pause")
    jobs = [(user, create(daemon, QUICK, user)[2]["id"]) for user in (NOBODY, NOBODY, NOBODY, OTHER, OTHER)]
    ctl(daemon, "priority", jobs[4][1], "3")
    ctl(daemon, "resume")
    for _, id in jobs:
        finished(daemon, get(daemon, "/v1/videos/" + id)[2])
    order = re.findall(r"(video_\w+) completed", daemon.log.read_text())
    assert order == [jobs[index][1] for index in (4, 0, 3, 1, 2)]


@root_only
def test_a_users_bytes_are_limited_until_they_delete(make_daemon):
    daemon = make_daemon()
    open_to_all(daemon)
    video = finished(daemon, create(daemon, QUICK, NOBODY)[2])
    ctl(daemon, "quota", "default", "--bytes", "1000")
    status, headers, answer = create(daemon, QUICK, NOBODY)
    assert status == 507 and answer["error"]["code"] == "quota_exceeded" and headers["x-should-retry"] == "false", answer
    assert post(daemon, "/v1/videos/" + video["id"], None, "-X", "DELETE", user=NOBODY)[0] == 200
    assert create(daemon, QUICK, NOBODY)[0] == 200


@root_only
@pytest.mark.skipif("SORAD_EMULATED" in os.environ, reason="an emulator does not pass on which groups a peer has (SO_PEERGROUPS)")
def test_the_admin_socket_is_for_administrators(make_daemon):
    # Group 4242 is the admin group here; a user in it, even by a supplementary group, is an administrator everywhere.
    daemon = make_daemon(environment={"SORAD_ADMIN_GROUP": "4242"})
    open_to_all(daemon)
    admin = str(daemon.folder / "admin.sock")
    for path, body in (("/admin/drain", {}), ("/admin/quotas/default", {"jobs": 1}), ("/admin/reload", {})):
        assert post(daemon, path, body, user=NOBODY, socket=admin)[0] == 403
        # The socket for clients knows none of this, not even for root.
        assert post(daemon, path, body)[0] == 404
    assert post(daemon, "/metrics", None, user=NOBODY, socket=admin)[0] == 403
    theirs = create(daemon, QUICK, OTHER)[2]["id"]
    member = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--groups=77,4242", "curl", "-sS", "--unix-socket"]
    status = subprocess.run([*member, admin, "-d", "", "http://localhost/admin/drain"], capture_output=True, text=True)
    assert json.loads(status.stdout)["intake"] == "draining", status
    seen = subprocess.run([*member, daemon.socket, "http://localhost/v1/videos/" + theirs], capture_output=True, text=True)
    assert json.loads(seen.stdout)["id"] == theirs


HOLD = """
import socket, sys, time
held = [socket.socket(socket.AF_UNIX) for _ in range(1000)]
for one in held: one.connect(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""


@root_only
@pytest.mark.parametrize("descriptors", ["1024:1024", "256:256"])
def test_a_users_idle_connections_are_nobody_elses_loss(make_daemon, descriptors):
    daemon = make_daemon(prefix=["prlimit", f"--nofile={descriptors}"])
    open_to_all(daemon)
    who = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    with subprocess.Popen([*who, "/usr/bin/python3", "-c", HOLD, daemon.socket], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            start = time.monotonic()
            status, _, video = create(daemon, QUICK, OTHER)
            assert status == 200, video
            assert post(daemon, "/admin/status", None, socket=str(daemon.folder / "admin.sock"))[0] == 200
            assert time.monotonic() - start < 10
            while video["status"] not in ("completed", "failed"):
                time.sleep(0.05)
                video = get(daemon, "/v1/videos/" + video["id"], OTHER)[2]
            assert video["status"] == "completed", video
        finally:
            holder.kill()


def test_drain_pause_resume(make_daemon):
    daemon = make_daemon()
    assert ctl(daemon, "pause") == "intake open, processing paused, 0 queued, 0 running\n"
    waiting = create(daemon, QUICK)[2]
    assert "draining, processing paused, 1 queued" in ctl(daemon, "drain")
    status, headers, answer = create(daemon, QUICK)
    assert status == 503 and answer["error"]["code"] == "draining" and headers["retry-after"] == "60"
    daemon.stop()
    daemon.start()
    assert create(daemon, QUICK)[0] == 503
    assert get(daemon, "/v1/videos/" + waiting["id"])[2]["status"] == "queued"
    ctl(daemon, "resume")
    finished(daemon, waiting)
    assert ctl(daemon, "log-level", "debug") == "debug\n" and ctl(daemon, "log-level") == "debug\n"
    get(daemon, "/v1/models")
    assert "GET /v1/models 200" in daemon.log.read_text()
    assert ctl(daemon, "reload") == "reloading\n"
    run = daemon.ctl("priority", waiting["id"], "1")
    assert run.returncode == 75 and "its priority has no effect" in run.stderr, run
    assert daemon.ctl("quota", "no-such-user-here", "--jobs", "1").returncode == 66


def test_metrics_are_well_formed(make_daemon):
    daemon = make_daemon()
    finished(daemon, create(daemon, QUICK)[2])
    create(daemon, {"size": "1x1"})
    text = ctl(daemon, "metrics")
    sample = re.compile(r'[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [0-9.e+-]+')
    types = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            types[name] = kind
        elif not line.startswith("# HELP "):
            assert sample.fullmatch(line), line
            name = re.match("[a-z_]+", line).group()
            assert name in types or re.sub("_(bucket|sum|count)$", "", name) in types, line
    model = 'model="sorad-mini"'
    assert f"sorad_jobs_accepted_total{{{model}}} 1\n" in text and f'sorad_jobs_finished_total{{{model},status="completed"}} 1\n' in text
    assert f'sorad_phase_duration_seconds_count{{{model},phase="denoising"}} 1\n' in text
    assert 'sorad_http_requests_total{code="400"} 1\n' in text
    documented = (DOCS / "ADMIN.md").read_text()
    for name in types:
        assert f"`{name}" in documented, name




def test_a_finished_clip_comes_from_the_store_when_asked_for(make_daemon):
    daemon = make_daemon()
    wish = QUICK | {"seed": 5, "guidance_scale": 3, "reuse": True}
    status, headers, first = create(daemon, wish)
    assert status == 200 and "x-sorad-reused" not in headers
    first = finished(daemon, first)
    status, headers, again = create(daemon, wish)
    assert status == 200 and headers["x-sorad-reused"] == "true" and again == first
    # The same effective values, said in other words.
    other_words = {"seed": 5, "reuse": True, "guidance_scale": 3.0, "width": 64, "height": 64, "num_frames": 3, "num_inference_steps": 1}
    assert create(daemon, other_words)[2]["id"] == first["id"]
    # Anything else is another clip, and without being asked a clip is made.
    for change in ({"seed": 6}, {"prompt": "a red  ball"}, {"negative_prompt": "x"}, {"reuse": False}):
        assert create(daemon, wish | change)[2]["id"] != first["id"]
    status, _, answer = create(daemon, QUICK | {"reuse": True})
    assert status == 400 and answer["error"]["param"] == "reuse"
    post(daemon, "/v1/videos/" + first["id"], None, "-X", "DELETE")
    assert create(daemon, wish | {"seed": 5})[2]["id"] != first["id"]


def estimated_bytes(daemon, size):
    told = daemon.ctl("models", "show", "sorad-mini", "--size", size, "--frames", "17", "--json")
    return json.loads(told.stdout)["estimate"]["memory_bytes"]


def test_a_clip_that_memory_cannot_hold_is_refused_with_the_largest_that_it_can(make_daemon):
    large, small = (estimated_bytes(make_daemon(size), size) for size in ("192x128", "64x64"))
    limit = (large + small) / 2e6
    daemon = make_daemon(environment={"SORAD_MEMORY_LIMIT": f"{limit:.0f}"})
    status, headers, answer = create(daemon, {"num_inference_steps": 1, "size": "192x128", "num_frames": 17})
    assert status == 400 and headers["x-should-retry"] == "false" and answer["error"]["code"] == "insufficient_memory", answer
    sentence = answer["error"]["message"]
    need, most, size = re.fullmatch(
        r"this clip needs (\S+) MB of memory, and sorad can use (\S+) MB here at most; ask for (?:at most \d+ frames, or for )?(\d+x\d+)",
        sentence).groups()
    assert float(need) > limit - 1 and most == f"{limit:.0f}.0"
    # What it offers is taken, and made.
    status, _, video = create(daemon, {"num_inference_steps": 1, "size": size, "num_frames": 17})
    assert status == 200, video
    finished(daemon, video)
