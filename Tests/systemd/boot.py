"""Boots a small Debian with sorad installed and looks whether the units do what they say (as root).

    python boot.py --tree DIR --installed DIR

`--tree` is a folder for the Debian system, made with debootstrap where it does not exist; `--installed` is what
`make install DESTDIR=… PREFIX=/usr` wrote. The system boots in a container (systemd-nspawn) with its own systemd. It must
hold: the first connection starts the daemon; only members of the group get in, and see their own jobs alone; a job
lives through the death, the restart, the reload and the hang of the daemon; the socket is there all the time; wrong
settings end it for good with a sentence; a stop is clean; nothing in the unit weakens the sandbox.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

PACKAGES = "systemd,systemd-sysv,dbus,ffmpeg,libsqlite3-0,curl"
USERS = {"anna": "sorad", "bert": "sorad", "carl": None}     # carl is in no group of sorad's
EXPOSURE = 0.5
CLIP = ["generate", "a red ball bounces on grass", "--seed", "7"]
LONG = ["--steps", "300", "--size", "192x128"]               # long enough to be disturbed in the middle


def make_tree(tree):
    if not (tree / "usr/bin/ffmpeg").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", tree],
                       check=True, stdout=subprocess.DEVNULL)
    for name in ("var/lib/sorad", "etc/sorad", "etc/systemd/system/sorad.service.d"):
        shutil.rmtree(tree / name, ignore_errors=True)


def install(tree, installed):
    shutil.copytree(installed, tree, dirs_exist_ok=True, symlinks=True)
    (tree / "etc/hostname").write_text("box\n")
    if not (tree / "etc/machine-id").exists() or not (tree / "etc/machine-id").read_text().strip():
        subprocess.run(["systemd-machine-id-setup", f"--root={tree}"], check=True, capture_output=True)
    subprocess.run(["systemd-sysusers", f"--root={tree}"], check=True)
    known = (tree / "etc/passwd").read_text()
    for user, group in USERS.items():
        if f"\n{user}:" not in known:
            also = ["-G", group] if group else []
            subprocess.run(["useradd", "-R", tree, "-m", *also, user], check=True)
    subprocess.run(["systemctl", f"--root={tree}", "-q", "enable", "sorad.socket"], check=True)


class System:
    """A booted tree."""

    def __init__(self, tree):
        self.tree = tree
        self.container = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", tree, "--register=no", "--keep-unit", "--private-network", "--resolv-conf=off", "--timezone=off",
             "--link-journal=no", "--console=pipe", "-b"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            self.wait("a running system", self.is_running)
        except BaseException:
            self.container.kill()
            raise

    def is_running(self):
        # The first child of all makes the namespaces and ends; the one after it is the container's init.
        children = pathlib.Path(f"/proc/{self.container.pid}/task/{self.container.pid}/children").read_text().split()
        self.init = children[0] if children else None
        return self.init and self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def wait(self, what, question, seconds=60):
        deadline = time.monotonic() + seconds
        while not (answer := question()):
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
            time.sleep(0.05)
        return answer

    def run(self, *command, check=True, user=None):
        inside = ["runuser", "-u", user, "--"] if user else []
        done = subprocess.run(["nsenter", "-t", self.init, "-a", *inside, *command], capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode} {done.stdout} {done.stderr}"
        return done

    def ctl(self, *arguments, user="anna", check=True):
        return self.run("sorad-ctl", *arguments, user=user, check=check)

    def begin(self, *command, user="anna"):
        return subprocess.Popen(["nsenter", "-t", self.init, "-a", "runuser", "-u", user, "--", "sorad-ctl", *command],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def unit(self, name, unit="sorad.service"):
        return self.run("systemctl", "show", unit, "-p", name, "--value").stdout.strip()

    def is_denoising(self, user="anna"):
        jobs = json.loads(self.ctl("jobs", "--json", user=user, check=False).stdout or "{}").get("data", [])
        return any(job["status"] == "in_progress" and job.get("step", 0) > 2 for job in jobs)

    def drop_in(self, text):
        folder = self.tree / "etc/systemd/system/sorad.service.d"
        folder.mkdir(exist_ok=True)
        (folder / "test.conf").write_text(text)
        self.run("systemctl", "daemon-reload")

    def end(self):
        self.run("systemctl", "poweroff", check=False)
        try:
            self.container.wait(100)        # as long as systemd lets a unit take to stop
        except subprocess.TimeoutExpired:
            self.container.kill()
            raise


def hash_of(system, file):
    """The SHA-256 of the frames of the clip that was made last, after its file was seen to be there."""
    system.run("test", "-s", file)
    return json.loads(system.ctl("jobs", "--json").stdout)["data"][0]["sha256"]


def first_connection(system):
    assert system.unit("ActiveState") == "inactive", "the daemon runs before anybody asked"
    assert system.unit("ActiveState", "sorad.socket") == "active"
    began = time.monotonic()
    system.ctl(*CLIP, "-o", "/home/anna/first.mp4")
    assert system.unit("ActiveState") == "active" and system.unit("StatusText")
    system.run("test", "-s", "/home/anna/first.mp4")
    return f"{time.monotonic() - began:.1f} s from the first connection to the file"


def who_gets_in(system):
    refused = system.ctl("status", user="carl", check=False)
    assert refused.returncode == 77 and "permission" in refused.stderr, refused
    mine = json.loads(system.ctl("jobs", "--json").stdout)["data"]
    theirs = json.loads(system.ctl("jobs", "--json", user="bert").stdout)["data"]
    assert len(mine) == 1 and not theirs, "jobs are not private"
    assert system.ctl("show", mine[0]["id"], user="bert", check=False).returncode == 66
    assert system.ctl("drain", user="bert", check=False).returncode == 77, "everybody may drain"
    system.run("sorad-ctl", "drain")
    drained = system.ctl(*CLIP, "-o", "/home/anna/none.mp4", check=False)
    assert drained.returncode == 75, drained
    system.run("sorad-ctl", "resume")
    return "77, 66 and 75 as they must"


def undisturbed(system):
    system.ctl(*CLIP, *LONG, "-o", "/home/anna/long.mp4")
    return hash_of(system, "/home/anna/long.mp4")


def said(system):
    """The journal has the job's events with their fields; the status line says what is done for whom."""
    job = system.begin(*CLIP, *LONG, "-o", "/home/anna/said.mp4")
    system.wait("the line of status", lambda: re.fullmatch(r"denoising \d+/200 for anna(, \d+ (s|min) left)?", system.unit("StatusText")))
    assert job.wait(240) == 0
    newest = json.loads(system.ctl("jobs", "--json").stdout)["data"][0]["id"]
    lines = system.run("journalctl", "-u", "sorad.service", "-o", "json", f"SORAD_JOB={newest}").stdout.splitlines()
    events = {json.loads(line).get("MESSAGE_ID"): json.loads(line) for line in lines}
    accepted = events["c57f6e266f054ecdbe420bb1eb5844c0"]
    assert accepted["SORAD_MODEL"] == "sorad-mini" and accepted["PRIORITY"] == "6" and accepted["SYSLOG_IDENTIFIER"] == "sorad", accepted
    assert accepted["SORAD_USER"] == system.run("id", "-u", "anna").stdout.strip(), accepted
    assert "fd8c565d53f34cd9b0159bbc268166be" in events, lines
    return f"{len(lines)} entries of one job"


