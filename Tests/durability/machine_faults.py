"""Faults of the machine, one after the other, while real jobs are made: no accepted job may fail of them (docs/FAULTS.md).

    python machine_faults.py --deaths 400 --seed 1

Two clients keep jobs of every kind waiting, pictures and clips given in forms among them. At random moments
- a worker, an inspection, an ffmpeg that reads or writes, or the daemon dies of SIGKILL (these count as deaths),
- an ffmpeg stands still for some seconds (SIGSTOP),
- `sorad-worker`, `ffmpeg` or the model file is away for a second, as during an update,
- the daemon may open almost no descriptors for a second (prlimit), or start almost no processes (the pids controller, where there is
  one that may be written).
It must hold: every accepted job is completed with the frames of an undisturbed run, the same key never makes a second job, and a request
is answered 200, or 503 with `retry-after`. The daemon's soft limit of descriptors is 1,024 at its start, and a third client holds 1,000
idle connections open all the time.
"""
import argparse
import collections
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import box as boxes


def processes():
    """(pid, parent, name) of all."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            name = text[text.index("(") + 1:text.rindex(")")]
            found.append((int(entry), int(text[text.rindex(")") + 2:].split()[1]), name))
    return found


def below(pid):
    """(pid, name, parent's name) of the processes below one."""
    everybody = processes()
    names = {own: name for own, _, name in everybody}
    family, grown = {pid}, True
    while grown:
        more = {own for own, parent, _ in everybody if parent in family} - family
        family |= more
        grown = bool(more)
    return [(own, name, names.get(parent, "")) for own, parent, name in everybody if own in family and own != pid]


class Machine(boxes.Box):
    """A box whose programs and model are copies that can be taken away."""

    def __init__(self, folder, *options):
        super().__init__(folder, folder / "state", *options)
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name in ("sorad", "sorad-worker"):
            shutil.copy2(boxes.BUILD / name, self.bin / name)
        (self.bin / "ffmpeg").symlink_to(shutil.which("ffmpeg"))
        self.model = folder / "mini.gguf"
        shutil.copy2(boxes.MODEL, self.model)
        self.idle = []

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [shutil.which("prlimit"), "--nofile=1024:4096", self.bin / "sorad", "--socket", self.socket, "--state-dir", self.state, "--model",
                 self.model, "--worker", self.bin / "sorad-worker", *self.options], stderr=log, env={"PATH": str(self.bin) + ":/nowhere"})
        self.idle = []
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                self.request("GET", "/healthz")
                break
            except boxes.Gone:
                if self.process.poll() is not None:
                    raise SystemExit(f"sorad ended at its start: {self.tail()}") from None
                time.sleep(0.005)

    def crowd(self, count=1000):
        """Idle connections, as many as are let in; those that were closed are opened again."""
        self.idle = [one for one in self.idle if not closed(one)]
        while len(self.idle) < count:
            one = socket.socket(socket.AF_UNIX)
            one.settimeout(0.2)
            try:
                one.connect(self.socket)
            except OSError:
                return
            self.idle.append(one)

    def upload(self, fields, files, key):
        """(status, JSON) of a form. Throws Gone."""
        body = b""
        for name, value in fields.items():
            body += f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, content in files.items():
            body += f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode() + content + b"\r\n"
        path = "/v1/videos/edits" if "video" in files else "/v1/videos"
        connection = http.client.HTTPConnection("localhost")
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(200)
            connection.sock.connect(self.socket)
            connection.request("POST", path, body + b"--b--\r\n",
                               {"content-type": "multipart/form-data; boundary=b", "idempotency-key": key})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise boxes.Gone(str(error)) from None
        finally:
            connection.close()


def closed(one):
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def kinds(clip):
    """(fields, files) of the jobs: those of the other programs, and forms with a picture and a clip."""
    plain = [(fields, {}) for fields in boxes.requests()]
    return plain + [
        (dict(prompt="a blue ball", seed="7", num_inference_steps="8"), {"input_reference": boxes.red_picture()}),
        (dict(prompt="a green ball", seed="8", num_inference_steps="8"), {"video": clip}),
    ]


