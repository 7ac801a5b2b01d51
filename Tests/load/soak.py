"""Many jobs of a real model, and whether anything grows.

    python soak.py --jobs 10000

Jobs of the smallest kind go through one daemon and, as long as it lives, one worker; half of them are deleted, the others go when the
budget for clips is reached. At intervals it looks at memory, descriptors, threads and the state folder, and in the end draws a line
through each, from the point where the budget is full: growth for a thousand jobs, and its standard error. Memory must be flat: no line
rises by more than three standard errors and 64 KiB for a thousand jobs. The state folder may rise by 512 KiB: the digests of clips that were
removed stay, so that a clip can be told to be sorad's.
"""
import argparse
import json
import os
import pathlib
import signal
import time

import box as boxes

ALLOWED = {"state folder": 512 << 10}


def look(box):
    worker = box.worker()
    rss, pss = boxes.memory(box.process.pid)
    values = {"daemon RSS": rss, "daemon Pss": pss, "daemon anonymous": boxes.status(box.process.pid, "RssAnon") * 1024}
    for name, process in (("daemon", box.process.pid), ("worker", worker)):
        values[f"{name} descriptors"] = len(os.listdir(f"/proc/{process}/fd"))
        values[f"{name} threads"] = boxes.status(process, "Threads")
    values["worker RSS"], values["worker Pss"] = boxes.memory(worker)
    values["worker anonymous"] = boxes.status(worker, "RssAnon") * 1024
    values["state folder"] = sum(f.lstat().st_blocks * 512 for f in (box.folder / "state").rglob("*") if f.exists())
    return values


def line(points):
    """Least squares: (slope, standard error) for points (x, y)."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    return slope, (rest / max(n - 2, 1) / spread) ** 0.5


def report(samples, skip):
    """Prints the lines; the names of those that rise."""
    rising = []
    if len(samples) < 3:
        print("too few jobs for a line")
        return []
    settled = [(jobs, values) for jobs, values in samples if jobs >= skip]
    for name in samples[0][1]:
        slope, error = line([(jobs / 1000, values[name]) for jobs, values in settled])
        first, last = settled[0][1][name], settled[-1][1][name]
        print(f"{name}: {first:,} to {last:,}; {slope:+,.1f} ± {error:,.1f} for a thousand jobs")
        if "Pss" not in name and slope > 3 * error + (ALLOWED.get(name, 64 << 10) if last > 1000 else 0.05):
            rising.append(name)
    return rising


def run(jobs, skip, every, model):
    options = ["--keep-megabytes", "1", "--queue-limit", "1000"]
    with boxes.Box(*options, model=model) as box:
        samples, began = [], time.monotonic()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        open_jobs, done = [], 0
        try:
            while done < jobs:
                while len(open_jobs) < 20:
                    status, video = box.request("POST", "/v1/videos", boxes.TINY | {"seed": done + len(open_jobs)})
                    assert status == 200, (status, video)
                    open_jobs.append(video["id"])
                video = box.video(open_jobs[0])
                if video["status"] not in ("completed", "failed"):
                    time.sleep(0.02)
                    continue
                assert video["status"] == "completed", video
                open_jobs.pop(0)
                if done % 2:
                    assert box.request("DELETE", "/v1/videos/" + video["id"])[0] == 200
                done += 1
                if done % every == 0:
                    samples.append((done, look(box)))
                    print(json.dumps({"jobs": done, "seconds": round(time.monotonic() - began, 1)} | samples[-1][1]), flush=True)
        except KeyboardInterrupt:
            pass
        print(f"{done} jobs in {time.monotonic() - began:.0f} s")
        rising = report(samples, skip)
        assert not rising, f"grows: {', '.join(rising)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--skip", type=int, default=None, help="jobs before the lines begin; a fifth by default")
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--model", type=pathlib.Path, default=boxes.MODEL)
    arguments = parser.parse_args()
    run(arguments.jobs, arguments.jobs // 5 if arguments.skip is None else arguments.skip, arguments.every, arguments.model)
