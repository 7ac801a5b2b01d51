"""Measures what checkpoints cost: the same clips by two workers in turn, one that writes checkpoints and one that never does.

    python checkpoint_cost.py --clips 20

Tells the ratio of the medians of the whole clips, of denoising alone and of decoding alone, and what the worker says that writing took. The
folder of the clips lies where TMPDIR says: it should be on the disk that is meant.
"""
import argparse
import json
import os
import pathlib
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import time

import box as boxes

REQUESTS = {
    "128x128, 17 frames, 24 steps": dict(width=128, height=128, numFrames=17, numInferenceSteps=24),
    "256x256, 17 frames, 12 steps": dict(width=256, height=256, numFrames=17, numInferenceSteps=12),
    "128x128, 81 frames, 4 steps": dict(width=128, height=128, numFrames=81, numInferenceSteps=4),
}


class Worker:
    """One sorad-worker and the other end of its socket."""

    def __init__(self, *options):
        self.channel, child = socket.socketpair()
        self.process = subprocess.Popen(
            [boxes.BUILD / "sorad-worker", "--model", boxes.MODEL, *options],
            preexec_fn=lambda: os.dup2(child.fileno(), 3), close_fds=False)
        child.close()
        self.model = self.receive()["ready"]["model"]

    def receive(self):
        while True:
            head = self.channel.recv(4, socket.MSG_WAITALL)
            event = json.loads(self.channel.recv(struct.unpack("<I", head)[0], socket.MSG_WAITALL))
            if "alive" not in event and "progress" not in event:
                return event

    def clip(self, shape, directory):
        """(seconds, result)"""
        request = dict(shape, model=self.model["id"], prompt="a red ball bounces on grass", negativePrompt="", fps=16, seed=1,
                       guidanceScale=4, flowShift=3)
        command = json.dumps(dict(generate=dict(job="job", request=request, directory=str(directory), expectedSeconds={}))).encode()
        directory.mkdir()
        began = time.monotonic()
        self.channel.sendall(struct.pack("<I", len(command)) + command)
        answer = self.receive()
        seconds = time.monotonic() - began
        shutil.rmtree(directory)
        return seconds, answer["finished"]["result"]

    def end(self):
        self.channel.close()
        self.process.wait(20)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sorad-cost-"))
    workers = dict(without=Worker("--checkpoint-interval", "3600000"), every_step=Worker())
    for name, shape in REQUESTS.items():
        whole, denoising, decoding = ({k: [] for k in workers} for _ in range(3))
        written, hashes = [], set()
        for number in range(args.clips + 1):
            for kind, worker in workers.items():
                seconds, result = worker.clip(shape, folder / "job")
                hashes.add(result["sha256"])
                if number == 0:
                    continue        # warms up
                whole[kind].append(seconds)
                denoising[kind].append(result["timings"]["denoising"])
                decoding[kind].append(result["timings"]["decoding"])
                if kind == "every_step":
                    written.append(result["timings"]["checkpoints"])
        assert len(hashes) == 1, hashes
        ratio = lambda times: statistics.median(times["every_step"]) / statistics.median(times["without"])
        print(f"{name}: {args.clips} clips each, {statistics.median(whole['without']) * 1e3:.1f} ms without; whole clip x {ratio(whole):.4f}, "
              f"denoising x {ratio(denoising):.4f}, decoding x {ratio(decoding):.4f}; writing itself {statistics.median(written) * 1e3:.2f} ms a clip", flush=True)
    for worker in workers.values():
        worker.end()
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