def disturbed(system, expected, disturb):
    """A long job with `disturb` in its middle; the clip must be that of an undisturbed run."""
    name = "/home/anna/again.mp4"
    system.run("rm", "-f", name)
    job = system.begin(*CLIP, *LONG, "-o", name)
    system.wait("denoising", system.is_denoising)
    disturb()
    _, errors = job.communicate(timeout=240)
    if job.returncode == 69:            # the command lost its connection while no daemon ran; the job continues
        identifier = json.loads(system.ctl("jobs", "--json").stdout)["data"][0]["id"]
        system.ctl("get", identifier, "--wait", "-o", name)
    else:
        assert job.returncode == 0, errors
    assert hash_of(system, name) == expected, "the disturbed job has other frames"


def main_pid(system):
    return system.unit("MainPID")


def killed(system, expected):
    before = system.unit("NRestarts")
    disturbed(system, expected, lambda: system.run("sh", "-c", f"kill -KILL {main_pid(system)}"))
    assert int(system.unit("NRestarts")) == int(before) + 1
    return "same frames after SIGKILL"


def restarted(system, expected):
    disturbed(system, expected, lambda: system.run("systemctl", "restart", "sorad.service"))
    return "same frames after systemctl restart"


def reloaded(system, expected):
    before = main_pid(system)
    disturbed(system, expected, lambda: system.run("systemctl", "reload", "sorad.service"))
    assert main_pid(system) == before and system.unit("ActiveState") == "active"
    return "same process, same frames"


