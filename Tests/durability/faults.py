"""Lets the disk fail once, or for a while, at every single operation of a job, and looks whether the job survives.

    python faults.py

The daemon's state lies in a FUSE folder (`faulty_folder.py`). For ENOSPC and EIO, for one failing operation and for a
disk that fails from there on until it is mended: a job is sent while operation 1, 2, 3 ... fails, up to the last one that
a job makes. It must hold: a request that was answered with 200 leads to the frames of an undisturbed run once the disk
works again; a refused one says so in a JSON error with a status of 500 or more, and works when it is sent again;
the daemon continues, or, started again, knows every job that it accepted.
"""
import argparse
import errno
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import box as boxes

JOB = dict(prompt="a red ball bounces on grass", seed=1, num_inference_steps=3, num_frames=9)
FOREVER = 1 << 30


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take only every n-th operation")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-faults-"))
    control, mounted = folder / "control", folder / "mounted"
    for name in ("behind", "mounted"):
        (folder / name).mkdir()
    server = subprocess.Popen(
        [sys.executable, pathlib.Path(__file__).parent / "faulty_folder.py", mounted, folder / "behind", control])
    while not mounted.is_mount():
        assert server.poll() is None, "the FUSE folder did not start: are fuse3 and mfusepy installed?"
        time.sleep(0.05)
    box = boxes.Box(folder, mounted / "state")
    try:
        failures = trial(box, control, args.every)
    finally:
        if box.process and box.process.poll() is None:
            box.process.kill()
            box.process.wait()
        subprocess.run(["fusermount3", "-u", mounted], check=True)
        server.wait(20)
    if not failures:
        shutil.rmtree(folder)
    raise SystemExit(1 if failures else 0)


def trial(box, control, every):
    box.start()
    control.write_text("undisturbed")
    expected = send_and_wait(box, "undisturbed")["sha256"]
    operations = len(pathlib.Path(f"{control}.seen").read_text().splitlines())
    print(f"a job makes {operations} operations that change something", flush=True)
    tried = refused = restarts = failures = missed = 0
    for code in (errno.ENOSPC, errno.EIO):
        for count in (1, FOREVER):
            for number in range(1, operations + 1, every):
                name = f"{errno.errorcode[code]}-{'once' if count == 1 else 'on'}-{number}"
                control.write_text(f"{code} {number} {count}")
                accepted, sentence = None, None
                try:
                    status, answer = box.request("POST", "/v1/videos", JOB, key=name)
                    if status == 200:
                        accepted = answer["id"]
                        if not follow(box, accepted, control, number, 0.6 if count > 1 else 60):
                            missed += 1
                    elif status < 500 or not answer["error"]["message"]:
                        sentence = f"a refusal that is none: {status} {answer}"
                    else:
                        refused += 1
                except boxes.Gone:
                    pass
                control.write_text("mended")
                tried += 1
                if box.process.poll() is not None:
                    restarts += 1
                    box.start()
                if accepted and seen(box, accepted) is None:
                    sentence = f"{accepted} was accepted and is gone"
                if sentence is None:
                    video = send_and_wait(box, name)
                    if accepted and video["id"] != accepted:
                        sentence = f"the same key made another job: {video['id']} after {accepted}"
                    elif video.get("sha256") != expected:
                        sentence = f"not the frames of an undisturbed run: {video}"
                if sentence:
                    failures += 1
                    print(f"{name}: {sentence}", flush=True)
            print(f"{tried} faults: {refused} requests refused, {restarts} restarts of the daemon, {failures} wrong; "
                  f"{missed} operations that their job did not come to", flush=True)
    return failures


def seen(box, identifier):
    """The job as soon as the daemon can look again."""
    deadline = time.monotonic() + 120
    while (video := box.video(identifier)) and video["status"] == "unavailable":
        assert time.monotonic() < deadline, "the daemon has not recovered"
        time.sleep(0.05)
    return video


def follow(box, identifier, control, number, seconds):
    """Looks at a job until it has ended, at most a given time after operation `number` failed. Whether that was met at all."""
    met = None
    began = time.monotonic()
    while True:
        now = time.monotonic()
        if met is None and len(pathlib.Path(f"{control}.seen").read_text().splitlines()) >= number:
            met = now
        is_over = box.video(identifier)["status"] in ("completed", "failed")
        if is_over or now > (met or began + 60) + seconds:
            return met is not None
        time.sleep(0.01)


def send_and_wait(box, key):
    """The video of JOB under this key, over; sent again as a client does while the daemon says that it cannot now."""
    deadline = time.monotonic() + 300
    while True:
        status, answer = box.request("POST", "/v1/videos", JOB, key=key)
        if status == 200:
            return boxes.wait(box, answer["id"], 300)
        assert status >= 500 and time.monotonic() < deadline, (status, answer)
        time.sleep(0.2)


if __name__ == "__main__":
    main()
