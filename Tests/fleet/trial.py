"""What every part of the test does with clips: they are asked for by the official SDK, watched, and compared with those of one machine."""
import contextlib
import json
import pathlib
import tempfile

import httpx2 as httpx
import openai

from machines import Head, run, wait
from records import Records

LATE = 5        # seconds for what is not work: a transfer, a start, a line that waits for its turn on a busy machine
CLIP = {"prompt": "a red ball falls down", "size": "192x128", "num_frames": 25, "num_inference_steps": 60}
LONG = CLIP | {"num_frames": 17, "num_inference_steps": 1000}
SHORT = {"prompt": "a red ball falls down", "num_inference_steps": 4}


class Trial:
    def __init__(self, head, boxes, arm, installed, options):
        self.head, self.boxes, self.arm_box, self.installed, self.options = head, boxes, arm, installed, options
        self.records = Records(head)
        self.records.start()
        self.fields = {}        # of each clip that was accepted
        self.known = {}         # SHA-256 of a single machine by the fields

    def create(self, fields):
        """By the official SDK on the head's socket."""
        transport = httpx.HTTPTransport(uds=self.head.socket)
        client = openai.OpenAI(api_key="none", base_url="http://localhost/v1", max_retries=0,
                               http_client=openai.DefaultHttpxClient(transport=transport))
        standard = {name: fields[name] for name in ("prompt",)}
        id = client.videos.create(**standard, extra_body={name: fields[name] for name in fields if name not in standard}).id
        self.fields[id] = fields
        self.records.add(id)
        return id

    def video(self, id):
        """{} while the head does not answer."""
        with contextlib.suppress(OSError, TypeError):
            video = self.head.video(id)
            assert video is not None, f"{id} is not known"
            self.records.watch(id, video)
            return video
        return {}

    def box_of(self, id):
        name = self.video(id).get("box")
        return next((box for box in (*self.boxes, self.arm_box) if box and box.name == name), None)

    def on_a_box(self, id, steps=1, seconds=300):
        """The box that makes the clip, after some steps."""
        wait(f"a start of {id}", lambda: self.records.of[id].position >= (1, steps) and self.box_of(id), seconds)
        return wait(f"a box of {id}", lambda: self.box_of(id), seconds)

    def single(self, fields):
        """SHA-256 of what one machine makes of it."""
        key = json.dumps(fields, sort_keys=True)
        if key not in self.known:
            with tempfile.TemporaryDirectory() as folder:
                (pathlib.Path(folder) / "request.json").write_text(json.dumps(fields))
                model = next((self.installed / "usr/share/sorad/models").glob("*.gguf"))
                run(self.installed / "usr/libexec/sorad/sorad-worker", "--model", model, "--once", folder)
                self.known[key] = json.loads((pathlib.Path(folder) / "result.json").read_text())["result"]["sha256"]
        return self.known[key]

    def finish(self, id, seconds=1800):
        """It must complete, with a single machine's frames, as one job of HTCondor, and with little done again."""
        video = wait(f"the end of {id}", lambda: (found := self.video(id)).get("status") in ("completed", "failed") and found, seconds)
        assert video["status"] == "completed", video
        assert video["sha256"] == self.single(self.fields[id]), f"{id}: other frames"
        assert len(self.head.jobs(id)) == 1, self.head.jobs(id)
        record = self.records.of[id]
        limit = Head.EVERY + record.longest_unit() + LATE
        for units, seconds in record.again():
            assert seconds <= limit, f"{id}: {units} units of {seconds:.1f} s were done again, {limit:.1f} s are allowed"
        assert not self.records.faults, self.records.faults
        return video

    def again(self, ids):
        """The most units and seconds that were done a second time, for a report."""
        found = [each for id in ids for each in self.records.of[id].again()]
        return f"{max((units for units, _ in found), default=0)} units, {max((seconds for _, seconds in found), default=0):.1f} s"

    def forget(self, id):
        self.head.ask("DELETE", f"/v1/videos/{id}")

    def left(self, id):
        """What there is of a clip that nobody wants, at the head and on the boxes."""
        state = self.head.disk / "var/lib/sorad"
        found = [str(path) for path in (state / "spool" / id, state / "fleet" / id) if path.exists()]
        found += [f"queue {job}" for job in self.head.queue() if job == id]
        found += [f"{box.name} {name}" for box in self.boxes if box.is_on for name in box.left()]
        return found

    # MARK: boxes

    def close(self, boxes):
        """They get no clip, and put down the one that they have."""
        for box in boxes:
            self.head.do("condor_drain", f"slot1@{box.name}")

    def open(self, boxes):
        for box in boxes:
            self.head.do("condor_drain", "-cancel", f"slot1@{box.name}")
        wait("boxes that take clips", lambda: all("Drain" not in self.attributes(box, "State") for box in boxes), 120, 1)

    def attributes(self, box, *names):
        return self.head.do("condor_status", "-constraint", f'Machine == "{box.name}"', "-af", *names).stdout.strip()
