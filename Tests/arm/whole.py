#!/usr/bin/env python3
"""Runs what `make build-arm` built under an emulator, next to the programs of this machine: the same frames, and the same answers.

    whole.py --native BUILD --arm BUILD --sdk SDK --model FILE --python PYTHON [PART...]

Parts, by default all; each is a function here and says what it proves. PYTHON has pytest. An emulator says nothing of speed, of the order
in which other cores see memory, or of caches.
"""
import argparse
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True   # scripts/arm-sdk is imported from where it lies
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = ("sorad", "sorad-ctl", "sorad-worker", "sorad-fleet", "sorad-quantize", "sorad-bench")
# In-order and without dot products (Raspberry Pi 3), out of order (Pi 4); with dot products (boxes of four small cores; Pi 5, RK3588); with
# everything that the emulator has, matrix products too.
CPUS = ("cortex-a53", "cortex-a72", "cortex-a55", "cortex-a76", "max")
# The largest page that a kernel for 64-bit ARM may have.
LARGEST_PAGE = 65536
SHORT = {"prompt": "a red ball falls down", "seed": 7, "size": "64x64", "num_frames": 5, "num_inference_steps": 4}
# Long enough to be put down in the middle, on either machine.
LONG = SHORT | {"num_inference_steps": 40}