def reload_refused(system):
    """A reload with wrong or misspelt settings fails with a sentence; the daemon keeps those that it has, and the next one succeeds."""
    before = main_pid(system)
    folder = system.tree / "etc/sorad"
    folder.mkdir(exist_ok=True)
    file = folder / "sorad.conf"
    for text in ("keep-days = many\n", "keep-dayz = 3\n", "model = /nowhere.gguf\n"):
        file.write_text(text)
        assert system.run("systemctl", "reload", "sorad.service", check=False).returncode != 0, text
        assert main_pid(system) == before and system.unit("ActiveState") == "active", text
        log = system.run("journalctl", "-u", "sorad.service", "--no-pager", "-n", "20").stdout
        assert text.split(" ")[0] in log, log
        system.ctl("status")
    file.write_text("log-level = debug\n")
    system.run("systemctl", "reload", "sorad.service")
    assert main_pid(system) == before
    file.unlink()
    system.run("systemctl", "reload", "sorad.service")
    return "wrong, misspelt and missing: failure, the same process"


def hung(system, expected):
    system.drop_in("[Service]\nWatchdogSec=2\n")
    system.run("systemctl", "restart", "sorad.service")
    before = main_pid(system)
    disturbed(system, expected, lambda: system.run("sh", "-c", f"kill -STOP {before}"))
    assert main_pid(system) != before, "the watchdog did not bark"
    result = system.run("journalctl", "-u", "sorad.service", "--no-pager").stdout
    assert "Watchdog timeout" in result
    system.drop_in("")
    return "the watchdog ended it, same frames"


def stopped(system):
    system.run("systemctl", "stop", "sorad.service")
    assert system.unit("Result") == "success" and system.unit("ActiveState") == "inactive"
    assert system.unit("ActiveState", "sorad.socket") == "active"
    system.ctl("status")
    assert system.unit("ActiveState") == "active", "the socket did not start it again"
    return "clean, and started again by the next connection"


def wrong_settings(system):
    system.run("systemctl", "stop", "sorad.service")
    (system.tree / "etc/sorad").mkdir(exist_ok=True)
    file = system.tree / "etc/sorad/sorad.conf"
    file.write_text("log-level = shouting\n")
    system.ctl("status", check=False)
    system.wait("the end", lambda: system.unit("ExecMainStatus") == "78")
    time.sleep(2)
    assert system.unit("ActiveState") == "failed" and system.unit("NRestarts") == "0"
    log = system.run("journalctl", "-u", "sorad.service", "--no-pager", "-n", "20").stdout
    assert "log-level" in log, log
    file.unlink()
    system.run("systemctl", "reset-failed")
    for unit in ("sorad.socket", "sorad-admin.socket"):
        system.run("systemctl", "restart", unit)
    system.ctl("status")
    return "78, one start, a sentence in the journal"


def sandbox(system):
    total = system.run("systemd-analyze", "security", "--no-pager").stdout
    line = next(line for line in total.splitlines() if line.startswith("sorad.service"))
    exposure = float(line.split()[1])
    assert exposure <= EXPOSURE, line
    return f"exposure {exposure}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=pathlib.Path, required=True)
    parser.add_argument("--installed", type=pathlib.Path, required=True)
    args = parser.parse_args()
    tree = args.tree.resolve()
    make_tree(tree)
    install(tree, args.installed)
    system = System(tree)
    try:
        print("first connection:", first_connection(system), flush=True)
        print("who gets in:", who_gets_in(system), flush=True)
        expected = undisturbed(system)
        print("journal and status:", said(system), flush=True)
        for name, part in dict(killed=killed, restarted=restarted, reloaded=reloaded, hung=hung).items():
            print(f"{name}:", part(system, expected), flush=True)
        print("reload with wrong settings:", reload_refused(system), flush=True)
        print("stopped:", stopped(system), flush=True)
        print("wrong settings:", wrong_settings(system), flush=True)
        print("sandbox:", sandbox(system), flush=True)
    except BaseException:
        print(system.run("journalctl", "-u", "sorad.service", "--no-pager", "-n", "40", check=False).stdout,
              file=sys.stderr)
        raise
    finally:
        system.end()


if __name__ == "__main__":
    main()
