#!/usr/bin/env python3
"""A pool of machines without HTCondor, for tests of sorad-fleet: its commands as far as sorad-fleet uses them, over a folder.

Called by the name of a command (condor_submit, condor_q, condor_history, condor_rm, condor_release, condor_qedit,
condor_vacate_job, condor_status), or with `run`, which is the pool itself: it gives jobs to boxes and runs their program for real. The folder is FAKE_POOL:
  boxes/NAME.json   what the box says of itself; the pool runs one job at a time for each. FakeCron is a command whose output says more, as
                    of STARTD_CRON; FakeEnvironment is what a worker finds there, FakeWorker a program in its place
  queue/N.json      a job: its attributes, its submit commands, its status (1 idle, 2 running, 3 removed, 4 completed, 5 held);
                    "vacate" where its worker is to be ended
  history/N.json    a job that has left the queue
  spool/N/          its checkpoint, as it would lie at the head
  execute/NAME/     what lies on a box while it makes a job
  gone              while it is there, every command fails
  kill-submit       a point and the process ids to kill -9 there, once: "before" anything is queued, "after" it is queued and before
                    anybody knows, "late" before, while the request is already on its way and is queued two seconds later
"""
import contextlib
import errno
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(os.environ["FAKE_POOL"])
IDLE, RUNNING, REMOVED, COMPLETED, HELD = 1, 2, 3, 4, 5
# Seconds between two questions to a box.
CRON_PERIOD = 5


@contextlib.contextmanager
def locked():
    with open(ROOT / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ads(folder):
    return sorted((json.loads(path.read_text()) for path in (ROOT / folder).glob("*.json")), key=lambda ad: ad.get("ClusterId", 0))


def write(folder, ad):
    path = ROOT / folder / f"{ad['ClusterId']}.json"
    path.with_suffix(".new").write_text(json.dumps(ad))
    path.with_suffix(".new").rename(path)


def value(ad, name):
    return {key.lower(): content for key, content in ad.items()}.get(name.lower())


def holds(expression, ad):
    """Whether a ClassAd expression is true, of those that sorad-fleet writes: undefined compared with anything is not true."""
    text = re.sub(r"=!=\s*undefined", "!= None", expression).replace("&&", " and ").replace("||", " or ")
    text = re.sub(r"=!=", "!=", text).replace("time()", str(int(time.time())))
    words = re.split(r'("[^"]*")', text)
    for index in range(0, len(words), 2):
        words[index] = re.sub(
            r"[A-Za-z_]\w*",
            lambda match: match[0] if match[0] in ("and", "or", "None") else "True" if match[0] == "true"
            else repr(value(ad, match[0])), words[index])
    try:
        return eval("".join(words)) is True
    except TypeError:
        return False


def note(ad, number, text, *body):
    """An event of the job's log."""
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    lines = [f"{number:03} ({ad['ClusterId']:04}.000.000) {stamp} {text}", *(f"\t{line}" for line in body), "...", ""]
    # As HTCondor does: on a full disk a part of it is written, and nobody fails.
    path = pathlib.Path(ad["submit"]["initialdir"]) / ad["submit"]["log"]
    with contextlib.suppress(OSError):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, "\n".join(lines).encode())
        finally:
            os.close(file)


# MARK: the commands

def kill_here(point):
    """Ends the named processes, of which one may be this one's parent, and so this one too."""
    path = ROOT / "kill-submit"
    if not path.exists():
        return
    words = path.read_text().split()
    if words[0] != point:
        return
    path.unlink()
    if point == "late" and os.fork() == 0:
        os.setsid()
        time.sleep(2)
        return
    for process in words[1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)
    time.sleep(0.3)
    if point == "late":
        os._exit(1)


def condor_submit(arguments):
    submit, extra = {}, {}
    for line in pathlib.Path(arguments[-1]).read_text().splitlines():
        name, equals, content = line.partition("=")
        if equals:
            (extra if line.startswith("+") else submit)[name.strip().lstrip("+")] = content.strip()
    kill_here("before")
    kill_here("late")
    with locked():
        number = int((ROOT / "next").read_text()) if (ROOT / "next").exists() else 1
        (ROOT / "next").write_text(str(number + 1))
        ad = {name: json.loads(content) for name, content in extra.items()}
        ad |= {"ClusterId": number, "ProcId": 0, "JobStatus": IDLE, "NumHolds": 0, "EnteredCurrentStatus": int(time.time()), "submit": submit}
        ad["RequestMemory"] = int(submit["request_memory"])
        write("queue", ad)
        note(ad, 0, "Job submitted from host: <127.0.0.1:9618?addrs=127.0.0.1-9618>")
    kill_here("after")
    print(f"{number}.0 - {number}.0")


def listing(folder, arguments):
    condition = arguments[arguments.index("-constraint") + 1]
    names = arguments[arguments.index("-attributes") + 1].split(",")
    found = [{name: ad[name] for name in names if name in ad} for ad in ads(folder) if holds(condition, ad)]
    # As HTCondor does: nothing at all where there is nothing.
    if found:
        print(json.dumps(found))


