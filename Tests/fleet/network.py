"""A head and boxes with the real HTCondor, each a Debian 13 of its own in network namespaces (as root): what no fake can show.

    python network.py --tree DIR --installed DIR [--clips N] [--losses N]

`--tree` is a folder for the Debian system, made with debootstrap where it does not exist; `--installed` is what
`make install DESTDIR=… PREFIX=/usr` wrote. The namespaces hang on a switch that leads nowhere. It must hold: every clip that was accepted
is completed with the SHA-256 that a single machine makes, whatever loses its power; each clip has one job in HTCondor's queue and
history; a lost box's clip runs elsewhere within 150 s; a link that is away for less than the lease costs no step; a drained box loses no
step; cancel and delete reach a box within 5 s and leave nothing; a box without a token gets no clip.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

PACKAGES = "condor,ffmpeg,libsqlite3-0,curl,iproute2,procps"
NETWORK = "10.86.0"
HEAD, BOXES = "head", ("boxa", "boxb", "boxc")
SWITCH = "soradsw"
LONG = {"prompt": "a red ball falls down", "num_inference_steps": 200, "size": "256x256", "num_frames": 17}
ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*command, check=True, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert not check or done.returncode == 0, f"{command}: {done.returncode} {done.stdout} {done.stderr}"
    return done


def wait(what, question, seconds=120):
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.2)
    return answer


def make_tree(tree, installed):
    """One Debian for all; each machine writes into a layer of its own."""
    if not (tree / "usr/sbin/condor_master").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.parent.mkdir(parents=True, exist_ok=True)
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "trixie", tree)
    shutil.copytree(installed, tree, dirs_exist_ok=True, symlinks=True)
    run("systemd-sysusers", f"--root={tree}")
    hosts = "127.0.0.1 localhost\n" + "".join(f"{NETWORK}.{number} {name}\n" for number, name in enumerate((HEAD, *BOXES), 1))
    (tree / "etc/hosts").write_text(hosts)


class Machine:
    def __init__(self, name, number, tree, work):
        self.name, self.tree, self.folder = name, tree, work / name
        self.space, self.link = f"sorad{name}", f"v-{name}"
        self.process = None
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True)
        run("ip", "netns", "add", self.space)
        run("ip", "link", "add", self.link, "netns", SWITCH, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        run("ip", "-n", SWITCH, "link", "set", self.link, "master", "br0", "up")
        run("ip", "-n", self.space, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            run("ip", "-n", self.space, "link", "set", device, "up")
        run("ip", "netns", "exec", self.space, "sysctl", "-q", "-w", "net.ipv4.tcp_keepalive_intvl=5")

    @property
    def root(self):
        return self.folder / "root"

    def configure(self, text):
        path = self.folder / "upper/etc/condor/config.d"
        path.mkdir(parents=True, exist_ok=True)
        (path / "50-sorad.config").write_text(text)

    def boot(self):
        """Its own processes, mounts and name; what it wrote before a loss of power is there again."""
        script = f"""
            mount --make-rprivate /
            mount -t overlay overlay -o lowerdir={self.tree},upperdir={self.folder}/upper,workdir={self.folder}/work {self.root}
            mount -t proc proc {self.root}/proc; mount -t tmpfs tmpfs {self.root}/run; mount -t tmpfs tmpfs {self.root}/tmp
            mount --rbind /dev {self.root}/dev
            mkdir -p {self.root}/run/condor {self.root}/run/lock {self.root}/run/sorad
            hostname {self.name}
            chroot {self.root} chown condor:condor /run/condor; chroot {self.root} chown sorad:sorad /run/sorad
            exec chroot {self.root} condor_master -f"""
        run("ip", "-n", SWITCH, "link", "set", self.link, "up")
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.space, "unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--kill-child", "bash", "-c",
                 script], stdout=log, stderr=log)
        self.inside = wait(f"the processes of {self.name}", self.first)

    def first(self):
        """The process that is number 1 in there."""
        for number in run("ip", "netns", "pids", self.space, check=False).stdout.split():
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{number}/root").readlink() == self.root:
                    return number
        return None

    def do(self, *command, user=None, check=True):
        before = ["runuser", "-u", user, "--"] if user else []
        return run("nsenter", "-t", self.inside, "-m", "-p", "-u", "-i", "-n", "chroot", self.root, *before, *command, check=check)

    def start(self, *command, user):
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                ["nsenter", "-t", self.inside, "-m", "-p", "-u", "-i", "-n", "chroot", self.root, "runuser", "-u", user, "--", *command],
                stdout=log, stderr=log)

    def lose_power(self):
        """No word leaves it, and then nothing of it is there."""
        self.cut()
        for number in run("ip", "netns", "pids", self.space, check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)
        self.process.wait(20)

    def cut(self):
        run("ip", "-n", SWITCH, "link", "set", self.link, "down")

    def mend(self):
        run("ip", "-n", SWITCH, "link", "set", self.link, "up")

    def end(self):
        if self.process and self.process.poll() is None:
            self.lose_power()
        run("ip", "netns", "del", self.space, check=False)


class Head(Machine):
    SOCKET = "/run/sorad/sorad.sock"

    def boot(self):
        super().boot()
        self.daemon = self.start("/usr/bin/sorad", "--fleet-places", "3", "--socket", self.SOCKET, "--state-dir", "/var/lib/sorad", user="sorad")
        self.fleet = self.start("/usr/libexec/sorad/sorad-fleet", user="sorad")
        wait("the daemon", lambda: self.ask("/healthz", check=False).returncode == 0)

    def ask(self, path, *options, check=True):
        return self.do("curl", "-fsS", "--unix-socket", self.SOCKET, *options, f"http://localhost{path}", check=check)

    def create(self, fields):
        return json.loads(self.ask("/v1/videos", "-H", "content-type: application/json", "-d", json.dumps(fields)).stdout)["id"]

    def video(self, id):
        return json.loads(self.ask(f"/v1/videos/{id}").stdout)

    def jobs(self, id):
        found = []
        for command in ("condor_q", "condor_history"):
            text = self.do(command, "-constraint", f'SoradJob == "{id}"', "-json", "-attributes", "ClusterId,JobStatus").stdout
            found += json.loads(text) if text.strip() else []
        return {ad["ClusterId"] for ad in found}


def config(name):
    return (ROOT / "systemd" / "fleet" / name).read_text().replace("head.example", HEAD)


def set_up(tree, work):
    run("ip", "netns", "add", SWITCH)
    for words in (("link", "add", "br0", "type", "bridge"), ("link", "set", "br0", "up"), ("link", "set", "lo", "up")):
        run("ip", "-n", SWITCH, *words)
    head = Head(HEAD, 1, tree, work)
    head.configure(config("head.config"))
    boxes = [Machine(name, number, tree, work) for number, name in enumerate(BOXES, 2)]
    head.boot()
    wait("a collector", lambda: head.do("condor_status", "-collector", check=False).returncode == 0)
    domain = head.do("condor_config_val", "TRUST_DOMAIN").stdout.strip()
    for box in boxes:
        box.configure(config("box.config").replace("STARTD_CRON_SORAD_PERIOD = 300", "STARTD_CRON_SORAD_PERIOD = 20"))
        token = head.do("condor_token_create", "-identity", f"condor@{domain}").stdout
        path = box.folder / "upper/etc/condor/tokens.d/head"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(token)
        path.chmod(0o600)
        box.boot()
    wait("three boxes that are ready", lambda: head.do(
        "condor_status", "-constraint", "SoradReady == true", "-af", "Machine", check=False).stdout.count("\n") == len(boxes), 180)
    return head, boxes


def sha_of_one_machine(head, fields):
    """What the head's own worker makes of it."""
    head.do("rm", "-rf", "/tmp/one")
    head.do("mkdir", "/tmp/one")
    head.do("sh", "-c", f"cat > /tmp/one/request.json <<'END'\n{json.dumps(fields)}\nEND")
    model = head.do("sh", "-c", "ls /usr/share/sorad/models/*.gguf | head -1").stdout.strip()
    head.do("/usr/libexec/sorad/sorad-worker", "--model", model, "--once", "/tmp/one")
    return json.loads(head.do("cat", "/tmp/one/result.json").stdout)["result"]["sha256"]