class Machine:
    """Where a worker runs: on this machine, or emulated as one CPU."""

    def __init__(self, given, cpu=None, page=None, emulator=None):
        self.name = (cpu or "x86") + (f", pages of {page >> 10} KiB" if page else "")
        self.worker = [(given.arm if cpu else given.native) / "sorad-worker", "--model", given.model, "--once"]
        if cpu:
            options = [*(("--page", str(page)) if page else ()), *(("--emulator", emulator) if emulator else ())]
            self.worker = [ROOT / "Tests/arm/emulate", "--cpu", cpu, *options, given.sdk, *self.worker]

    def make(self, folder, until=None):
        """One start of the worker on `folder`. `until`: a function of the progress; where it is true the work is put down."""
        process = subprocess.Popen([str(word) for word in (*self.worker, folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        asked = False
        for line in process.stdout:
            progress = json.loads(line).get("progress", {}).get("progress")
            if progress and until and not asked and until(progress):
                process.send_signal(signal.SIGTERM)
                asked = True
        errors = process.stderr.read()
        status = process.wait()
        expect(status == (85 if until else 0), f"on {self.name}: status {status}, {errors.strip()}")


def expect(condition, sentence):
    if not condition:
        raise AssertionError(sentence)


def job(folder, request):
    folder.mkdir()
    (folder / "request.json").write_text(json.dumps(request))
    return folder


def result(folder):
    return json.loads((folder / "result.json").read_text())["result"]


# ---- Parts -----------------------------------------------------------------------------------------------------------------


def sdk(given, folder):
    """Where Debian has no fitting Swift library, scripts/arm-sdk says so in one sentence, with what to do, and leaves nothing behind."""
    loader = importlib.machinery.SourceFileLoader("arm_sdk", str(ROOT / "scripts/arm-sdk"))
    script = importlib.util.module_from_spec(importlib.util.spec_from_loader("arm_sdk", loader))
    loader.exec_module(script)
    for version, newest, words in ((None, (6, 3, 1), "has no libswiftlang"), ("6.0.3-2", (6, 3, 1), "is too old"), ("1:7.0-1", (6, 3, 1), "is newer")):
        try:
            script.check_version(version, newest, "the suite sid")
        except script.Failure as failure:
            expect(words in str(failure) and "--debs" in str(failure), f"{version}: {failure}")
        else:
            raise AssertionError(f"the version {version} is accepted")
    for version in ("6.2-1", "6.2.3-1+b1", "6.3.4-1"):
        script.check_version(version, (6, 3, 1), "the suite sid")
    (folder / "kept").mkdir()
    done = subprocess.run([ROOT / "scripts/arm-sdk", folder / "sdk", "--debs", folder / "kept"], capture_output=True, text=True)
    expect(done.returncode == 1 and "has no package swiftlang" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr)
    expect(sorted(path.name for path in folder.iterdir()) == ["kept"], "something was left behind")
    return "refusals in one sentence"


def alignment(given, folder):
    """Programs and libraries can be loaded by a kernel whose pages have 64 KiB: no segment is aligned to less."""
    libraries = sorted((given.sdk / "sorad.artifactbundle/arm64/root/usr/lib/swift/linux").glob("libswift*.so"))
    count = 0
    for path in [*(given.arm / name for name in PROGRAMS), *libraries]:
        said = subprocess.run(["readelf", "-lW", path], capture_output=True, text=True, check=True).stdout
        aligned = [int(line.split()[-1], 16) for line in said.splitlines() if line.strip().startswith("LOAD")]
        expect(aligned and min(aligned) >= LARGEST_PAGE, f"{path.name} is aligned to {min(aligned, default=0)} bytes")
        expect("AArch64" in subprocess.run(["readelf", "-hW", path], capture_output=True, text=True, check=True).stdout, f"{path.name} is not for ARM")
        count += 1
    return f"{count} files"


def frames(given, folder):
    """A clip has the SHA-256 of this machine's on CPUs with matrix products, with dot products and with neither."""
    Machine(given).make(job(folder / "here", SHORT))
    wanted = result(folder / "here")["sha256"]
    for cpu in CPUS:
        Machine(given, cpu).make(job(folder / cpu, SHORT))
        expect(result(folder / cpu)["sha256"] == wanted, f"{cpu} made {result(folder / cpu)['sha256']}, this machine {wanted}")
        # Of the whole file, with the CPU's own instructions.
        expect(result(folder / cpu)["modelSHA256"] == result(folder / "here")["modelSHA256"], f"{cpu} reads another SHA-256 of the model")
    return f"{wanted[:8]} on {', '.join(CPUS)}"


def pages(given, folder):
    """The same where a page has 16 or 64 KiB. Emulators since version 9 cannot pretend that."""
    emulator = shutil.which("qemu-aarch64-static")
    said = subprocess.run([emulator, "--version"], capture_output=True, text=True).stdout if emulator else ""
    found = re.search(r"version (\d+)", said)
    if not found or int(found.group(1)) >= 9:
        return f"skipped: {emulator or 'qemu-aarch64-static'} cannot change the size of a page"
    Machine(given).make(job(folder / "here", SHORT))
    subprocess.run(["aarch64-linux-gnu-gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", ROOT / "Tests/arm/stack_line.c",
                    "-o", folder / "stack_line.so"], check=True)
    # By name and folder: the emulator cannot read the path that the loader would copy.
    os.environ["QEMU_SET_ENV"] = f"LD_PRELOAD=stack_line.so,LD_LIBRARY_PATH={folder}"
    try:
        for page in (16384, 65536):
            Machine(given, "max", page, emulator).make(job(folder / str(page), SHORT))
    finally:
        del os.environ["QEMU_SET_ENV"]
    for page in (16384, 65536):
        where = folder / str(page)
        expect(result(where)["sha256"] == result(folder / "here")["sha256"], f"with pages of {page} bytes the frames differ")
    return "16 and 64 KiB"


def checkpoints(given, folder):
    """A clip that is begun on one machine is finished on the other, put down in denoising and in decoding, with the same frames."""
    here, boxes = Machine(given), [Machine(given, cpu) for cpu in ("cortex-a72", "max")]
    here.make(job(folder / "undisturbed", LONG))
    wanted = result(folder / "undisturbed")["sha256"]

    def denoising(progress):
        return progress["phase"] == "denoising" and progress["step"] >= 1

    def decoding(progress):
        return progress["phase"] == "decoding" and progress.get("frame", 0) >= 1

    for first, second, until in ((here, boxes[0], denoising), (boxes[1], here, denoising), (boxes[0], boxes[1], decoding)):
        where = job(folder / f"{first.name} to {second.name}", LONG)
        first.make(where, until)
        second.make(where)
        made = result(where)
        expect(made["sha256"] == wanted, f"{first.name}, then {second.name}: {made['sha256']}, undisturbed {wanted}")
        expect(made["resumedStep"] > 0, f"{second.name} began again instead of continuing after {first.name}")
    return f"{wanted[:8]} from x86 to cortex-a72, from max to x86, from cortex-a72 to max"


SERVICE = """
"$1/sorad" --socket "$2/s" --state-dir "$2/state" --model "$3" --worker "$1/sorad-worker" 2>"$2/log" &
trap 'kill $!; wait $!' EXIT
# The first question makes the daemon read the model file whole, which the emulator does slowly.
for _ in $(seq 120); do "$1/sorad-ctl" --socket "$2/s" models >"$2/models" 2>&1 && break; sleep 1; done
"$1/sorad-ctl" --socket "$2/s" doctor | grep ' cpu: '
"$1/sorad-ctl" --socket "$2/s" generate --seed 7 --size 64x64 --frames 5 --steps 4 -o "$2/clip.mp4" "a red ball falls down" >&2 &&
"$1/sorad-ctl" --socket "$2/s" jobs --json
"""


def first_clip(given, folder):
    """Daemon, worker and command make a clip together, with this machine's frames, and choose the instruction set of the CPU."""
    Machine(given).make(job(folder / "here", SHORT))
    wanted = result(folder / "here")["sha256"]
    for cpu, words in (("cortex-a72", "NEON but no dot products:.*"), ("cortex-a76", "NEON with dot products")):
        state = folder / cpu
        state.mkdir()
        done = subprocess.run([ROOT / "Tests/arm/emulate", "--cpu", cpu, given.sdk, "bash", "-c", SERVICE, "bash", given.arm, state, given.model],
                              capture_output=True, text=True)
        log = (state / "log").read_text()
        expect(done.returncode == 0 and (state / "clip.mp4").stat().st_size > 1000, done.stderr + log)
        expect(f'"sha256":"{wanted}"' in done.stdout, f"on {cpu}: {done.stdout}")
        expect(re.search(rf"CPUs? with {words}$", done.stdout, re.MULTILINE), f"on {cpu}: {done.stdout.splitlines()[0]}")
    return f"{wanted[:8]} on cortex-a72 and cortex-a76"


def package(given, folder):
    """The Debian package has all that its programs load beyond what it depends on, and these make the same frames."""
    subprocess.run([ROOT / "scripts/build-deb", "--build", given.arm, "--arm", given.sdk, "--native", given.native, "--model", given.model,
                    "--out", folder / "debs"], check=True, stdout=subprocess.DEVNULL)
    deb = next((folder / "debs").glob("sorad_*_arm64.deb"))
    depends = subprocess.run(["dpkg-deb", "--field", deb, "Depends"], capture_output=True, text=True, check=True).stdout
    expect(re.search(r"libc6 \(>= 2\.(3[4-9]|[4-9]\d)\)", depends) and "libsqlite3-0" in depends and "swift" not in depends, depends)
    # A Debian as the package meets it: without any Swift library.
    root = folder / "root"
    shutil.copytree(given.sdk / "sorad.artifactbundle/arm64/root", root, symlinks=True,
                    ignore=shutil.ignore_patterns("swift", "include", "share", "gcc"))
    subprocess.run(["dpkg-deb", "--extract", deb, root], check=True)
    run = [ROOT / "Tests/arm/emulate", "--cpu", "cortex-a76", "--root", root, given.sdk]
    for name in ("bin/sorad", "bin/sorad-ctl", "bin/sorad-quantize", "libexec/sorad/sorad-fleet", "libexec/sorad/sorad-bench"):
        done = subprocess.run([*run, root / "usr" / name, "--help"], capture_output=True, text=True)
        expect(done.returncode == 0, f"{name}: {done.stderr.strip()}")
    Machine(given).make(job(folder / "here", SHORT))
    box = Machine(given)
    box.name, box.worker = "the package", [*run, root / "usr/libexec/sorad/sorad-worker", "--model", given.model, "--once"]
    box.make(job(folder / "there", SHORT))
    expect(result(folder / "there")["sha256"] == result(folder / "here")["sha256"], "the package's worker makes other frames")
    return f"{deb.stat().st_size >> 20} MB; {depends.strip()}"


def malformed(given, folder):
    """The table of malformed requests has the same answers."""
    environment = os.environ | {"SORAD_BUILD": str(given.arm), "SORAD_MODEL": str(given.model)}
    done = subprocess.run([ROOT / "Tests/arm/emulate", given.sdk, given.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_malformed.py"],
                          cwd=ROOT / "Tests/sdk", env=environment, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or [done.stderr.strip()]
    expect(done.returncode == 0, "\n".join(lines[-40:]))
    return lines[-1].strip("= ")


PARTS = {part.__name__: part for part in (sdk, alignment, frames, pages, checkpoints, first_clip, package, malformed)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("native", "arm", "sdk", "model"):
        parser.add_argument(f"--{name}", type=lambda text: pathlib.Path(text).resolve(), required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    given = parser.parse_args()
    unknown = [name for name in given.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part is named {unknown[0]}; there are {', '.join(PARTS)}")
    failures = 0
    for name in given.parts or PARTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="sorad-arm-") as folder:
            try:
                said = PARTS[name](given, pathlib.Path(folder))
            except (AssertionError, OSError, subprocess.CalledProcessError) as error:
                failures += 1
                said = f"FAILED: {error}"
        print(f"{name:12} {time.monotonic() - began:4.0f} s  {said}", flush=True)
    sys.exit(bool(failures))


main()