def post(box, kind, key):
    fields, files = kind
    if files:
        return box.upload(fields, files, key)
    return box.request("POST", "/v1/videos", fields, key=key)


class Client(threading.Thread):
    """Keeps jobs waiting, each sent again until it is answered."""

    def __init__(self, box, number, kinds, chance, wrong):
        super().__init__(daemon=True)
        self.box, self.number, self.kinds, self.chance, self.wrong = box, number, kinds, chance, wrong
        self.open, self.over, self.ending = {}, {}, False
        self.answers = collections.Counter()

    def run(self):
        count, unsent = 0, None
        while not (self.ending and not self.open and unsent is None):
            try:
                for identifier in list(self.open):
                    video = self.box.video(identifier)
                    if video is None:
                        self.wrong.append(f"{identifier} was accepted and is gone")
                        self.open.pop(identifier)
                    elif video["status"] in ("completed", "failed"):
                        self.over[identifier] = (self.open.pop(identifier), video)
                if unsent is None and len(self.open) < 2 and not self.ending:
                    count += 1
                    unsent = (f"client-{self.number}-{count}", self.chance.randrange(len(self.kinds)))
                if unsent is not None:
                    status, answer = post(self.box, self.kinds[unsent[1]], unsent[0])
                    self.answers[status] += 1
                    if status == 200:
                        if answer["id"] in self.open or answer["id"] in self.over:
                            self.wrong.append(f"two keys gave one job: {answer['id']}")
                        self.open[answer["id"]] = unsent[1]
                        unsent = None
                    elif status != 503:
                        self.wrong.append(f"a good request was refused: {status} {answer}")
                        unsent = None
            except boxes.Gone:
                pass
            time.sleep(0.03)


