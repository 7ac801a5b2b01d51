#!/usr/bin/env python3
"""What busy CPUs and CPU quotas cost: the same passes by sorad-bench, alone and next to programs that never rest.

    Tests/bench/shared_cpu.py --sorad .build/release/sorad-bench [--rounds 3] [--quotas]

Next to one busy program on a CPU of its own, all threads may take at most 1.6 times what one thread fewer takes there. With --quotas
(root, cgroup version 1 or 2) the same pass runs with 150 % and 50 % of a CPU, and the periods in which it was throttled are counted. On a
machine that does other things the figures say little.
"""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys

SHAPE = ["--model", "wan-1.3b", "--layers", "1", "--frames", "5", "--height", "16", "--width", "16", "--json"]


def seconds(sorad, threads, cgroup=None):
    words = [sorad, "forward", *SHAPE] + (["--threads", str(threads)] if threads else [])
    enter = (lambda: (cgroup / "cgroup.procs").write_text(str(os.getpid()))) if cgroup else None
    found = subprocess.run(words, check=True, capture_output=True, text=True, preexec_fn=enter)
    return json.loads(found.stdout)["seconds"]


@contextlib.contextmanager
def busy(cpu):
    """A program that keeps one CPU."""
    child = subprocess.Popen(["taskset", "-c", str(cpu), sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def quota(percent):
    """A control group with a percentage of one CPU, and a function for (periods, throttled ones)."""
    for root in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup"):
        group = pathlib.Path(root) / f"sorad-bench-{os.getpid()}"
        if not os.access(root, os.W_OK):
            continue
        group.mkdir()
        try:
            if (group / "cpu.max").exists():
                (group / "cpu.max").write_text(f"{percent * 1000} 100000")
            elif (group / "cpu.cfs_quota_us").exists():
                (group / "cpu.cfs_quota_us").write_text(str(percent * 1000))
            else:
                continue

            def count():
                lines = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
                return int(lines["nr_periods"]), int(lines["nr_throttled"])

            yield group, count
            return
        finally:
            group.rmdir()
    raise SystemExit("no control group can be made")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sorad", required=True, help="sorad-bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quotas", action="store_true")
    args = parser.parse_args()
    count = len(os.sched_getaffinity(0))
    if count < 2:
        raise SystemExit("one CPU cannot be shared in this way")
    cpus = sorted(os.sched_getaffinity(0))
    alone, fewer, all_ = [], [], []
    for _ in range(args.rounds):
        alone.append(seconds(args.sorad, count))
        with busy(cpus[-1]):
            fewer.append(seconds(args.sorad, count - 1))
            all_.append(seconds(args.sorad, count))
    alone, fewer, all_ = map(statistics.median, (alone, fewer, all_))
    print(f"{count} threads alone {alone:.3f} s; next to a busy CPU: {count - 1} threads {fewer:.3f} s, {count} threads {all_:.3f} s, "
          f"{all_ / fewer:.2f} times as long")
    wrong = all_ > 1.6 * fewer
    if args.quotas:
        for percent in (150, 50):
            with quota(percent) as (group, counts):
                before = counts()
                took = seconds(args.sorad, None, group)
                periods, throttled = (after - first for after, first in zip(counts(), before))
                print(f"quota of {percent} %: {took:.3f} s, throttled in {throttled} of {periods} periods")
                wrong |= percent > 100 and throttled > periods / 10
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