def box_of(head, boxes, id):
    name = head.video(id).get("box")
    return next((box for box in boxes if box.name == name), None)


def lost_boxes(head, boxes, clips, losses):
    """Clips while boxes and the head lose their power at random."""
    fields = [LONG | {"seed": number} for number in range(clips)]
    ids = [head.create(each) for each in fields]
    for number in range(losses):
        time.sleep(random.uniform(2, 20))
        machine = head if number % 6 == 5 else random.choice(boxes)
        print(f"{machine.name} loses its power", flush=True)
        machine.lose_power()
        time.sleep(random.uniform(0, 5))
        machine.boot()
    for id, each in zip(ids, fields):
        video = wait(f"the end of {id}", lambda id=id: (found := head.video(id))["status"] in ("completed", "failed") and found, 1800)
        assert video["status"] == "completed", video
        assert video["sha256"] == sha_of_one_machine(head, each), id
        assert len(head.jobs(id)) == 1, head.jobs(id)
    print(f"{clips} clips, {losses} losses: every clip with a single machine's frames, one job each")


def time_to_another_box(head, boxes):
    id = head.create(LONG | {"num_inference_steps": 600})
    wait("a running clip", lambda: head.video(id).get("step", 0) > 5, 300)
    box = box_of(head, boxes, id)
    box.lose_power()
    begun = time.monotonic()
    wait("another box", lambda: (head.video(id).get("box") or box.name) != box.name, 300)
    seconds = time.monotonic() - begun
    box.boot()
    assert seconds <= 150, seconds
    print(f"a lost box's clip ran elsewhere after {seconds:.0f} s")
    return id


