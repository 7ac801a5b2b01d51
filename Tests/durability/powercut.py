"""Cuts the power at many points of a daemon's life and looks whether anything that was promised is gone.

    python powercut.py --points 500 --seed 1

Runs as root. The daemon's state lies on ext4 on a loop device on a disk that records every write and flush
(`recorded_disk.py`). After the run the disk is rebuilt as it would be after a power cut at a random record, mounted
(ext4 replays its journal), and must hold: a sound database; every job whose creation was answered before the cut,
unless its deletion was asked for; no job whose deletion was answered; every clip that the API called completed, with
the very bytes that were served; and nothing half: whatever the database calls completed has whole files. At every
tenth point sorad is started on the disk and must finish all jobs with the frames of an undisturbed run.
"""
import argparse
import bisect
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

import box as boxes
from recorded_disk import image_after, read_log

SIZE = 80 << 20         # sorad leaves 32 MB of a disk free


def run(*command):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout.strip()


class Life:
    """What a client saw, each with the log's length when it saw it."""

    def __init__(self, log):
        self.log = log
        self.created, self.deleting, self.deleted, self.completed = {}, {}, {}, {}
        self.request_of, self.video_bytes = {}, {}

    def mark(self, kind, identifier):
        kind.setdefault(identifier, self.log.stat().st_size)


def live(box, life, rounds, chance):
    """A client's day: jobs, deletions, and now and then a death of the daemon."""
    fields = boxes.requests()
    for turn in range(rounds):
        which = turn % len(fields)
        status, video = box.request("POST", "/v1/videos", fields[which])
        assert status == 200, video
        life.mark(life.created, video["id"])
        life.request_of[video["id"]] = which
        if turn % 5 == 3:
            time.sleep(chance.random() * 0.3)
            box.process.kill()
            box.process.wait()
            box.start()
        elif turn % 5 != 4:
            assert boxes.wait(box, video["id"])["status"] == "completed"
            life.mark(life.completed, video["id"])
            life.video_bytes[video["id"]] = box.request("GET", f"/v1/videos/{video['id']}/content")[1]
        if turn % 4 == 2:
            victim = chance.choice([v for v in life.created if v not in life.deleting])
            life.mark(life.deleting, victim)
            assert box.request("DELETE", "/v1/videos/" + victim)[0] == 200
            life.mark(life.deleted, victim)
    for identifier in life.created:
        if identifier not in life.deleted:
            assert boxes.wait(box, identifier)["status"] == "completed"
            life.mark(life.completed, identifier)
            life.video_bytes[identifier] = box.request("GET", f"/v1/videos/{identifier}/content")[1]


def record(folder, rounds, chance):
    """(first image, records, length of the log after each record, what the client saw)."""
    folder, log = folder / "recorded", folder / "log"
    for name in (folder, folder.parent / "disk", folder.parent / "mounted"):
        name.mkdir()
    server = subprocess.Popen(
        [sys.executable, pathlib.Path(__file__).parent / "recorded_disk.py", folder.parent / "disk", str(SIZE), log])
    disk = folder.parent / "disk" / "disk"
    while not disk.exists():
        assert server.poll() is None, "the FUSE disk did not start: are fuse3 and mfusepy installed?"
        time.sleep(0.05)
    run("mkfs.ext4", "-q", "-F", disk)
    loop = run("losetup", "--show", "-f", disk)
    try:
        run("mount", loop, folder.parent / "mounted")
        box = boxes.Box(folder, folder.parent / "mounted" / "state")
        run("sync")
        life = Life(log)
        begin = log.stat().st_size
        box.start()
        live(box, life, rounds, chance)
        box.stop()
        run("umount", folder.parent / "mounted")
    finally:
        subprocess.run(["umount", str(folder.parent / "mounted")], capture_output=True)
        run("losetup", "-d", loop)
        run("fusermount3", "-u", "-z", folder.parent / "disk")
        server.wait(20)
    records = read_log(log)
    ends, at = [], 0
    for one in records:
        at += 1 if one is None else 13 + len(one[1])
        ends.append(at)
    return records, ends, begin, life


