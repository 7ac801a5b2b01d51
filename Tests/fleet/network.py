"""A head and three boxes with the real HTCondor (as root): what no fake can show. See machines.py for the machines, arm.py for the
emulated one.

    python network.py --tree DIR --installed DIR [--arm-tree DIR --arm-sdk DIR --arm-debs DIR] [--full] [--results FILE] [--only NAME …]

`--tree` is a folder for the Debian system, made with debootstrap where it does not exist; `--installed` is what
`make install DESTDIR=… PREFIX=/usr` wrote. Needs the official SDK (Tests/sdk/requirements.txt). With --arm-tree, made like --tree, a fourth
box is an ARM machine in the emulator of --arm-sdk (what scripts/arm-sdk made), with the packages of --arm-debs (what `make deb-arm`
wrote). `--full` has the numbers that a release is judged by (over an hour), else they are small (a quarter of an hour). `--results` gets
what was done, line by line as it happens. `--only` runs some of the parts, in their order:
"""
import argparse
import contextlib
import pathlib
import random
import shutil
import signal
import sys
import time

from arm import ArmTrial, make_arm_tree, set_up_arm
from machines import Head, give_token, make_tree, ready, set_up, tear_down, wait
from trial import CLIP, LONG, SHORT

SLOW = "1mbit"  # of a link on which a transfer takes long enough to be hit


