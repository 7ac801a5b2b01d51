"""An emulated ARM machine in the pool: its Debian, the box, and the parts of the test that need it."""
import json
import shutil
import time

from machines import ARM_BOX, BOXES, PACKAGES, ROOT, Box, configure_box, ready, run, wait, write_hosts
from trial import CLIP, SHORT, Trial

# Long enough on this machine to be put down in the middle, and not too long for the emulator.
CROSSING = CLIP | {"size": "64x64", "num_frames": 5, "num_inference_steps": 240}


def emulated(sdk):
    """In front of a command whose ARM programs are to run: the kernel learns their emulator for that command alone."""
    return [ROOT / "Tests/arm/emulate", sdk]


def make_arm_tree(tree, base, debs):
    """Debian for 64-bit ARM, with the packages of `make deb-arm`.

    Packages are unpacked, and their own scripts are not run, which takes hours in the emulator: what those would have made is that of `base`,
    the same Debian for this machine.
    """
    if not (tree / "etc/condor/condor_config").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.parent.mkdir(parents=True, exist_ok=True)
        run("debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", f"--include={PACKAGES}", "trixie", tree)
        for package in (tree / "var/cache/apt/archives").glob("*.deb"):
            run("dpkg-deb", "--extract", package, tree)
        if (tree / "proc").is_symlink():
            (tree / "proc").unlink()
        (tree / "proc").mkdir(exist_ok=True)
        for name in ("var/lib/condor", "var/log/condor", "etc"):
            run("cp", "--archive", f"{base / name}/.", tree / name)
        (tree / "etc/ld.so.cache").unlink()
        own, foreign = "x86_64-linux-gnu", "aarch64-linux-gnu"
        for link in (base / "usr/lib" / own).iterdir():
            # Such as the choice of a library for linear algebra.
            if link.is_symlink() and str(link.readlink()).startswith("/etc/alternatives/"):
                target = str((base / str(link.readlink()).lstrip("/")).readlink()).replace(own, foreign)
                (tree / "usr/lib" / foreign / link.name).symlink_to(target)
    packages = [next(debs.glob(name)) for name in ("sorad_*_arm64.deb", "sorad-model-mini_*_all.deb")]
    for package in packages:
        run("dpkg-deb", "--extract", package, tree)
    run("systemd-sysusers", f"--root={tree}")
    write_hosts(tree)


def new_packages(tree, package):
    """Names of the packages that apt would install with that one on a bare Debian for ARM."""
    options = [f"Dir={tree}", "APT::Architecture=arm64", "APT::Architectures::=arm64", "Dir::State::status=/dev/null", "Dir::Log=/nowhere"]
    words = [word for option in options for word in ("-o", option)]
    said = run("apt-get", *words, "install", "--simulate", "--no-install-recommends", package).stdout
    return [line.split()[1] for line in said.splitlines() if line.startswith("Inst ")]


class ArmBox(Box):
    """All its programs are ARM's and run in the emulator, HTCondor's too."""

    def __init__(self, name, number, tree, work, sdk):
        super().__init__(name, number, tree, work)
        # The emulator's namespace needs the processes of this machine in /proc.
        self.before = " ".join(map(str, emulated(sdk)))

    def configure(self, text):
        # A limit of the emulator: the starter cannot mount for a job. What HTCondor measures of the processor takes it minutes there.
        super().configure(text + "MOUNT_UNDER_SCRATCH =\nRunBenchmarks = False\n")

    def enter(self, user):
        words = super().enter(user)
        at = words.index("chroot")
        return [*words[:at], "nsenter", "-t", "1", "-U", *words[at:]]


def set_up_arm(head, tree, work, sdk):
    """One more box, which is not switched on."""
    box = ArmBox(ARM_BOX, len(BOXES) + 2, tree, work, sdk)
    configure_box(head, box)
    return box


class ArmTrial(Trial):
    def arm_clip(self):
        """the ARM packages on a Debian for ARM: daemon, worker and command make a clip there with the frames of a single machine"""
        fields = SHORT | {"seed": 7, "size": "64x64", "num_frames": 5}
        box = self.arm_box
        box.boot()
        script = """
            set -e
            sorad --socket /tmp/s --state-dir /tmp/state 2>/tmp/log & trap 'kill $!' EXIT
            # The daemon gives up to read its model file after two minutes, and tries again.
            for _ in $(seq 600); do sorad-ctl --socket /tmp/s models 2>&1 | grep -q sorad-mini && break; sleep 1; done
            sorad-ctl --socket /tmp/s generate "$1" --seed 7 --size 64x64 --frames 5 --steps 4 -o /tmp/clip.mp4 >&2
            ffprobe -v error -show_entries stream=codec_name -of csv=p=0 /tmp/clip.mp4 >&2
            sorad-ctl --socket /tmp/s jobs --json"""
        machine = box.do("uname", "-m").stdout.strip()
        answer = box.do("bash", "-c", script, "bash", fields["prompt"], user="sorad")
        video, = json.loads(answer.stdout)["data"]
        box.lose_power()
        assert machine == "aarch64" and video["sha256"] == self.single(fields), (machine, video)
        # What the package depends on is there to be had, and brings what its programs need.
        package = next(self.options.arm_debs.resolve().glob("sorad_*_arm64.deb"))
        names = new_packages(box.tree, package)
        assert {"sorad", "ffmpeg", "libsqlite3-0", "libc6"} <= set(names), names
        return f"{machine}, sha256 {video['sha256'][:8]}…; with the package apt would install {len(names)} on a bare Debian"

    def arm(self):
        """with an emulated ARM box: a clip begun on x86 ends there and one begun there ends on x86, with the frames of a single machine"""
        arm = self.arm_box
        # It takes its time to say its first word, and to start again after a checkpoint.
        self.head.SILENCE = self.head.EVERY = 600
        self.head.do("pkill", "-x", "sorad-fleet")
        self.head.fleet.wait(60)
        self.head.start_fleet()
        arm.boot()
        begun = time.monotonic()
        wait(f"{arm.name} in the pool", lambda: arm.name in ready(self.head), 1800, 1)
        said = [f"in the pool after {time.monotonic() - begun:.0f} s as {self.attributes(arm, 'Arch')}"]
        # At a step that leaves the emulator little to do; then one that it has soon reached.
        for name, begins, ends, step in (("x86 to ARM", self.boxes, [arm], 120), ("ARM to x86", [arm], self.boxes, 3)):
            self.close(ends)
            id = self.create(CROSSING | {"seed": step})
            first = self.on_a_box(id, step, 1800)
            # It stands still until its box is drained, so that it is not done before.
            first.do("pkill", "-STOP", "-f", "sorad-worker.*--once")
            reached = self.records.of[id].position
            assert first in begins and reached[0] == 1, (first.name, reached)
            self.open(ends)
            self.close(begins)
            first.do("pkill", "-CONT", "-f", "sorad-worker.*--once")
            wait("another box", lambda: self.box_of(id) not in (None, *begins), 900)
            last = self.box_of(id)
            video = self.finish(id)
            assert last in ends and not self.records.of[id].again(), (last.name, self.records.of[id].again())
            self.open(begins)
            said.append(f"{name}: put down at step {reached[1]} of {CROSSING['num_inference_steps']}, sha256 {video['sha256'][:8]}…")
        arm.lose_power()
        return "; ".join(said)
