"""One built `sorad` with the shipped model, for the tests that need the real engine.

SORAD_BUILD: folder of the built programs; SORAD_MODEL: the model file; SORAD_FLEET: see pool.py.
"""
import os
import pathlib
import re
import signal
import subprocess
import time

from pool import BOXES, Pool, children


BUILD = pathlib.Path(os.environ["SORAD_BUILD"])
MODEL = pathlib.Path(os.environ["SORAD_MODEL"])


class Daemon:
    """One running `sorad`. `prefix` goes in front of the command (taskset), `options` are its flags, `environment` is added to its own.

    With SORAD_FLEET, a pool of that many boxes makes its clips; what `prefix` and `environment` say of workers holds there.
    """

    def __init__(self, folder, model=MODEL, prefix=(), options=(), environment=None):
        self.folder = folder
        self.socket = str(folder / "s")
        self.log = folder / "log"
        self.command = [*prefix, BUILD / "sorad", "--socket", self.socket, "--model", model, *options]
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("SORAD_")}
        self.environment |= {"SORAD_STATE_DIR": str(folder / "state")} | (environment or {})
        self.process = None
        self.pool = None
        if BOXES and "--fleet-places" not in options:
            self.command += ["--fleet-places", str(BOXES)]
            state = pathlib.Path(self.environment["SORAD_STATE_DIR"])
            # Of prefixes, the choice of cores alone is about workers.
            self.pool = Pool(BUILD, folder, folder / "fleet.sock", state, prefix if "taskset" in prefix else ())
            self.pool.owner = self
            about_workers = {name: value for name, value in self.environment.items() if name == "SORAD_ISA"}
            says = self.pool.advertise([pathlib.Path(model).resolve().parent, state / "models"])
            for number in range(BOXES):
                self.pool.add_box(f"box{number}", FakeEnvironment=about_workers, FakeCron=says)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, stderr=log, env=self.environment)
        deadline = time.monotonic() + 20
        while self.curl("/healthz").returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        if self.pool and self.pool.fleet is None:
            self.pool.start()
            self.pool.start_fleet()
        return self

    def workers(self):
        """Process numbers of the workers that make its clips."""
        return self.pool.workers() if self.pool else children(self.process)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.log.read_text()

    @property
    def url(self):
        """Of the first TCP port that it listens on."""
        return re.search(r"listening on (http://\S+) for clients with a key", self.log.read_text()).group(1)

    def key(self, name, user):
        """Makes a key of the user with this number."""
        made = self.ctl("key", "add", name, "--user", str(user))
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def curl(self, path, *options, body=None):
        """`body` goes to standard input, for `-d @-`."""
        command = ["curl", "-sS", "--unix-socket", self.socket, *options, "http://localhost" + path]
        return subprocess.run(command, input=body, capture_output=True, text=True, timeout=120)

    def ctl(self, *arguments):
        return subprocess.run(
            [BUILD / "sorad-ctl", "--socket", self.socket, *arguments], capture_output=True, text=True, env=self.environment, timeout=300)
