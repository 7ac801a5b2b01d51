"""Kills, stops and freezes the worker, the daemon or both at random moments of real jobs, and looks whether anything was lost.

    python crash.py --kills 300 --seed 1

Two clients keep jobs of every kind waiting, each sent with an Idempotency-Key and sent again until it is answered. It must
hold: every accepted job is completed with the frames of an undisturbed run; the same key never makes a second job; after a
death at most one finished denoise step is done again; a worker that is frozen (SIGSTOP) is killed in time and its job goes
on, and one that is frozen for a moment only is left alone. A worker is killed again only after the job went on past the
place where the last one died, since two deaths at one place are the job's own fault as far as sorad can tell.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import tempfile
import time

import box as boxes

# Seconds: of silence until a worker is killed, at the least and at the most.
PATIENCE = (5, 15)


class Client:
    """Keeps `waiting` jobs sent and not over, and remembers all."""

    def __init__(self, box, waiting, chance):
        self.box, self.waiting, self.chance = box, waiting, chance
        self.number, self.unsent, self.open, self.over = 0, None, {}, {}
        self.fields = boxes.requests()

    def work(self):
        """One round: looks at what is open, sends what is missing. Throws Gone, and can then be called again."""
        for identifier in list(self.open):
            video = self.box.video(identifier)
            if video is None:
                raise SystemExit(f"{identifier} was accepted and is gone")
            if video["status"] in ("completed", "failed"):
                self.over[identifier] = (self.open.pop(identifier), video)
        while len(self.open) < self.waiting:
            if self.unsent is None:
                self.number += 1
                self.unsent = (f"crash-{self.number}", self.chance.randrange(len(self.fields)))
            key, which = self.unsent
            status, answer = self.box.request("POST", "/v1/videos", self.fields[which], key=key)
            if status != 200:
                raise SystemExit(f"a good request was refused: {status} {answer}")
            if answer["id"] in self.open or answer["id"] in self.over:
                raise SystemExit(f"two keys gave one job: {answer['id']}")
            self.open[answer["id"]] = which
            self.unsent = None


class Killer:
    def __init__(self, box, chance):
        self.box, self.chance = box, chance
        self.kills = dict(worker=0, daemon=0, both=0, frozen=0, thawed_late=0, thawed_soon=0)
        self.place = {}             # of each job, the step at which its worker was killed last
        self.wrong = []
        self.slowest = 0            # seconds from a freeze to the worker's death

    def running(self, client):
        """(identifier, step) of the job that is being made, or None."""
        for identifier in client.open:
            video = self.box.video(identifier)
            if video and video["status"] == "in_progress":
                return identifier, video.get("step") or 0
        return None

    def strike(self, client):
        kind = self.chance.choice(list(self.kills))
        job = self.running(client)
        worker = self.box.worker()
        if kind != "daemon" and (worker is None or job is None or job[1] <= self.place.get(job[0], -1)):
            return                  # not its turn: nobody there, or the job has not gone on since the last death
        if kind == "worker":
            os.kill(worker, signal.SIGKILL)
        elif kind in ("daemon", "both"):
            if kind == "both":
                os.kill(worker, signal.SIGKILL)
            self.box.process.kill()
            self.box.process.wait()
            self.box.start()
        else:
            self.freeze(kind, worker)
        self.kills[kind] += 1
        if job and kind != "thawed_soon":
            self.place[job[0]] = job[1]

    def freeze(self, kind, worker):
        os.kill(worker, signal.SIGSTOP)
        began = time.monotonic()
        if kind == "thawed_soon":
            time.sleep(self.chance.random() * PATIENCE[0] / 2)
            os.kill(worker, signal.SIGCONT)
            return
        # A worker without a job is not missed; one with a job is killed in time.
        while self.box.worker() == worker:
            if time.monotonic() - began > PATIENCE[1] + 10:
                os.kill(worker, signal.SIGCONT)
                self.wrong.append(f"the frozen worker {worker} was not killed")
                return
            time.sleep(0.01)
        self.slowest = max(self.slowest, time.monotonic() - began)
        if kind == "thawed_late":
            try:
                os.kill(worker, signal.SIGCONT)
            except ProcessLookupError:
                pass


def redone(log):
    """Steps that were done again after each death of a worker that the daemon saw, from its log."""
    lost, steps = {}, []
    for line in log.splitlines():
        if found := re.search(r"(video_\w+) lost its worker at step (\d+) ", line):
            lost[found[1]] = int(found[2])
        elif found := re.search(r"(video_\w+) goes on at step (\d+) ", line):
            if found[1] in lost:
                steps.append(max(0, lost.pop(found[1]) - int(found[2])))
    return steps, len(lost)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-crash-"))
    hashes = boxes.undisturbed(folder / "undisturbed")
    least, most = map(str, PATIENCE)
    box = boxes.Box(folder, folder / "state", "--worker-silence-floor", least, "--worker-silence-timeout", most,
                    "--worker-start-timeout", most)
    box.start()
    client, killer = Client(box, 3, chance), Killer(box, chance)
    told = 0
    try:
        while sum(killer.kills.values()) < args.kills:
            pause = time.monotonic() + chance.random() * 0.6
            while time.monotonic() < pause:
                client.work()
                time.sleep(0.01)
            killer.strike(client)
            if sum(killer.kills.values()) >= told + 25:
                told = sum(killer.kills.values())
                print(killer.kills, flush=True)
        client.waiting = 0
        while client.open:
            client.work()
            time.sleep(0.05)
        box.stop()
    finally:
        if box.process.poll() is None:
            box.process.kill()
            box.process.wait()
    wrong = killer.wrong + [
        f"{identifier}: {video}" for identifier, (which, video) in client.over.items() if video.get("sha256") != hashes[which]]
    log = (folder / "log").read_text(errors="replace")
    steps, unseen = redone(log)
    silent = log.count(" and is killed") - killer.kills["frozen"] - killer.kills["thawed_late"]
    wrong += [f"{step} steps were done again after a death" for step in steps if step > 1]
    print("\n".join(wrong))
    print(f"{killer.kills} kills, {len(client.over)} jobs, {len(wrong)} things wrong; a frozen worker was dead after at most "
          f"{killer.slowest:.1f} s; steps done again after the {len(steps)} deaths in the middle of denoising: most {max(steps, default=0)}, "
          f"none in {steps.count(0)}; {unseen} deaths outside of it; {max(0, silent)} workers that were not frozen were killed for their silence")
    if not wrong:
        shutil.rmtree(folder)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
