"""How many clips a minute the daemon makes with one worker of all threads, and with several that share them.

    python throughput.py --threads 2 --workers 1 2 --clips 12 --rounds 3

Each round makes the same clips with every number of workers, in turn. The frames must be the same. Prints the clips a minute of
each round and their medians.
"""
import argparse
import pathlib
import shutil
import statistics
import tempfile
import time

import box as boxes


def clips(folder, workers, threads, count):
    """(clips a minute, hashes of the frames)."""
    folder.mkdir()
    box = boxes.Box(folder, folder / "state", "--workers", str(workers), "--threads", str(threads))
    box.start()
    fields = [dict(prompt="a red ball bounces on grass", seed=seed) for seed in range(count)]
    # The workers load their models before the clock runs.
    for identifier in [send(box, dict(fields[0], seed=1000 + number)) for number in range(workers)]:
        boxes.wait(box, identifier)
    began = time.monotonic()
    videos = [boxes.wait(box, identifier) for identifier in [send(box, one) for one in fields]]
    seconds = time.monotonic() - began
    box.stop()
    return 60 * count / seconds, [video["sha256"] for video in videos]


def send(box, fields):
    status, video = box.request("POST", "/v1/videos", fields)
    assert status == 200, video
    return video["id"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-throughput-"))
    rates, seen = {number: [] for number in args.workers}, None
    for turn in range(args.rounds):
        for number in args.workers:
            rate, hashes = clips(folder / f"{turn}-{number}", number, args.threads, args.clips)
            assert seen in (None, hashes), "the frames differ"
            seen = hashes
            rates[number].append(rate)
            print(f"{number} workers, {args.threads} threads: {rate:.1f} clips a minute", flush=True)
    for number in args.workers:
        print(f"{number} workers: median {statistics.median(rates[number]):.1f} clips a minute")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
