"""Machines for the test of a fleet: each a Debian 13 of its own in network, process and mount namespaces, on a switch that leads nowhere.

A machine is booted, loses its power, has its link cut and mended; what it wrote to its disk before a loss of power is there afterwards.
The disk of each is a layer over one Debian made with debootstrap, which has HTCondor, ffmpeg and what `make install` wrote.
"""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

# debootstrap resolves no virtual packages, so one that HTCondor needs through another is named.
PACKAGES = "condor,python3-cffi-backend,ffmpeg,libsqlite3-0,iproute2,procps"
NETWORK = "10.86.0"
HEAD, BOXES, ARM_BOX = "head", ("boxa", "boxb", "boxc"), "boxd"
SWITCH = "soradsw"
ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*command, check=True, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert not check or done.returncode == 0, f"{command}: {done.returncode} {done.stdout} {done.stderr}"
    return done


def wait(what, question, seconds=120, pause=0.2):
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(pause)
    return answer


def make_tree(tree, installed):
    """One Debian for all; each machine writes into a layer of its own."""
    if not (tree / "etc/condor/condor_config").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.parent.mkdir(parents=True, exist_ok=True)
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "trixie", tree)
    shutil.copytree(installed, tree, dirs_exist_ok=True, symlinks=True)
    run("systemd-sysusers", f"--root={tree}")
    write_hosts(tree)


def write_hosts(tree):
    names = enumerate((HEAD, *BOXES, ARM_BOX), 1)
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{NETWORK}.{number} {name}\n" for number, name in names))


def config(name):
    return (ROOT / "systemd" / "fleet" / name).read_text().replace("head.example", HEAD)


def processes(space):
    return run("ip", "netns", "pids", space, check=False).stdout.split()


def kill_all(space):
    def is_empty():
        numbers = processes(space)
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)
        return not numbers

    wait(f"the end of all in {space}", is_empty, 20, 0.05)


def plug(space, number):
    """A network namespace with one address on the switch. Returns the switch's end of the link."""
    link = f"v-{space}"[:15]
    run("ip", "netns", "add", space)
    run("ip", "link", "add", link, "netns", SWITCH, "type", "veth", "peer", "name", "eth0", "netns", space)
    run("ip", "-n", SWITCH, "link", "set", link, "master", "br0", "up")
    run("ip", "-n", space, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
    for device in ("eth0", "lo"):
        run("ip", "-n", space, "link", "set", device, "up")
    return link


def make_switch():
    run("ip", "netns", "add", SWITCH)
    for words in (("link", "add", "br0", "type", "bridge"), ("link", "set", "br0", "up"), ("link", "set", "lo", "up")):
        run("ip", "-n", SWITCH, *words)


class Machine:
    def __init__(self, name, number, tree, work):
        self.name, self.tree, self.folder = name, tree, work / name
        self.space = f"sorad{name}"
        self.process = self.inside = None
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True)
        self.link = plug(self.space, number)
        # As systemd/fleet/sorad-keepalive.conf has it.
        for line in (ROOT / "systemd/fleet/sorad-keepalive.conf").read_text().splitlines():
            if not line.startswith("#"):
                run("ip", "netns", "exec", self.space, "sysctl", "-q", "-w", line.replace(" ", ""))

    # In front of a program that is to run in there.
    before = ""

    @property
    def root(self):
        return self.folder / "root"

    @property
    def disk(self):
        """What it wrote, seen from outside."""
        return self.folder / "upper"

    @property
    def is_on(self):
        return self.process is not None and self.process.poll() is None

    def configure(self, text):
        path = self.disk / "etc/condor/config.d"
        path.mkdir(parents=True, exist_ok=True)
        (path / "50-sorad.config").write_text(text)

    def boot(self):
        """Its own processes, mounts and name."""
        script = f"""
            mount --make-rprivate /
            mount -t overlay overlay -o lowerdir={self.tree},upperdir={self.folder}/upper,workdir={self.folder}/work {self.root}
            mount -t proc proc {self.root}/proc; mount -t tmpfs tmpfs {self.root}/run; mount -t tmpfs tmpfs {self.root}/tmp
            mount --rbind /dev {self.root}/dev; mount -t proc proc /proc
            mkdir -p {self.root}/run/condor {self.root}/run/lock {self.root}/run/sorad {self.root}/var/lib/sorad
            hostname {self.name}
            {self.before} chroot {self.root} chown condor:condor /run/condor
            {self.before} chroot {self.root} chown sorad:sorad /run/sorad /var/lib/sorad
            exec {self.before} chroot {self.root} condor_master -f"""
        self.mend()
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.space, "unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--kill-child", "bash", "-c",
                 script], stdout=log, stderr=log)
        self.inside = wait(f"the processes of {self.name}", self.first)

    def first(self):
        """The process that is number 1 in there, when it has its root."""
        for number in processes(self.space):
            with contextlib.suppress(OSError):
                path = pathlib.Path(f"/proc/{number}")
                if (path / "root").readlink() == self.root and "\t1\n" in (path / "status").read_text().partition("NSpid:")[2][:40]:
                    return number
        return None

    def enter(self, user):
        before = ["runuser", "-u", user, "--"] if user else []
        return ["nsenter", "-t", self.inside, "-m", "-p", "-u", "-i", "-n", "chroot", self.root, *before]

    def do(self, *command, user=None, check=True):
        return run(*self.enter(user), *command, check=check)

    def start(self, *command, user):
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen([*self.enter(user), *command], stdout=log, stderr=log)

    def lose_power(self):
        """No word leaves it, and then nothing of it is there."""
        self.cut()
        kill_all(self.space)
        self.process.wait(20)

    def cut(self):
        run("ip", "-n", SWITCH, "link", "set", self.link, "down")

    def mend(self):
        run("ip", "-n", SWITCH, "link", "set", self.link, "up")

    def slow(self, rate):
        """Bits per second of what it sends; None for no limit."""
        words = ("replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "4kb", "latency", "400ms") if rate else (
            "del", "dev", "eth0", "root")
        run("tc", "-n", self.space, "qdisc", *words, check=rate is not None)