def short_cut(head, boxes, id):
    """A link that is away for less than the lease: nothing is done again."""
    box = wait("a box", lambda: box_of(head, boxes, id), 300)
    box.cut()
    time.sleep(30)
    box.mend()
    wait("the same box", lambda: head.video(id).get("note") is None, 120)
    assert head.video(id).get("box") in (box.name, None)
    print("30 s without a link: the clip stays where it is")


def drain(head, boxes, id):
    box = wait("a box", lambda: box_of(head, boxes, id), 300)
    before = head.video(id)["step"]
    head.do("condor_drain", "-graceful", box.name)
    wait("another box", lambda: (head.video(id).get("box") or box.name) != box.name, 300)
    after = wait("a step", lambda: head.video(id).get("step", 0) >= before and head.video(id)["step"], 120)
    head.do("condor_drain", "-cancel", box.name)
    print(f"drained at step {before}, continued at {after}")


def cancel(head, boxes, id):
    box = wait("a box", lambda: box_of(head, boxes, id), 300)
    head.ask(f"/v1/videos/{id}", "-X", "DELETE")
    begun = time.monotonic()
    wait("the end of the worker", lambda: box.do("pgrep", "-f", "sorad-worker.*--once", check=False).returncode != 0, 20)
    wait("an empty queue", lambda: not head.do("condor_q", "-constraint", f'SoradJob == "{id}"', "-af", "ClusterId").stdout.strip(), 20)
    seconds = time.monotonic() - begun
    assert seconds <= 5, seconds
    wait("no folder", lambda: head.do("test", "-e", f"/var/lib/sorad/fleet/{id}", check=False).returncode != 0, 20)
    print(f"a delete reached the box after {seconds:.1f} s")


def no_token(head, boxes):
    """A box that lost its token is no longer of the pool."""
    box = boxes[-1]
    box.lose_power()
    token = box.folder / "upper/etc/condor/tokens.d/head"
    kept = token.read_text()
    token.unlink()
    box.boot()
    time.sleep(90)
    assert box.name not in head.do("condor_status", "-af", "Machine").stdout
    token.write_text(kept)
    token.chmod(0o600)
    print("a box without a token is not of the pool")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=pathlib.Path, required=True)
    parser.add_argument("--installed", type=pathlib.Path, required=True)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--losses", type=int, default=15)
    options = parser.parse_args()
    tree = options.tree.resolve()
    make_tree(tree, options.installed.resolve())
    work = tree.parent / "machines"
    shutil.rmtree(work, ignore_errors=True)
    machines = []
    try:
        head, boxes = set_up(tree, work)
        machines = [head, *boxes]
        id = time_to_another_box(head, boxes)
        short_cut(head, boxes, id)
        drain(head, boxes, id)
        cancel(head, boxes, id)
        lost_boxes(head, boxes, options.clips, options.losses)
        no_token(head, boxes)
    finally:
        for machine in machines:
            machine.end()
        for name in (*(f"sorad{name}" for name in (HEAD, *BOXES)), SWITCH):
            run("ip", "netns", "del", name, check=False)
    print("fleet: all shown")


if __name__ == "__main__":
    main()
