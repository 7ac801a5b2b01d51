"""What an idle daemon costs, and how quickly it is there.

    python idle.py --starts 20 --seconds 60

Prints the time from the program's start to its first answer, on an empty state folder and on one with a thousand jobs; its memory; and
how often each of its threads woke up in a time, without and with a watchdog of the service manager, and once a worker has been
there and gone. It must hold: no thread wakes but for the watchdog.
"""
import argparse
import os
import pathlib
import shutil
import socket
import sqlite3
import statistics
import tempfile
import threading
import time

import box as boxes


def wakeups(process):
    """Times that each thread gave up the processor of its own will: it is woken once for each."""
    counts = {}
    for task in pathlib.Path(f"/proc/{process}/task").iterdir():
        text = (task / "status").read_text()
        name = (task / "comm").read_text().strip()
        counts[name] = int(next(line for line in text.splitlines() if line.startswith("voluntary_ctxt_switches")).split()[1])
    return counts


def watch(process, seconds):
    """Wake-ups of all threads in `seconds`, without those that the measurement makes."""
    before = wakeups(process)
    time.sleep(seconds)
    after = wakeups(process)
    assert before.keys() == after.keys(), (before, after)
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


class Manager:
    """The service manager's socket."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.messages = []

    def take(self):
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def collect(self, seconds):
        """Takes what comes in `seconds`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.messages += self.take()
            time.sleep(0.5)


def quiet(seconds, watchdog=None):
    """An idle daemon's wake-ups by thread, how many were due, and its memory."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-idle-"))
    try:
        manager = Manager(folder)
        environment = {"NOTIFY_SOCKET": manager.path} | ({"WATCHDOG_USEC": str(int(watchdog * 1e6))} if watchdog else {})
        with boxes.Box(environment=environment) as box:
            time.sleep(2)
            manager.take()
            # A socket that nobody reads holds ten messages.
            reader = threading.Thread(target=manager.collect, args=(seconds + 1,))
            reader.start()
            seen = watch(box.process.pid, seconds)
            reader.join()
            return seen, sum("WATCHDOG=1" in message for message in manager.messages), boxes.memory(box.process.pid)
    finally:
        shutil.rmtree(folder)


def quiet_after_work(seconds):
    """As above, once a clip was made and the worker has left: its memory is given back, and no timer runs."""
    with boxes.Box("--worker-idle-timeout", "1", "--keep-days", "0", "--keep-digests-days", "0") as box:
        box.finish(boxes.TINY)
        while box.worker():
            time.sleep(0.1)
        time.sleep(2)
        return watch(box.process.pid, seconds), boxes.memory(box.process.pid)


def fill(box, count):
    """Multiplies one job's record and files."""
    clip = box.finish(boxes.TINY)["id"]
    box.process.terminate()
    box.process.wait(20)
    state = box.folder / "state"
    with sqlite3.connect(state / "jobs.sqlite") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(job)")]
        row = database.execute(f"SELECT {', '.join(columns)} FROM job").fetchone()
        for number in range(count - 1):
            values = dict(zip(columns, row))
            # Identifiers count up; the last ten digits are free.
            values["id"] = clip[:-10] + f"{number:010d}"
            database.execute(f"INSERT INTO job ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", [values[c] for c in columns])
            shutil.copytree(state / "spool" / clip, state / "spool" / values["id"])


def starts(count, jobs):
    with boxes.Box() as box:
        if jobs:
            fill(box, jobs)
        times = []
        for _ in range(count):
            if box.process.poll() is None:
                box.process.terminate()
                box.process.wait(20)
            if not jobs:
                shutil.rmtree(box.folder / "state")
            times.append(box.start())
        listed = box.request("GET", "/v1/videos?limit=100")[1]["data"]
        assert len(listed) == min(jobs, 100), len(listed)
        return times


def run(count, seconds):
    for jobs in (0, 1000):
        times = starts(count, jobs)
        print(f"first answer after {statistics.median(times) * 1000:.1f} ms (median of {count}; longest {max(times) * 1000:.1f}) with {jobs} jobs")
    seen, _, (rss, pss) = quiet(seconds)
    print(f"idle for {seconds} s: RSS {rss / 1e6:.1f} MB, Pss {pss / 1e6:.1f} MB, wake-ups {seen or 'none'}")
    assert not seen, seen
    seen, told, _ = quiet(seconds, watchdog=4)
    print(f"idle for {seconds} s with a watchdog of 4 s: told it {told} times, wake-ups {seen}")
    assert told >= seconds / 4 and sum(seen.values()) <= told + 1, (told, seen)
    seen, (rss, _) = quiet_after_work(seconds)
    print(f"idle for {seconds} s after a clip: RSS {rss / 1e6:.1f} MB, wake-ups {seen or 'none'}")
    assert not seen, seen


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=60)
    arguments = parser.parse_args()
    run(arguments.starts, arguments.seconds)