class Box(Machine):
    def has_worker(self):
        return self.do("pgrep", "-f", "sorad-worker.*--once", check=False).returncode == 0

    def left(self):
        """Folders of jobs on its disk."""
        path = self.disk / "var/lib/condor/execute"
        return [entry.name for entry in path.iterdir() if entry.name.startswith("dir_")] if path.exists() else []


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Head(Machine):
    PLACES = 4
    # Seconds between two checkpoints that travel; shorter than the default, so that short clips have some.
    EVERY = 10
    # Longer than it takes to notice that a link is away.
    SILENCE = 60
    STATE = "/var/lib/sorad"
    # Commands of HTCondor that can be made to die at a chosen moment; see `arm_submit`.
    COMMANDS = "/opt/commands"

    def boot(self):
        super().boot()
        self.start_daemon()
        self.start_fleet()
        wait("the daemon", self.is_healthy)

    def start_daemon(self, *options):
        self.daemon = self.start(
            "/usr/bin/sorad", "--fleet-places", str(self.PLACES), "--socket", "/run/sorad/sorad.sock", "--state-dir", self.STATE,
            *options, user="sorad")

    def start_fleet(self):
        self.fleet = self.start(
            "/usr/libexec/sorad/sorad-fleet", "--condor-bin", self.COMMANDS, "--checkpoint-every", str(self.EVERY),
            "--silence-timeout", str(self.SILENCE), "--log-level", "debug", user="sorad")

    def stop_programs(self):
        for name, process in (("sorad-fleet", self.fleet), ("sorad", self.daemon)):
            self.do("pkill", "-x", name)
            process.wait(60)

    def number_of(self, program):
        """The process id, inside, of one of its programs."""
        return self.do("pgrep", "-x", program, check=False).stdout.strip()

    @property
    def socket(self):
        """From outside its file system."""
        return f"/proc/{self.inside}/root/run/sorad/sorad.sock"

    def is_healthy(self):
        try:
            return self.ask("GET", "/healthz") is not None
        except (OSError, http.client.HTTPException):
            return False

    def ask(self, method, path, fields=None):
        """The JSON of an answer; None for one that is not 2xx."""
        connection = Connection(self.socket)
        body = None if fields is None else json.dumps(fields)
        connection.request(method, path, body, {} if body is None else {"content-type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status // 100 != 2:
            assert method != "POST", f"{path}: {answer.status} {content}"
            return None
        return json.loads(content or b"{}")

    def create(self, fields):
        return self.ask("POST", "/v1/videos", fields)["id"]

    def video(self, id):
        """None where it is not known."""
        return self.ask("GET", f"/v1/videos/{id}")

    def fleet_folder(self, id):
        return self.disk / "var/lib/sorad/fleet" / id

    def jobs(self, id):
        """The numbers of all jobs that HTCondor ever had for a clip."""
        found = set()
        for command in ("condor_q", "condor_history"):
            words = ["-allusers"] if command == "condor_q" else []
            text = self.do(command, *words, "-constraint", f'SoradJob == "{id}"', "-af", "ClusterId").stdout
            found.update(text.split())
        return found

    def queue(self):
        return self.do("condor_q", "-allusers", "-af", "SoradJob", check=False).stdout.split()

    def make_commands(self):
        """Links to HTCondor's commands, and a condor_submit that can be made to kill."""
        folder = self.disk / self.COMMANDS.lstrip("/")
        folder.mkdir(parents=True)
        for name in ("condor_q", "condor_history", "condor_rm", "condor_release", "condor_status", "condor_qedit", "condor_vacate_job"):
            (folder / name).symlink_to(f"/usr/bin/{name}")
        (folder / "condor_submit").write_text("""#!/bin/bash
# Where /run/sorad/kill-submit says a point and process ids, they are killed there, once; this one's parent may be among them.
point=none; if [ -e /run/sorad/kill-submit ]; then read -r point ids < /run/sorad/kill-submit; rm -f /run/sorad/kill-submit; fi
case $point in
before) kill -9 $ids; sleep 0.3; exit 1 ;;
late)   (trap '' TERM HUP; sleep 2; exec setsid /usr/bin/condor_submit "$@") </dev/null >/dev/null 2>&1 &
        kill -9 $ids; sleep 0.3; exit 1 ;;
esac
/usr/bin/condor_submit "$@"; status=$?
[ "$point" != after ] || { kill -9 $ids; sleep 0.3; }
exit $status
""")
        (folder / "condor_submit").chmod(0o755)


def set_up(tree, work):
    """A head and three boxes, as docs/FLEET.md sets them up."""
    make_switch()
    head = Head(HEAD, 1, tree, work)
    head.configure(config("head.config"))
    head.make_commands()
    boxes = [Box(name, number, tree, work) for number, name in enumerate(BOXES, 2)]
    head.boot()
    wait("a collector", lambda: head.do("condor_status", "-collector", check=False).returncode == 0)
    for box in boxes:
        configure_box(head, box)
        box.boot()
    wait("three boxes that are ready", lambda: len(ready(head)) == len(boxes), 180, 1)
    return head, boxes


def configure_box(head, box):
    box.configure(config("box.config").replace("STARTD_CRON_SORAD_PERIOD = 300", "STARTD_CRON_SORAD_PERIOD = 20"))
    give_token(head, box)


def give_token(head, box):
    domain = head.do("condor_config_val", "TRUST_DOMAIN").stdout.strip()
    path = box.disk / "etc/condor/tokens.d/head"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head.do("condor_token_create", "-identity", f"condor@{domain}").stdout)
    path.chmod(0o600)


def ready(head):
    """Names of the boxes that may get a clip."""
    return head.do("condor_status", "-constraint", "SoradReady == true", "-af", "Machine", check=False).stdout.split()


def tear_down():
    """Ends all machines, those of an earlier run that was killed too."""
    there = [line.split()[0] for line in run("ip", "netns", "list").stdout.splitlines()]
    for name in there:
        if name.startswith("sorad"):
            kill_all(name)
            run("ip", "netns", "del", name)