class Fleet(ArmTrial):
    def clip(self):
        """one clip by the official SDK, the frames of a single machine"""
        begun = time.monotonic()
        id = self.create(SHORT | {"seed": 7})
        video = self.finish(id)
        return f"{time.monotonic() - begun:.0f} s, sha256 {video['sha256'][:16]}…"

    def losses(self):
        """clips while boxes lose their power in denoising, decoding and transfer, and the head at any time"""
        counts = self.options.losses
        todo = [place for place, count in counts.items() for _ in range(count)]
        random.shuffle(todo)
        done = dict.fromkeys(counts, 0)
        missed = 0
        ids = []

        def feed():
            """There is always something to disturb."""
            running = [id for id in ids if self.video(id).get("status") in ("queued", "in_progress", None)]
            for number in range(max(self.options.clips - len(ids), 3 - len(running))):
                ids.append(self.create(CLIP | {"seed": len(ids) % self.options.seeds}))

        while todo:
            place = todo[0]
            feed()
            time.sleep(random.uniform(0, 2))
            machine = self.lose(place, ids)
            if machine is None:
                missed += 1
                assert missed < 10 + 3 * sum(counts.values()), f"{place} was never hit"
                continue
            todo.pop(0)
            done[place] += 1
            say(f"  {machine.name} lost its power: {place} ({sum(done.values())} of {sum(counts.values())})")
            time.sleep(random.uniform(0, 5))
            machine.boot()
        for number, id in enumerate(ids, 1):
            self.finish(id)
            say(f"  {id} completed with the frames of a single machine, one job ({number} of {len(ids)}); done again {self.again([id])}")
        return f"{len(ids)} clips; losses {done}; done again at most {self.again(ids)}"

    def lose(self, place, ids):
        """Takes the power of a machine at that moment of a clip; None where it did not come, or was missed."""
        if place == "head":
            self.head.lose_power()
            return self.head
        if place == "transfer":
            return self.lose_in_transfer(ids)
        wanted = {"denoising": 1, "decoding": 2}[place]

        def there():
            for id in ids:
                now, word = self.records.of[id].words[-1] if self.records.of[id].words else (0, None)
                if time.monotonic() - now < 1 and isinstance(word, tuple) and word[0] == wanted and word[1] > 0:
                    if (box := self.box_of(id)) and box.is_on:
                        return box
            return None

        if box := self.soon(there, 20):
            box.lose_power()
        return box

    def lose_in_transfer(self, ids):
        """On a slow link a transfer takes a second or two; HTCondor's log says when it begins and ends."""
        boxes = [box for box in self.boxes if box.is_on]
        for box in boxes:
            box.slow(SLOW)
        lost = None
        try:
            if found := self.soon(lambda: self.transfer(ids), 30):
                log, lost = found
                time.sleep(random.uniform(0, 0.5))
                lost.lose_power()
        finally:
            for box in boxes:
                box.slow(None)
        if lost is None or self.is_transferring(log):
            return lost
        lost.boot()
        return None

    def transfer(self, ids):
        """The log of a clip whose files are on their way to the head, and the box."""
        for id in ids:
            for log in self.head.fleet_folder(id).glob("log.*"):
                if self.is_transferring(log) and (box := self.box_of(id)) and box.is_on:
                    return log, box
        return None

    @staticmethod
    def is_transferring(log):
        with contextlib.suppress(OSError):
            events = [event for event in log.read_text().split("...\n") if event.strip()]
            return bool(events) and "Started transferring output files" in events[-1]
        return False

    @staticmethod
    def soon(question, seconds):
        """Its answer as soon as there is one; None after that time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if answer := question():
                return answer
            time.sleep(0.01)
        return None

    def lost_box(self):
        """a lost box's clip runs elsewhere within 150 s"""
        id = self.create(LONG | {"seed": 1})
        box = self.on_a_box(id, 5)
        box.lose_power()
        begun = time.monotonic()
        wait("another box", lambda: (self.video(id).get("box") or box.name) != box.name, 400)
        seconds = time.monotonic() - begun
        box.boot()
        self.forget(id)
        assert seconds <= 150, seconds
        return f"{seconds:.0f} s"

    def short_cut(self):
        """a link that is away for less than the lease: nothing is done again, the box keeps the clip"""
        id = self.create(LONG | {"seed": 2})
        box = self.on_a_box(id, 5)
        box.cut()
        time.sleep(30)
        box.mend()
        reached = self.records.of[id].position
        wait("further steps", lambda: self.records.of[id].position > reached, 120)
        wait("no note", lambda: self.video(id).get("note") is None, 60)
        again = self.records.of[id].again()
        now = self.box_of(id)
        self.forget(id)
        assert not again, again
        assert now in (box, None), now
        return f"30 s away, then {reached[1]} steps and none again"

    def long_cut(self):
        """a link that is away for longer than the lease: another box continues, and the first one stops"""
        id = self.create(LONG | {"seed": 3})
        box = self.on_a_box(id, 50)
        box.cut()
        begun = time.monotonic()
        wait("another box", lambda: (self.video(id).get("box") or box.name) != box.name, 400)
        seconds = time.monotonic() - begun
        wait(f"no worker on {box.name}", lambda: not box.has_worker(), 120)
        alone = time.monotonic() - begun
        box.mend()
        wait(f"{box.name} in the pool", lambda: box.name in ready(self.head), 300, 1)
        assert len(self.head.jobs(id)) == 1
        again = self.again([id])
        self.forget(id)
        return f"elsewhere after {seconds:.0f} s, its own worker gone after {alone:.0f} s; done again {again}"

    def drain(self):
        """a drained box puts its clip down, and no step is done again"""
        id = self.create(LONG | {"seed": 4})
        box = self.on_a_box(id, 50)
        self.head.do("condor_drain", f"slot1@{box.name}")
        begun = time.monotonic()
        wait("another box", lambda: (self.video(id).get("box") or box.name) != box.name, 300)
        seconds = time.monotonic() - begun
        reached = self.records.of[id].position
        wait("further steps", lambda: self.records.of[id].position > reached, 120)
        self.head.do("condor_drain", "-cancel", f"slot1@{box.name}")
        again = self.records.of[id].again()
        self.forget(id)
        assert not again, again
        return f"elsewhere after {seconds:.0f} s at step {reached[1]}"

    def unwanted(self):
        """cancel and delete reach a box within 5 s and leave nothing"""
        said = []
        for way in ("cancel", "delete"):
            id = self.create(LONG | {"seed": 5})
            box = self.on_a_box(id, 5)
            self.head.ask("POST", f"/v1/videos/{id}/cancel", {}) if way == "cancel" else self.forget(id)
            begun = time.monotonic()
            wait("the end of the worker", lambda: not box.has_worker(), 20, 0.05)
            wait("nothing left", lambda: not self.left(id), 30, 0.05)
            seconds = time.monotonic() - begun
            assert seconds <= 5, f"{way}: {seconds}"
            said.append(f"{way} {seconds:.1f} s")
        return ", ".join(said)

    def submission(self):
        """a kill -9 of sorad-fleet, the daemon or both before, after and during a submission: one job each"""
        ids = []
        for point in ("before", "after", "late"):
            for victims in (("sorad-fleet",), ("sorad",), ("sorad", "sorad-fleet")):
                processes = {"sorad": self.head.daemon, "sorad-fleet": self.head.fleet}
                # sorad-fleet is the parent of the command that kills, so it comes last.
                numbers = " ".join(self.head.number_of(name) for name in victims)
                self.head.do("sh", "-c", f"echo {point} {numbers} > /run/sorad/.kill; mv /run/sorad/.kill /run/sorad/kill-submit")
                ids.append(self.create(SHORT | {"seed": len(ids) % self.options.seeds}))
                for name in victims:
                    assert processes[name].wait(60) != 0, f"{name} was not killed"
                if "sorad" in victims:
                    self.head.start_daemon()
                if "sorad-fleet" in victims:
                    self.head.start_fleet()
                wait("the daemon", self.head.is_healthy)
                # The next kill is for the next clip.
                wait("its job", lambda: self.head.jobs(ids[-1]))
        for id in ids:
            self.finish(id)
        wait("no folder of a clip that is recorded", lambda: not any(self.head.fleet_folder(id).exists() for id in ids), 60)
        return f"{len(ids)} kills, one job each"

    def hang(self):
        """a worker that hangs on a box that is well: another box continues"""
        id = self.create(LONG | {"seed": 6})
        box = self.on_a_box(id, 50)
        box.do("pkill", "-STOP", "-f", "sorad-worker.*--once")
        begun = time.monotonic()
        wait("another box", lambda: (self.video(id).get("box") or box.name) != box.name, 200)
        seconds = time.monotonic() - begun
        wait(f"no worker on {box.name}", lambda: not box.has_worker(), 60)
        reached = self.records.of[id].position
        wait("further steps", lambda: self.records.of[id].position > reached, 60)
        assert len(self.head.jobs(id)) == 1
        again = self.again([id])
        self.forget(id)
        return f"elsewhere after {seconds:.0f} s, of which {Head.SILENCE} s are --silence-timeout; done again {again}"

    def full_disk(self):
        """the head's disk fills while a clip is made: it waits, says why, and is finished as the same job when there is space"""
        head = self.head
        head.stop_programs()
        head.do("mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "none", head.STATE)
        head.do("chown", "sorad:sorad", head.STATE)
        head.start_daemon("--min-free", "8")
        head.start_fleet()
        wait("the daemon", head.is_healthy)
        id = self.create(CLIP | {"num_inference_steps": 200, "seed": 8})
        wait("steps", lambda: self.video(id).get("step", 0) > 20, 300)
        head.do("sh", "-c", f"cat /dev/zero > {head.STATE}/filler", check=False)
        begun = time.monotonic()
        note = wait("a note", lambda: (self.video(id).get("note") or "").startswith("the disk is full") and self.video(id)["note"], 300)
        seconds = time.monotonic() - begun
        assert self.video(id)["status"] == "queued" and head.ask("GET", "/healthz")["status"] == "degraded", self.video(id)
        # Longer than the pool's own time between two tries.
        time.sleep(90)
        assert self.video(id)["note"] == note, self.video(id)
        head.do("rm", f"{head.STATE}/filler")
        begun = time.monotonic()
        self.finish(id)
        said = f"waits after {seconds:.0f} s, finished {time.monotonic() - begun:.0f} s after there is space"
        head.stop_programs()
        head.do("umount", head.STATE)
        head.start_daemon()
        head.start_fleet()
        return said

    def unfit(self):
        """a box without ffmpeg, without power or without a token gets no clip"""
        box = self.boxes[-1]
        box.do("mv", "/usr/bin/ffmpeg", "/usr/bin/ffmpeg.away")
        wait("a box that is not ready", lambda: box.name not in ready(self.head), 120, 1)
        wait("a sentence", lambda: "ffmpeg is not installed" in self.told(box), 120, 1)
        box.do("mv", "/usr/bin/ffmpeg.away", "/usr/bin/ffmpeg")
        box.lose_power()
        begun = time.monotonic()
        wait("the end of its advertisement", lambda: not self.told(box), 300, 1)
        seconds = time.monotonic() - begun
        token = box.disk / "etc/condor/tokens.d/head"
        token.unlink()
        box.boot()
        time.sleep(60)
        assert not self.told(box)
        box.lose_power()
        give_token(self.head, box)
        box.boot()
        wait("the box with a token", lambda: box.name in ready(self.head), 180, 1)
        return f"without power it is no longer listed after {seconds:.0f} s"

    def told(self, box):
        """Its line of `sorad-ctl fleet`."""
        lines = self.head.do("sorad-ctl", "--socket", "/run/sorad/sorad.sock", "fleet").stdout.splitlines()
        return "".join(line for line in lines if line.startswith(f"{box.name} "))


PARTS = ("clip", "submission", "unwanted", "drain", "hang", "short_cut", "lost_box", "long_cut", "losses", "full_disk", "unfit", "arm_clip",
         "arm")


results = None


def say(line):
    print(line, flush=True)
    if results:
        print(time.strftime("%Y-%m-%d %H:%M:%S"), line, file=results, flush=True)


def main():
    global results
    parts = "\n".join(f"  {name:<11} {getattr(Fleet, name).__doc__}" for name in PARTS)
    parser = argparse.ArgumentParser(description=__doc__ + parts, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=pathlib.Path, required=True)
    parser.add_argument("--installed", type=pathlib.Path, required=True)
    for name in ("arm-tree", "arm-sdk", "arm-debs", "results"):
        parser.add_argument(f"--{name}", type=pathlib.Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--clips", type=int)
    parser.add_argument("--losses", help="denoising,decoding,transfer,head: how often each")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    options.clips = options.clips or (30 if options.full else 6)
    options.seeds = options.clips if options.full else 3
    counts = options.losses or ("10,10,10,5" if options.full else "1,1,1,1")
    options.losses = dict(zip(("denoising", "decoding", "transfer", "head"), map(int, counts.split(",")), strict=True))
    if options.results:
        results = open(options.results, "a")
        say(" ".join(sys.argv))
    # What it started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tree, installed = options.tree.resolve(), options.installed.resolve()
    make_tree(tree, installed)
    if options.arm_tree:
        make_arm_tree(options.arm_tree.resolve(), tree, options.arm_debs.resolve())
    elif all(name.startswith("arm") for name in options.only):
        parser.error("this needs --arm-tree, --arm-sdk and --arm-debs")
    work = tree.parent / "machines"
    tear_down()
    shutil.rmtree(work, ignore_errors=True)
    try:
        begun = time.monotonic()
        head, boxes = set_up(tree, work)
        arm = set_up_arm(head, options.arm_tree.resolve(), work, options.arm_sdk.resolve()) if options.arm_tree else None
        say(f"head and {len(boxes)} boxes: {time.monotonic() - begun:.0f} s")
        trial = Fleet(head, boxes, arm, installed, options)
        for name in PARTS:
            if name in options.only and (arm or not name.startswith("arm")):
                begun = time.monotonic()
                said = getattr(trial, name)()
                say(f"{getattr(Fleet, name).__doc__}: {said} ({time.monotonic() - begun:.0f} s)")
    except BaseException as error:
        say(f"failed: {error!r}")
        raise
    finally:
        tear_down()
    say("fleet: all shown")


if __name__ == "__main__":
    main()