def plays(clip):
    told = subprocess.run(["ffmpeg", "-v", "error", "-i", clip, "-f", "null", "-"], capture_output=True, text=True)
    return told.returncode == 0 and not told.stderr


def check(state, cut, life, hashes, revive, folder):
    """Sentences about what is wrong with a disk after a cut at byte `cut` of the log."""
    wrong = []
    before = lambda kind, identifier: kind.get(identifier, cut + 1) <= cut
    database = state / "jobs.sqlite"
    rows = {}
    if database.exists() and database.stat().st_size:
        with sqlite3.connect(database) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if verdict != "ok":
                return [f"the database is damaged: {verdict}"]
            if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'job'").fetchone()[0]:
                rows = dict(connection.execute("SELECT id, status FROM job"))
        connection.close()
    for identifier in life.created:
        if before(life.created, identifier) and not before(life.deleting, identifier) and identifier not in rows:
            wrong.append(f"{identifier} was accepted and is gone")
        if before(life.deleted, identifier) and identifier in rows:
            wrong.append(f"{identifier} was deleted and is back")
        if before(life.completed, identifier) and not before(life.deleting, identifier) and rows.get(identifier) != "completed":
            wrong.append(f"{identifier} was completed and is {rows.get(identifier)}")
    for identifier, status in rows.items():
        # A deletion that was under way may have taken the files already; its record goes at the next start.
        if status == "completed" and not before(life.deleting, identifier):
            clips = list((state / "spool" / identifier).glob("*.mp4"))
            served = life.video_bytes.get(identifier)       # None when it was deleted before anybody fetched it
            if not clips or (clips[0].read_bytes() != served if served else not plays(clips[0])):
                wrong.append(f"{identifier} is called completed and its clip is {'damaged' if clips else 'gone'}")
    if revive and not wrong:
        box = boxes.Box(folder, state)
        box.start()
        for identifier in life.created:
            video = box.video(identifier)
            if video is None:
                if before(life.created, identifier) and not before(life.deleting, identifier):
                    wrong.append(f"{identifier} is unknown after a new start")
                continue
            video = boxes.wait(box, identifier)
            if video.get("sha256") != hashes[life.request_of[identifier]]:
                wrong.append(f"{identifier} came out differently: {video}")
        box.stop()
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=20, help="requests in the daemon's life")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chance = random.Random(args.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-powercut-"))
    hashes = boxes.undisturbed(folder / "undisturbed")
    records, ends, begin, life = record(folder, args.rounds, chance)
    first = bisect.bisect_right(ends, begin)
    print(f"{len(records)} records, {sum(r is None for r in records)} of them flushes; {len(life.created)} jobs, "
          f"{len(life.deleted)} deleted", flush=True)
    failures = revived = repaired = 0
    image, mounted = folder / "image", folder / "after"
    mounted.mkdir()
    for point in range(args.points):
        count = chance.randrange(first, len(records) + 1)
        image.write_bytes(image_after(records, count, SIZE, chance))
        loop = run("losetup", "--show", "-f", image)
        try:
            if subprocess.run(["mount", loop, mounted], capture_output=True).returncode:
                # A torn superblock: what an init system does before it mounts.
                subprocess.run(["e2fsck", "-fy", loop], capture_output=True)
                repaired += 1
                run("mount", loop, mounted)
            revive = point % 10 == 9
            revived += revive
            wrong = check(mounted / "state", ends[count - 1], life, hashes, revive, folder / "recorded")
        finally:
            subprocess.run(["umount", str(mounted)], capture_output=True)
            run("losetup", "-d", loop)
        for sentence in wrong:
            print(f"point {point}, cut after record {count}: {sentence}", flush=True)
        failures += bool(wrong)
        if point % 50 == 49:
            print(f"{point + 1} points, {repaired} whose file system needed e2fsck, {revived} started again, {failures} with something wrong", flush=True)
    if not failures:
        shutil.rmtree(folder)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
