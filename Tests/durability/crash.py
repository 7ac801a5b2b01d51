"""Kills the worker, the daemon or both at random moments of real jobs, and looks whether anything was lost.

    python crash.py --kills 300 --seed 1

Two clients keep jobs of every kind waiting, each sent with an Idempotency-Key and sent again until it is answered. It must
hold: every accepted job is completed with the frames of an undisturbed run; the same key never makes a second job. A
worker is killed again only after the job went on past the place where the last one died, since two deaths at one place
are the job's own fault as far as sorad can tell. Tells how many denoise steps were done again after each death, as far
as a client sees steps.
"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import tempfile
import time

import box as boxes


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
        self.kills = dict(worker=0, daemon=0, both=0)
        self.place = {}             # of each job, the step at which its worker was killed last
        self.redone = []            # steps, one entry for each death whose job was seen again

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
        else:
            if kind == "both":
                os.kill(worker, signal.SIGKILL)
            self.box.process.kill()
            self.box.process.wait()
            self.box.start()
        self.kills[kind] += 1
        if job:
            self.place[job[0]] = job[1]
            self.see_again(*job)

    def see_again(self, identifier, step):
        """Waits until the job is being made again, to see from where."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            video = self.box.video(identifier)
            if video["status"] in ("completed", "failed"):
                return
            if video["status"] == "in_progress" and video.get("step"):
                self.redone.append(max(0, step - video["step"]))
                return
            time.sleep(0.002)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-crash-"))
    hashes = boxes.undisturbed(folder / "undisturbed")
    box = boxes.Box(folder, folder / "state")
    box.start()
    client, killer = Client(box, 3, chance), Killer(box, chance)
    try:
        while sum(killer.kills.values()) < args.kills:
            pause = time.monotonic() + chance.random() * 0.6
            while time.monotonic() < pause:
                client.work()
                time.sleep(0.01)
            killer.strike(client)
        client.waiting = 0
        while client.open:
            client.work()
            time.sleep(0.05)
        box.stop()
    finally:
        if box.process.poll() is None:
            box.process.kill()
            box.process.wait()
    wrong = [f"{identifier}: {video}" for identifier, (which, video) in client.over.items() if video.get("sha256") != hashes[which]]
    print("\n".join(wrong))
    steps = sorted(killer.redone)
    print(f"{killer.kills} kills, {len(client.over)} jobs, {len(wrong)} of them not as in an undisturbed run; "
          f"steps done again after a death: median {steps[len(steps) // 2]}, most {steps[-1]}, none in {steps.count(0)} of {len(steps)}")
    if not wrong:
        shutil.rmtree(folder)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
