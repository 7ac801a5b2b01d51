"""A pool for one daemon: sorad-fleet, and a fake HTCondor (Tests/fakes/condor/pool.py) whose boxes run the real worker.

SORAD_FLEET: the number of boxes that every daemon of these tests gets; without it the daemons make their clips themselves.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM = pathlib.Path(__file__).parents[1] / "fakes" / "condor" / "pool.py"
COMMANDS = ("condor_submit", "condor_q", "condor_history", "condor_rm", "condor_release", "condor_qedit", "condor_vacate_job", "condor_status")
BOXES = int(os.environ.get("SORAD_FLEET", "0"))


def children(process):
    """Numbers of the processes that any thread of a process has started."""
    found = []
    for path in pathlib.Path(f"/proc/{process.pid}/task").glob("*/children"):
        try:
            found += [int(number) for number in path.read_text().split()]
        except FileNotFoundError:
            pass
    return found


class Pool:
    """The processes next to a daemon in `folder`: the fake HTCondor, which gives jobs to boxes, and sorad-fleet."""

    running = []
    # The digests of model files, read once for all pools.
    digests = tempfile.TemporaryDirectory(prefix="sorad-digests-")

    def __init__(self, build, folder, socket, state, prefix=()):
        self.build, self.folder, self.socket, self.state, self.prefix = build, folder, socket, state, prefix
        self.root = folder / "pool"
        self.root.mkdir()
        commands = folder / "bin"
        commands.mkdir()
        for name in COMMANDS:
            (commands / name).symlink_to(PROGRAM)
        self.environment = os.environ | {"FAKE_POOL": str(self.root)}
        self.processes = []
        self.pool = self.fleet = None
        # The daemon with which it ends, where nobody else ends it.
        self.owner = None
        Pool.running.append(self)

    def start(self):
        self.pool = self.launch([*self.prefix, sys.executable, PROGRAM, "run"], "pool.log")

    def start_fleet(self, *options):
        self.fleet = self.launch(
            [self.build / "sorad-fleet", "--socket", self.socket, "--state-dir", self.state, "--condor-bin", self.folder / "bin", "--worker",
             self.build / "sorad-worker", "--log-level", "debug", *options], "fleet.log")

    def launch(self, command, log):
        with open(self.folder / log, "ab") as file:
            process = subprocess.Popen([str(word) for word in command], stdout=file, stderr=file, env=self.environment)
        self.processes.append(process)
        return process

    def add_box(self, name, ad=None, **changes):
        path = self.root / "boxes"
        path.mkdir(exist_ok=True)
        (path / f".{name}").write_text(json.dumps({"Machine": name, "Arch": "X86_64", "State": "Unclaimed", "Memory": 8000} | (ad or {}) | changes))
        (path / f".{name}").rename(path / f"{name}.json")

    def remove_box(self, name):
        (self.root / "boxes" / f"{name}.json").unlink()

    def advertise(self, models):
        """The command by which a box says what it has."""
        folders = [word for folder in models for word in ("--models", str(folder))]
        return [str(self.build / "sorad-fleet"), "--advertise", "--worker", str(self.build / "sorad-worker"), *folders, "--cache",
                f"{Pool.digests.name}/digests.json"]

    @property
    def is_orphan(self):
        return self.owner is not None and (self.owner.process is None or self.owner.process.poll() is not None)

    def workers(self):
        """Process numbers; a question to a box may be among them."""
        return children(self.pool) if self.pool else []

    def end(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if self in Pool.running:
            Pool.running.remove(self)