def condor_rm(arguments):
    condition = arguments[arguments.index("-constraint") + 1]
    with locked():
        found = [ad for ad in ads("queue") if holds(condition, ad)]
        for ad in found:
            # The pool's own loop ends what runs, and takes it out of the queue.
            ad["JobStatus"] = REMOVED
            write("queue", ad)
    if not found:
        sys.exit("Couldn't find/remove all jobs matching constraint")


def condor_qedit(arguments):
    condition, pairs = arguments[1], arguments[2:]
    with locked():
        for ad in ads("queue"):
            if holds(condition, ad):
                write("queue", ad | {name: json.loads(content) for name, content in zip(pairs[::2], pairs[1::2], strict=True)})


def condor_vacate_job(arguments):
    assert arguments[0] == "-fast"
    with locked():
        for ad in ads("queue"):
            if holds(arguments[2], ad) and ad["JobStatus"] == RUNNING:
                write("queue", ad | {"vacate": True})


def condor_release(arguments):
    condition = arguments[arguments.index("-constraint") + 1]
    with locked():
        for ad in ads("queue"):
            if ad["JobStatus"] == HELD and holds(condition, ad):
                release(ad)


def condor_status(arguments):
    names = arguments[arguments.index("-attributes") + 1].split(",")
    boxes = [json.loads(path.read_text()) for path in sorted((ROOT / "boxes").glob("*.json"))]
    if boxes:
        print(json.dumps([{name: box[name] for name in names if name in box} for box in boxes]))


# MARK: the pool itself

def release(ad):
    ad |= {"JobStatus": IDLE, "EnteredCurrentStatus": int(time.time())}
    write("queue", ad)
    note(ad, 13, "Job was released.", "via condor_release")


