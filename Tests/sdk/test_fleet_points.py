"""Kills the daemon, sorad-fleet or both before each of the system calls by which a job comes into the pool and back (SORAD_FLEET_POINTS=1).

strace counts the calls that change a file, start a program or send a message, from the request on, in each thread, and kills at the Nth;
N grows until the clip is made without a kill. So every state between two of them is met once, from the request to the record of the result.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from fleet import SHORT, box, local, make_fleet  # noqa: F401

CALLS = ",".join("?" + name for name in (
    "mkdir mkdirat rename renameat renameat2 unlink unlinkat rmdir link linkat ftruncate flock fsync fdatasync write pwrite64 "
    "sendto sendmsg clone clone3 vfork").split())
MOST = 300

pytestmark = [
    pytest.mark.skipif("SORAD_FLEET_POINTS" not in os.environ, reason="takes a quarter of an hour; SORAD_FLEET_POINTS=1 runs it"),
    pytest.mark.skipif(shutil.which("strace") is None or os.geteuid() != 0, reason="strace is not here or may not trace"),
]


class Kill:
    """Ends a process at its Nth call. Programs that it starts are not traced."""

    def __init__(self, process, point, trace):
        self.process, self.trace = process, trace
        self.strace = subprocess.Popen(
            ["strace", "-f", "-b", "execve", "-o", trace, "-p", str(process.pid), "-e", f"trace={CALLS}", "-e",
             f"inject={CALLS}:signal=KILL:when={point}"], stderr=subprocess.PIPE, text=True)
        # A word for each thread; the last one comes before the first call is counted.
        assert "attached" in self.strace.stderr.readline()

    @property
    def has_come(self):
        return self.process.poll() is not None

    def end(self):
        """The call at which it came; None where it did not come."""
        if not self.has_come:
            self.strace.send_signal(signal.SIGINT)
        self.strace.communicate(timeout=20)
        if not self.has_come:
            return None
        assert self.process.wait(20) == -signal.SIGKILL
        lines = [line for line in self.trace.read_text(errors="replace").splitlines() if "INJECTED" in line or "unfinished" in line]
        return re.sub(r"^\d+ +", "", lines[-1])[:70] if lines else "?"


def ask(daemon, key):
    """Sends the request, and does not wait for its answer."""
    return subprocess.Popen(
        ["curl", "-sS", "--unix-socket", daemon.socket, "-H", "content-type: application/json", "-H", f"idempotency-key: {key}", "-d",
         json.dumps(SHORT), "http://localhost/v1/videos"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def is_recorded(fleet, done):
    """A further clip is in the spool, and its folder of the pool is gone: seen without a question to the daemon, which would be counted."""
    state = fleet.folder / "head" / "state"
    clips = {path.parent.name for path in (state / "spool").glob("*/*.mp4")} - done
    return bool(clips) and not any((state / "fleet" / id).exists() for id in clips)


@pytest.mark.parametrize("both", [False, True], ids=["alone", "both"])
@pytest.mark.parametrize("victim", ["fleet", "daemon"])
def test_a_kill_at_every_point(make_fleet, local, tmp_path, victim, both):
    fleet = make_fleet()
    fleet.add_box("boxa")
    expected = local(SHORT)
    done, points = set(), []
    for point in range(1, MOST):
        process = fleet.fleet if victim == "fleet" else fleet.daemon.process
        kill = Kill(process, point, tmp_path / "trace")
        key = f"point-{point}"
        asked = ask(fleet.daemon, key)
        deadline = time.monotonic() + 120
        while not kill.has_come and not is_recorded(fleet, done):
            assert time.monotonic() < deadline, fleet.logs()
            time.sleep(0.02)
        # A last call may follow the record.
        if not kill.has_come:
            time.sleep(1)
        call = kill.end()
        asked.communicate(timeout=60)
        others = [each for each in (fleet.fleet, fleet.daemon.process) if both and call and each is not process]
        for each in others:
            each.kill()
            each.wait()
        if fleet.daemon.process.poll() is not None:
            fleet.daemon.start()
        if fleet.fleet.poll() is not None:
            fleet.start_fleet()
        answer = json.loads(ask(fleet.daemon, key).communicate(timeout=60)[0])
        assert "id" in answer, answer
        id = answer["id"]
        assert fleet.finish(id)["sha256"] == expected
        assert len(fleet.jobs(id)) == 1, f"point {point}, {call}\n{fleet.logs()}"
        done.add(id)
        listed = json.loads(fleet.daemon.curl("/v1/videos?limit=100").stdout)["data"]
        assert len(listed) == len({video["id"] for video in listed}) == 1, "the request made two jobs"
        assert fleet.daemon.ctl("delete", id, "--yes").returncode == 0
        if call is None:
            break
        points.append(call)
    else:
        pytest.fail(f"killed {MOST} times, and the clip never came")
    print(f"\n{victim}{' and the other' if both else ''}: {len(points)} points, one job each")
    for number, call in enumerate(points, 1):
        print(f"  {number:3} {call}")
    assert len(points) > 20
