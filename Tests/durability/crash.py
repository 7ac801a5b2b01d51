"""Kills, stops and freezes workers, the daemon or both at random moments of real jobs, and looks whether anything was lost.

    python crash.py --kills 300 --seed 1
    python crash.py --kills 100 --workers 2

Two clients keep jobs of every kind waiting, each sent with an Idempotency-Key and sent again until it is answered. It must
hold: every accepted job is completed with the frames of an undisturbed run; the same key never makes a second job; after a
death at most one finished denoise step is done again, and decoding continues after the last group of frames; a worker that is frozen (SIGSTOP) is killed in time and its job
continues, and one that is frozen for a moment only is left alone. A worker is killed again only after the job went on past the
place where the last one died, so that it shows how much is done again. With several
workers every running job must have gone on, since it is not seen from outside which worker has which job; and it must hold
that as many jobs as workers run at once, and that the death of one worker costs the other's job nothing.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import time

import box as boxes

# Seconds: of silence until a worker is killed, the least and the most.
HANG_LIMIT = (5, 15)


PHASES = ["loading", "encoding_text", "encoding_frames", "denoising", "decoding", "writing"]


def place(phase, step, frame):
    """How far a job has come: what can be compared."""
    number = {"denoising": step, "decoding": frame}.get(phase)
    return PHASES.index(phase) if phase in PHASES else -1, int(number or 0)


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
        self.place = {}             # of each job, the (phase, step or frame) at which its worker was killed last
        self.wrong = []
        self.slowest = 0            # seconds from a freeze to the worker's death
        self.most = 0               # jobs that were seen running at once

    def running(self, client):
        """Places by identifier of the jobs that are being made."""
        videos = [(identifier, self.box.video(identifier)) for identifier in client.open]
        return {identifier: place(video.get("phase"), video.get("step"), video.get("frame"))
                for identifier, video in videos if video and video["status"] == "in_progress"}

    def strike(self, client):
        kind = self.chance.choice(list(self.kills))
        if kind == "daemon" and self.kills[kind] > min(self.kills.values()) + 10:
            return                  # it can always be struck, and must not be struck alone
        jobs = self.running(client)
        self.most = max(self.most, len(jobs))
        workers = self.box.workers()
        stuck = any(reached <= self.place.get(identifier, (-1, 0)) for identifier, reached in jobs.items())
        if kind != "daemon" and (not workers or not jobs or stuck):
            return                  # not its turn: nobody there, or a job has not gone on since its last death
        worker = self.chance.choice(workers) if workers else None
        told = len(self.log())
        if kind == "worker":
            os.kill(worker, signal.SIGKILL)
            self.wait_for_death(worker)
        elif kind in ("daemon", "both"):
            if kind == "both":
                os.kill(worker, signal.SIGKILL)
            self.box.process.kill()
            self.box.process.wait()
            self.box.start()
        else:
            self.freeze(kind, worker)
        self.kills[kind] += 1
        if kind == "thawed_soon":
            return
        lost = self.lost(told, 0 if kind in ("daemon", "both") else 3)
        for identifier, phase, number in lost if kind != "daemon" else []:
            # It may have come further than was seen: the daemon knows.
            self.reach(identifier, place(phase, number, number))
        for identifier, reached in jobs.items():
            if kind in ("daemon", "both") or not lost or identifier in {l[0] for l in lost}:
                self.reach(identifier, reached)
        if kind not in ("daemon", "both") and len({l[0] for l in lost}) > 1:
            self.wrong.append(f"one death took several jobs: {lost}")

    def lost(self, told, seconds):
        """(identifier, phase, number) of the jobs that the log, from `told` on, says to have lost their workers. Waits until there is one."""
        deadline = time.monotonic() + seconds
        while True:
            found = re.findall(r"(video_\w+) lost its worker while ([a-z_]+)(?:, after (?:step|frame) (\d+))?", self.log()[told:])
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    def reach(self, identifier, reached):
        self.place[identifier] = max(self.place.get(identifier, (-1, 0)), reached)

    def log(self):
        return (self.box.folder / "log").read_text(errors="replace")

    def wait_for_death(self, worker):
        while worker in self.box.workers():
            time.sleep(0.001)
        time.sleep(0.05)            # the daemon writes its log

    def freeze(self, kind, worker):
        os.kill(worker, signal.SIGSTOP)
        began = time.monotonic()
        if kind == "thawed_soon":
            time.sleep(self.chance.random() * HANG_LIMIT[0] / 2)
            os.kill(worker, signal.SIGCONT)
            return
        last = began
        while worker in self.box.workers():
            if time.monotonic() - last > 1:
                began += time.monotonic() - last        # everything stood still
            last = time.monotonic()
            if last - began > 2 * HANG_LIMIT[1]:
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
    """Steps and frames that were done again after each death of a worker that the daemon saw, from its log."""
    lost, again = {}, {"step": [], "frame": []}
    for line in log.splitlines():
        if found := re.search(r"(video_\w+) lost its worker while [a-z_]+, after (step|frame) (\d+)", line):
            lost[found[1], found[2]] = int(found[3])
        elif found := re.search(r"(video_\w+) continues after (step|frame) (\d+)", line):
            if (found[1], found[2]) in lost:
                again[found[2]].append(max(0, lost.pop((found[1], found[2])) - int(found[3])))
    return again["step"], again["frame"], len(lost)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="of the daemon")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-crash-"))
    hashes = boxes.undisturbed(folder / "undisturbed")
    least, most = map(str, HANG_LIMIT)
    box = boxes.Box(folder, folder / "state", "--worker-silence-floor", least, "--worker-silence-timeout", most,
                    "--worker-start-timeout", most, "--workers", str(args.workers))
    box.start()
    client, killer = Client(box, 2 + args.workers, chance), Killer(box, chance)
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
    steps, frames, unseen = redone(log)
    silent = log.count(" and is killed") - killer.kills["frozen"] - killer.kills["thawed_late"]
    if killer.most != args.workers:
        wrong.append(f"at most {killer.most} jobs were seen running at once")
    wrong += [f"{step} steps were done again after a death" for step in steps if step > 1]
    print("\n".join(wrong))
    print(f"{killer.kills} kills, {len(client.over)} jobs, {len(wrong)} things wrong; a frozen worker was dead after at most "
          f"{killer.slowest:.1f} s; steps done again after the {len(steps)} deaths in the middle of denoising: most {max(steps, default=0)}, "
          f"none in {steps.count(0)}; frames decoded again after {len(frames)} deaths in the middle of decoding: most {max(frames, default=0)}; "
          f"{unseen} deaths outside of it; {max(0, silent)} workers that were not frozen were killed for their silence")
    if not wrong:
        shutil.rmtree(folder)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