class Run:
    """One job on one box."""

    def __init__(self, ad, box):
        self.ad, self.box = ad, box
        self.folder = ROOT / "execute" / box["Machine"]
        submit = ad["submit"]
        self.home = pathlib.Path(submit["initialdir"])
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        checkpoint = ROOT / "spool" / str(ad["ClusterId"])
        shutil.copytree(checkpoint if checkpoint.exists() else self.home / "job", self.folder / "job")
        text = re.sub(r"\$\$\((\w+)\)", lambda match: str(value(box, match[1])), submit["arguments"].strip('"'))
        # Words as condor_submit reads them: single quotes hold one together, doubled quotes are quotes.
        words = [word.replace("''", "'").replace('""', '"') for word in
                 (match[1] if match[1] is not None else match[0] for match in re.finditer(r"'((?:[^']|'')*)'|\S+", text))]
        path = submit["environment"].strip('"').partition("=")[2]
        # What it prints goes to the head a little later.
        self.printed = {self.folder / name: self.home / submit[name] for name in ("output", "error")}
        self.read = dict.fromkeys(self.printed, 0)
        with open(self.folder / "output", "wb") as output, open(self.folder / "error", "wb") as error:
            self.process = subprocess.Popen(
                [box.get("FakeWorker", submit["executable"]), *words], cwd=self.folder, stdout=output, stderr=error,
                env={"PATH": path, **box.get("FakeEnvironment", {})})
        note(ad, 1, f"Job executing on host: <10.0.0.1:9618?alias={box['Machine']}&sock=startd>", f"SlotName: slot1@{box['Machine']}",
             "Cpus = 1")

    def stream(self):
        """Throws where the head's disk is full."""
        for source, target in self.printed.items():
            with open(source, "rb") as file:
                file.seek(self.read[source])
                content = file.read()
            if content:
                with open(target, "ab", buffering=0) as file:
                    self.read[source] += file.write(content)
                if self.read[source] < source.stat().st_size:
                    raise OSError(errno.ENOSPC, "No space left on device")

    def leave_box(self, job, *events):
        """Ends it; nothing of it comes back, and the job waits for a box."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        for event in events:
            note(job, *event)
        job.pop("vacate", None)
        job["JobStatus"] = IDLE
        write("queue", job)

    def bring_back(self, target):
        """Over what is there; what a full disk cuts off stays so."""
        shutil.copytree(self.folder / "job", target, dirs_exist_ok=True, copy_function=shutil.copyfile)

    def end(self, status):
        """The process has ended by itself. Returns whether it has left the box."""
        ad, number = self.ad, self.ad["ClusterId"]
        if status == int(self.ad["submit"]["checkpoint_exit_code"]):
            shutil.rmtree(ROOT / "spool" / str(number), ignore_errors=True)
            self.bring_back(ROOT / "spool" / str(number))
            self.__init__(ad, self.box)
            return False
        try:
            self.bring_back(self.home / "job")
        except (OSError, shutil.Error):
            shutil.rmtree(self.folder)
            hold(ad, f"Transfer output files failure at execution point slot1@{self.box['Machine']}: No space left on device", 12)
            return True
        shutil.rmtree(self.folder)
        if status >= 0:
            note(ad, 5, "Job terminated.", f"(1) Normal termination (return value {status})", "Usr 0 00:00:01, Sys 0 00:00:00  -  Run Remote Usage")
        else:
            note(ad, 5, "Job terminated.", f"(0) Abnormal termination (signal {-status})", "(0) No core file")
        leave(ad, COMPLETED)
        return True


def leave(ad, status):
    ad["JobStatus"] = status
    write("history", ad)
    (ROOT / "queue" / f"{ad['ClusterId']}.json").unlink()
    shutil.rmtree(ROOT / "spool" / str(ad["ClusterId"]), ignore_errors=True)


def hold(ad, reason, code):
    ad |= {"JobStatus": HELD, "HoldReasonCode": code, "NumHolds": ad["NumHolds"] + 1, "EnteredCurrentStatus": int(time.time())}
    write("queue", ad)
    note(ad, 12, "Job was held.", reason, f"Code {code} Subcode 2")


def ask(path, box):
    """What the box says of itself now, in its file too."""
    lines = subprocess.run(box["FakeCron"], capture_output=True, text=True).stdout.splitlines()
    said = {name: {"True": True, "False": False}.get(content, content.strip('"')) for name, equals, content in
            (line.partition(" = ") for line in lines) if equals}
    fresh = {name: content for name, content in box.items() if not name.startswith("Sorad")} | said
    if fresh != box:
        path.with_suffix(".new").write_text(json.dumps(fresh))
        path.with_suffix(".new").rename(path)
    return fresh


def step(runs, asks):
    boxes = {}
    for path in (ROOT / "boxes").glob("*.json"):
        box = json.loads(path.read_text())
        if "FakeCron" in box and time.monotonic() >= asks.get(box["Machine"], 0):
            box = ask(path, box)
            asks[box["Machine"]] = time.monotonic() + CRON_PERIOD
        boxes[box["Machine"]] = box
    queue = {ad["ClusterId"]: ad for ad in ads("queue")}
    for name, run in list(runs.items()):
        ad = queue.get(run.ad["ClusterId"])
        if ad is None or ad["JobStatus"] == REMOVED:
            run.process.kill()
            run.process.wait()
            shutil.rmtree(run.folder, ignore_errors=True)
            del runs[name]
        elif name not in boxes:
            # The box has lost its power.
            run.leave_box(ad, (22, "Job disconnected, attempting to reconnect", "Socket between submit and execute hosts closed unexpectedly"),
                          (24, "Job reconnection failed", "Job disconnected too long: JobLeaseDuration (60 seconds) expired"))
            del runs[name]
        elif ad.get("vacate"):
            run.leave_box(ad, (4, "Job was evicted.", "(0) CPU times"))
            del runs[name]
        else:
            status = run.process.poll()
            try:
                run.stream()
            except OSError:
                # As HTCondor does: its starter gives up, and the job is tried again.
                words = f"StreamHandler: stdout: couldn't write to {ad['submit']['output']}: No space left on device"
                run.leave_box(ad, (21, f"Error from starter on slot1@{name}:", words), (4, "Job was evicted.", "(0) CPU times"))
                del runs[name]
                continue
            if status is not None and run.end(status):
                del runs[name]
    for ad in ads("queue"):
        if ad["JobStatus"] == REMOVED:
            with contextlib.suppress(FileNotFoundError):
                note(ad, 9, "Job was aborted.", "via condor_rm (by user sorad)")
            leave(ad, REMOVED)
        elif ad["JobStatus"] == HELD and holds(ad["submit"]["periodic_release"].replace("> 60", "> 1"), ad):
            release(ad)
        elif ad["JobStatus"] == IDLE:
            free = [box for name, box in sorted(boxes.items()) if name not in runs and holds(ad["submit"]["requirements"], ad | box)
                    and box["Memory"] >= ad["RequestMemory"]]
            if not free:
                continue
            if "FakeHold" in free[0]:
                hold(ad, free[0]["FakeHold"], 6)
                continue
            ad["JobStatus"] = RUNNING
            write("queue", ad)
            runs[free[0]["Machine"]] = Run(ad, free[0])


def run_pool():
    for folder in ("boxes", "queue", "history", "spool", "execute"):
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
    runs, asks = {}, {}
    ending = []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(True))
    while not ending:
        with locked():
            step(runs, asks)
        time.sleep(0.05)
    for run in runs.values():
        run.process.kill()
        run.process.wait()


def main():
    command, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
    if arguments == ["run"]:
        return run_pool()
    if (ROOT / "gone").exists():
        sys.exit("ERROR: Can't find address of local schedd")
    commands = {
        "condor_submit": condor_submit, "condor_rm": condor_rm, "condor_release": condor_release, "condor_status": condor_status,
        "condor_qedit": condor_qedit, "condor_vacate_job": condor_vacate_job,
        "condor_q": lambda words: listing("queue", words), "condor_history": lambda words: listing("history", words),
    }
    commands[command](arguments)


if __name__ == "__main__":
    main()
