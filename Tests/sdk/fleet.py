"""A daemon, sorad-fleet and a fake pool in one folder, for the tests of what lies between them (see pool.py)."""
import json
import subprocess
import time

import pytest

from daemon import BUILD, MODEL, Daemon
from pool import Pool

SHORT = {"prompt": "a red ball falls down", "seed": 7, "num_inference_steps": 4}
# Long enough to be interrupted.
LONG = {"prompt": "a red ball falls down", "seed": 7, "num_inference_steps": 400, "num_frames": 17}


def advertised():
    """What sorad-fleet says of this machine as a box."""
    answer = subprocess.run(
        [BUILD / "sorad-fleet", "--advertise", "--worker", BUILD / "sorad-worker", "--models", MODEL.resolve().parent],
        capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    ad = {}
    for line in answer.stdout.splitlines():
        name, equals, value = line.partition(" = ")
        if equals:
            ad[name] = {"True": True, "False": False}.get(value, value.strip('"'))
    assert answer.stdout.endswith("\n-\n")
    return ad


@pytest.fixture(scope="module")
def box():
    ad = advertised()
    assert ad["SoradReady"] is True and any(name.startswith("SoradModel_") for name in ad), ad
    return ad


class Fleet(Pool):
    """A daemon, sorad-fleet and a pool in one folder."""

    def __init__(self, folder, box, places=2, options=()):
        (folder / "head").mkdir()
        super().__init__(BUILD, folder, folder / "head" / "fleet.sock", folder / "head" / "state")
        self.box = box
        self.daemon = Daemon(folder / "head", options=["--fleet-places", str(places), "--retry-wait", "1", *options])
        self.start()
        self.daemon.start()
        self.start_fleet()

    def start_fleet(self, *options):
        super().start_fleet("--checkpoint-every", "1", *options)

    def add_box(self, name, **changes):
        super().add_box(name, self.box, **changes)

    def create(self, fields):
        answer = self.daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", "@-", body=json.dumps(fields))
        assert "id" in answer.stdout, answer.stdout + answer.stderr
        return json.loads(answer.stdout)["id"]

    def video(self, id):
        return json.loads(self.daemon.curl(f"/v1/videos/{id}").stdout)

    def wait(self, id, until, seconds=120):
        """The video when `until` is true of it."""
        deadline = time.monotonic() + seconds
        while True:
            video = self.video(id)
            if until(video):
                return video
            assert time.monotonic() < deadline, f"{video}\n{self.logs()}"
            time.sleep(0.05)

    def finish(self, id, seconds=180):
        video = self.wait(id, lambda video: video["status"] in ("completed", "failed"), seconds)
        assert video["status"] == "completed", f"{video}\n{self.logs()}"
        return video

    def logs(self):
        return "\n".join((self.folder / name).read_text()[-4000:] for name in ("fleet.log", "pool.log", "head/log"))

    def jobs(self, id):
        """All jobs that the pool ever had for a clip."""
        ads = [json.loads(path.read_text()) for folder in ("queue", "history") for path in (self.root / folder).glob("*.json")]
        # One that is leaving may be in both for a moment.
        return list({ad["ClusterId"]: ad for ad in ads if ad["SoradJob"] == id}.values())

    def left(self, id):
        """What there is of a clip at the head and in the pool."""
        state = self.folder / "head" / "state"
        places = [state / "spool" / id, state / "fleet" / id]
        queued = [ad for ad in self.jobs(id) if (self.root / "queue" / f"{ad['ClusterId']}.json").exists()]
        return [path for path in places if path.exists()] + queued

    def end(self):
        super().end()
        process = self.daemon.process
        if process and process.poll() is None:
            process.terminate()
            process.wait(20)


@pytest.fixture
def make_fleet(tmp_path, box):
    made = []

    def make(**options):
        made.append(Fleet(tmp_path, box, **options))
        return made[-1]

    yield make
    for fleet in made:
        fleet.end()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """SHA-256 of the frames that this machine makes, by the fields of the request."""
    known = {}

    def sha256(fields):
        key = json.dumps(fields, sort_keys=True)
        if key not in known:
            path = tmp_path_factory.mktemp("local") / "job"
            path.mkdir()
            (path / "request.json").write_text(json.dumps(fields))
            answer = subprocess.run([BUILD / "sorad-worker", "--model", MODEL, "--once", path], capture_output=True, text=True, timeout=600)
            assert answer.returncode == 0, answer.stderr
            known[key] = json.loads((path / "result.json").read_text())["result"]["sha256"]
        return known[key]

    return sha256
