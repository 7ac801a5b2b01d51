"""Follows docs/FLEET.md from a bare Debian 13 to a pool of two boxes by its words alone (as root).

    python guide.py --tree DIR --debs DIR

`--tree` is a folder for a Debian 13 as debootstrap makes it; the packages that the guide names are fetched into its cache, since the
machines of the test are connected to nothing. `--debs` has what `make deb` wrote. Three machines boot with their own systemd; the commands
of the guide's section "Set it up" are run as they stand there, those of box7 a second time for box8. It must hold: the clip of the last
command has the frames that one machine makes, sorad-fleet runs in its unit's sandbox, and no unit of the machines has failed.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

from machines import NETWORK, ROOT, kill_all, make_switch, plug, run, tear_down, wait

NAMES = ("head", "box7", "box8")


def make_tree(tree):
    if not (tree / "var/cache/apt/archives/.whole").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.parent.mkdir(parents=True, exist_ok=True)
        run("debootstrap", "--include=dbus", "trixie", tree)
        shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
        run("chroot", tree, "apt-get", "update")
        run("chroot", tree, "apt-get", "install", "-y", "--download-only", "condor", "ffmpeg", "libsqlite3-0")
        (tree / "etc/resolv.conf").unlink()
        (tree / "var/cache/apt/archives/.whole").touch()


def commands():
    """(machine, command) of the guide, in their order."""
    text = (ROOT / "docs/FLEET.md").read_text()
    section = text[text.index("## Set it up"):text.index("## Run it")]
    return re.findall(r"^(head|box7)# (.*)$", section, re.MULTILINE)


class Machine:
    def __init__(self, name, number, tree, work, debs):
        self.name, self.folder = name, work / name
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True)
        self.root = self.folder / "root"
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={tree},upperdir={self.folder}/upper,workdir={self.folder}/work", self.root)
        (self.root / "etc/hostname").write_text(f"{name}\n")
        hosts = "".join(f"{NETWORK}.{index} {each}\n" for index, each in enumerate(NAMES, 1))
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
        (self.root / "etc/machine-id").unlink(missing_ok=True)
        run("systemd-machine-id-setup", f"--root={self.root}")
        # Whoever follows a guide says yes, and waits for a disk.
        (self.root / "etc/dpkg/dpkg.cfg.d/90fast").write_text("force-unsafe-io\n")
        (self.root / "etc/apt/apt.conf.d/90yes").write_text('APT::Get::Assume-Yes "true";\n')
        for deb in debs.glob("*.deb"):
            shutil.copy(deb, self.root / "root")
        plug(f"sorad{name}", number)
        self.container = subprocess.Popen(
            ["systemd-nspawn", "-q", "-D", self.root, "--register=no", "--keep-unit", f"--network-namespace-path=/run/netns/sorad{name}",
             "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe", "-b"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"})
        wait(f"a running {name}", self.is_running)

    def is_running(self):
        children = pathlib.Path(f"/proc/{self.container.pid}/task/{self.container.pid}/children").read_text().split()
        self.init = children[0] if children else None
        return self.init and self.do("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded")

    def do(self, command, check=True):
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8",
                       "DEBIAN_FRONTEND": "noninteractive"}
        return run("nsenter", "-t", self.init, "-a", "sh", "-c", f"cd /root; {command}", check=check, env=environment)

    def failed_units(self):
        return self.do("systemctl --failed --plain --no-legend | cut -d' ' -f1").stdout.split()

    def end(self):
        self.do("systemctl poweroff", check=False)
        try:
            self.container.wait(60)
        except subprocess.TimeoutExpired:
            self.container.kill()
            self.container.wait()
        kill_all(f"sorad{self.name}")
        run("umount", self.root, check=False)


def follow(machines):
    head = machines[0]
    before = {machine.name: set(machine.failed_units()) for machine in machines}
    steps = commands()
    assert len(steps) > 10, steps
    # All of the head's own part, then each box, then the look at the whole.
    last = max(index for index, (machine, _) in enumerate(steps) if machine == "box7")
    first = next(index for index, (_, command) in enumerate(steps) if "condor_token_create" in command)

    def step(machine, command):
        print(f"{machine.name}# {command}", flush=True)
        return machine.do(command).stdout

    for _, command in steps[:first]:
        step(head, command)

    def make_box(box):
        for name, command in steps[first:last + 1]:
            step(head if name == "head" else box, command.replace("box7", box.name))
            if "condor_token_create" in command:
                shutil.copy(head.root / f"root/{box.name}.token", box.root / "root")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(make_box, machines[1:]))
    for _, command in steps[last + 1:]:
        if command == "sorad-ctl fleet":
            wait("both boxes, in the words of sorad-ctl fleet", lambda: is_whole(head.do("sorad-ctl fleet --json")), 180, 2)
        print(step(head, command).rstrip(), flush=True)
    for machine in machines:
        news = set(machine.failed_units()) - before[machine.name]
        assert not news, f"{machine.name}: {news} {machine.do('journalctl -n 30 --no-pager').stdout}"
    assert head.do("systemctl is-active sorad-fleet.service").stdout.strip() == "active"


def is_whole(answer):
    boxes = json.loads(answer.stdout)["boxes"]
    return sorted(box["name"] for box in boxes if box["trouble"] is None) == sorted(NAMES[1:])


def same_frames(machines):
    job = json.loads(machines[0].do("sorad-ctl jobs --json").stdout)["data"][0]
    assert job["status"] == "completed", job
    box = machines[1]
    fields = {"prompt": job["prompt"], "seed": job["seed"]}
    (box.root / "root/one").mkdir()
    (box.root / "root/one/request.json").write_text(json.dumps(fields))
    box.do("/usr/libexec/sorad/sorad-worker --model /usr/share/sorad/models/sorad-mini.gguf --once one")
    assert json.loads((box.root / "root/one/result.json").read_text())["result"]["sha256"] == job["sha256"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=pathlib.Path, required=True)
    parser.add_argument("--debs", type=pathlib.Path, required=True)
    options = parser.parse_args()
    # What it started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tree = options.tree.resolve()
    make_tree(tree)
    work = tree.parent / "booted"
    tear_down()
    for name in NAMES:
        if os.path.ismount(work / name / "root"):
            run("umount", work / name / "root")
    shutil.rmtree(work, ignore_errors=True)
    machines = []
    make_switch()
    try:
        for number, name in enumerate(NAMES, 1):
            machines.append(Machine(name, number, tree, work, options.debs.resolve()))
        follow(machines)
        same_frames(machines)
    finally:
        for machine in machines:
            machine.end()
        tear_down()
    print("guide: followed")


if __name__ == "__main__":
    main()
