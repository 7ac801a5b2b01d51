"""Measures how long a cancel takes in every phase of a job.

    python cancel.py --times 20

For each phase: a job is sent and one more behind it, the first is cancelled while it is in that phase (or while it waits), and
two times are taken from the POST on: until the client has the answer that says so, and until the worker has let go of it, which
is when the job behind it is begun. Ends with 1 when one of them took longer than 200 ms.
"""
import argparse
import pathlib
import shutil
import statistics
import tempfile
import time

import box as boxes

LIMIT = 0.2
SMALL = dict(prompt="a red ball", size="128x128", num_frames=5, num_inference_steps=1)
# Large enough that every phase can be met.
LARGE = dict(prompt="a red ball bounces on grass", size="192x128", num_frames=49, num_inference_steps=2)
CASES = {
    "waiting": ("queued", LARGE),
    "loading the model": ("loading", SMALL),
    "encoding the text": ("encoding_text", dict(LARGE, prompt=" ".join(["a red ball bounces on grass and"] * 12))),
    "encoding given frames": ("encoding_frames", None),
    "denoising, 128x128": ("denoising", dict(SMALL, num_frames=17, num_inference_steps=40)),
    "denoising, 192x128": ("denoising", dict(LARGE, num_frames=17, num_inference_steps=40)),
    "denoising, 192x128, 49 frames": ("denoising", LARGE),
    "decoding, 192x128": ("decoding", LARGE),
    "writing the files": ("writing", dict(LARGE, num_inference_steps=1)),
}


def cancel_in(box, phase, send):
    """Seconds until the answer, seconds until the job behind is begun; None when the phase was over before it was seen."""
    if phase == "queued":
        ahead = create(box, LARGE)
    victim = send(box)
    behind = create(box, SMALL)
    while True:
        video = box.video(victim)
        if video["status"] in ("completed", "failed"):
            boxes.wait(box, behind)
            return None
        if video["status"] == phase or video.get("phase") == phase:
            break
    began = time.monotonic()
    status, video = box.request("POST", f"/v1/videos/{victim}/cancel")
    answered = time.monotonic() - began
    assert status == 200, video
    if video["status"] == "completed":
        boxes.wait(box, behind)
        return None
    assert video["status"] == "failed" and video["error"]["code"] == "cancelled", video
    free = 0.0
    if phase == "queued":
        box.request("POST", f"/v1/videos/{ahead}/cancel")
    else:
        while box.video(behind)["status"] == "queued":
            pass
        free = time.monotonic() - began
    boxes.wait(box, behind)
    return answered, free


def create(box, fields):
    status, video = box.request("POST", "/v1/videos", fields)
    assert status == 200, video
    return video["id"]


def remix(source):
    def send(box):
        status, video = box.request("POST", f"/v1/videos/{source}/remix", dict(prompt="a blue box"))
        assert status == 200, video
        return video["id"]
    return send


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--only", default="", help="only the cases whose name has this in it")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-cancel-"))
    lasting, leaving = folder / "lasting", folder / "leaving"
    for place in (lasting, leaving):
        place.mkdir()
    # A worker that leaves after every job has to load the model for the next.
    box, fresh = boxes.Box(lasting, lasting / "state"), boxes.Box(leaving, leaving / "state", "--worker-idle-timeout", "0")
    try:
        box.start()
        fresh.start()
        slow = measure(box, fresh, args)
        for one in (box, fresh):
            one.stop()
    finally:
        for one in (box, fresh):
            if one.process and one.process.poll() is None:
                one.process.kill()
                one.process.wait()
    shutil.rmtree(folder)
    print(f"longer than {LIMIT * 1e3:.0f} ms: {', '.join(slow) or 'none'}")
    raise SystemExit(1 if slow else 0)


def measure(box, fresh, args):
    """Prints the times of every case; the names of those that took too long."""
    slow = []
    for name, (phase, fields) in CASES.items():
        if args.only not in name:
            continue
        if fields is None:
            source = create(box, dict(LARGE, num_inference_steps=1))
            assert boxes.wait(box, source)["status"] == "completed"
            send = remix(source)
        else:
            send = lambda box, fields=fields: create(box, fields)
        taken, tries = [], 0
        while len(taken) < args.times and tries < 10 * args.times:
            tries += 1
            result = cancel_in(fresh if phase == "loading" else box, phase, send)
            if result:
                taken.append(result)
        if not taken:
            print(f"{name}: never seen in {tries} jobs", flush=True)
            slow.append(name)
            continue
        words = [f"median {statistics.median(t) * 1e3:.0f} ms, most {max(t) * 1e3:.0f} ms" for t in zip(*taken)]
        print(f"{name}: {len(taken)} times; answered: {words[0]}; worker free: {words[1]}", flush=True)
        if max(max(t) for t in taken) > LIMIT:
            slow.append(name)
    return slow


if __name__ == "__main__":
    main()