class Faults:
    def __init__(self, box, chance):
        self.box, self.chance = box, chance
        self.done = collections.Counter()
        self.pids = self.group()

    def group(self):
        """A group of the pids controller, or None."""
        for root in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
            path = pathlib.Path(root) / f"sorad-faults-{os.getpid()}"
            try:
                path.mkdir()
                if (path / "pids.max").exists():
                    return path
                path.rmdir()
            except OSError:
                continue
        return None

    def find(self, fits, seconds=1.5):
        """A process below the daemon, as soon as there is one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [own for own, name, parent in below(self.box.process.pid) if fits(name, parent)]
            if found:
                return self.chance.choice(found)
        return None

    def strike(self):
        getattr(self, self.chance.choice(
            ["worker"] * 4 + ["ffmpeg"] * 6 + ["inspection"] * 3 + ["daemon", "both", "stall", "away", "descriptors", "processes"]))()

    def kill(self, name, fits):
        pid = self.find(fits)
        if pid is None:
            return
        try:
            os.kill(pid, signal.SIGKILL)
            self.done[name] += 1
        except ProcessLookupError:
            pass

    def worker(self):
        self.kill("worker", lambda name, parent: name == "sorad-worker")

    def ffmpeg(self):
        self.kill("ffmpeg", lambda name, parent: name == "ffmpeg")

    def inspection(self):
        main = set(self.box.workers())
        pid = self.find(lambda name, parent: name == "sorad-worker")
        if pid is not None and pid not in main:
            os.kill(pid, signal.SIGKILL)
            self.done["inspection"] += 1

    def daemon(self):
        self.box.process.kill()
        self.box.process.wait()
        self.box.start()
        self.done["daemon"] += 1

    def both(self):
        for pid, _, _ in below(self.box.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.daemon()
        self.done["both"] += 1

    def stall(self):
        pid = self.find(lambda name, parent: name == "ffmpeg")
        if pid is None:
            return
        try:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(self.chance.random() * 3)
            os.kill(pid, signal.SIGCONT)
            self.done["stall"] += 1
        except ProcessLookupError:
            pass

    def away(self):
        path = self.chance.choice([self.box.bin / "sorad-worker", self.box.bin / "ffmpeg", self.box.model])
        aside = path.with_name(path.name + ".away")
        path.rename(aside)
        # So that it is missed.
        for pid in self.box.workers():
            os.kill(pid, signal.SIGKILL)
        time.sleep(1)
        aside.rename(path)
        self.done[f"{path.name} away"] += 1

    def descriptors(self):
        used = len(os.listdir(f"/proc/{self.box.process.pid}/fd"))
        for pid in self.box.workers():
            os.kill(pid, signal.SIGKILL)
        self.limit(used + 2)
        time.sleep(1)
        self.limit(4096)
        self.done["descriptors"] += 1

    def limit(self, count):
        subprocess.run(["prlimit", "--pid", str(self.box.process.pid), f"--nofile={count}:"], check=False)

    def processes(self):
        if self.pids is None:
            return
        (self.pids / "pids.max").write_text("max")
        (self.pids / "cgroup.procs").write_text(str(self.box.process.pid))
        now = int((self.pids / "pids.current").read_text())
        for pid in self.box.workers():
            os.kill(pid, signal.SIGKILL)
        (self.pids / "pids.max").write_text(str(now))
        time.sleep(1)
        (self.pids / "pids.max").write_text("max")
        self.done["processes"] += 1

    @property
    def deaths(self):
        return sum(self.done[name] for name in ("worker", "ffmpeg", "inspection", "daemon", "both"))

    def clean(self):
        if self.pids is not None:
            try:
                for pid in (self.pids / "cgroup.procs").read_text().split():
                    (self.pids.parent / "cgroup.procs").write_text(pid)
                self.pids.rmdir()
            except OSError:
                pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deaths", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--idle", type=int, default=1000, help="connections that are held open")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-faults-"))
    (folder / "calm").mkdir()
    calm = boxes.Box(folder / "calm", folder / "calm" / "state")
    calm.start()
    first = calm.request("POST", "/v1/videos", boxes.requests()[0])[1]["id"]
    boxes.wait(calm, first)
    clip = calm.request("GET", f"/v1/videos/{first}/content")[1]
    jobs = kinds(clip)
    hashes = []
    upload = Machine.upload
    for number, kind in enumerate(jobs):
        status, video = upload(calm, *kind, f"calm-{number}") if kind[1] else calm.request("POST", "/v1/videos", kind[0])
        assert status == 200, video
        hashes.append(boxes.wait(calm, video["id"])["sha256"])
    calm.stop()
    box = Machine(folder, "--worker-silence-floor", "5", "--worker-silence-timeout", "20", "--retry-wait", "5")
    box.start()
    wrong, faults = [], Faults(box, chance)
    clients = [Client(box, number, jobs, random.Random(args.seed + number), wrong) for number in (1, 2)]
    for client in clients:
        client.start()
    told = 0
    try:
        while faults.deaths < args.deaths and not wrong:
            box.crowd(args.idle)
            time.sleep(chance.random() * 0.4)
            faults.strike()
            if faults.deaths >= told + 25:
                told = faults.deaths
                print(dict(faults.done), [len(client.over) for client in clients], flush=True)
        for client in clients:
            client.ending = True
        for client in clients:
            client.join(600)
            wrong += [f"{identifier} is not over: {box.video(identifier)}" for identifier in client.open]
        for one in box.idle:
            one.close()
        box.stop()
    finally:
        if box.process.poll() is None:
            box.process.kill()
            box.process.wait()
        faults.clean()
    over = {identifier: pair for client in clients for identifier, pair in client.over.items()}
    wrong += [f"{identifier}, kind {which}: {video}" for identifier, (which, video) in over.items() if video.get("sha256") != hashes[which]]
    print("\n".join(wrong))
    answers = sum((client.answers for client in clients), collections.Counter())
    print(f"{dict(faults.done)}: {faults.deaths} deaths, {len(over)} jobs, answers {dict(answers)}, {len(wrong)} things wrong")
    if not wrong:
        shutil.rmtree(folder)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
