"""Installs the Debian packages on a small Debian that boots, and looks whether they do what the README says (as root).

    python packages.py --tree DIR --debs DIR

`--tree` as in boot.py; `--debs` has what `make deb` wrote. It must hold: from the package to the first clip within two minutes;
a newcomer's commands; the loopback port and the metrics are off until their sockets are enabled, work inside the sandbox, and
change nothing of the exposure; a mistake in the settings, an upgrade, a downgrade, a stop for good and a removal in the middle of
a job lose nothing; a removal keeps jobs and settings, a purge leaves nothing.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

import boot

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
UNITS = ("sorad.service", "sorad.socket", "sorad-admin.socket", "sorad-tcp.socket", "sorad-metrics.socket")
SOCKETS = UNITS[1:]
ADDRESS = "http://127.0.0.1:8790"


def prepare(tree, debs):
    boot.make_tree(tree)
    (tree / "etc/hostname").write_text("box\n")
    subprocess.run(["systemd-machine-id-setup", f"--root={tree}"], check=True, capture_output=True)
    # What an earlier run that failed has left.
    subprocess.run(["chroot", tree, "dpkg", "-P", "sorad", "sorad-model-mini"], capture_output=True)
    for user in boot.USERS:
        subprocess.run(["chroot", tree, "userdel", "-r", user], capture_output=True)
    for name in ("root/debs", "root/later", "root/tiny"):
        shutil.rmtree(tree / name, ignore_errors=True)
    (tree / "root/debs").mkdir()
    for deb in debs.glob("*.deb"):
        shutil.copy(deb, tree / "root/debs")
    shutil.copytree(ROOT / "Tests/Fixtures/models/tiny", tree / "root/tiny")
    for user in boot.USERS:
        subprocess.run(["useradd", "-R", tree, "-m", user], check=True)


def other_version(tree):
    """The same package as a later version, for an upgrade and a downgrade."""
    source = next((tree / "root/debs").glob("sorad_*.deb"))
    folder = tree / "root/later"
    subprocess.run(["dpkg-deb", "-R", source, folder], check=True)
    control = folder / "DEBIAN/control"
    control.write_text(re.sub(r"^(Version: .*)-1$", r"\1-2", control.read_text(), flags=re.MULTILINE))
    target = tree / "root/later.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", folder, target], check=True, capture_output=True)
    return f"/root/debs/{source.name}", "/root/later.deb"


def installed(system):
    began = time.monotonic()
    system.run("sh", "-c", "apt-get install -y /root/debs/*.deb")
    for user, group in boot.USERS.items():
        if group:
            system.run("usermod", "-aG", group, user)
    assert system.unit("ActiveState", "sorad.socket") == "active" and system.unit("ActiveState") == "inactive"
    system.ctl(*boot.CLIP, "-o", "/home/anna/first.mp4")
    system.run("test", "-s", "/home/anna/first.mp4")
    took = time.monotonic() - began
    assert took < 120
    assert "log-level" in system.run("cat", "/etc/sorad/sorad.conf").stdout
    verified(system)
    return f"{took:.1f} s from the package to the first clip; units verified"


def verified(system):
    for folder, scope in (("system", "--system"), ("user", "--user")):
        for unit in UNITS if folder == "system" else ("sorad.service", "sorad.socket", "sorad-admin.socket"):
            said = system.run("env", "XDG_RUNTIME_DIR=/tmp", "systemd-analyze", "verify", scope, "--man=no", f"/usr/lib/systemd/{folder}/{unit}")
            assert not said.stderr + said.stdout, said


def readme():
    """The commands of the README's part about its use, but for those that stay until Ctrl-C."""
    block = (ROOT / "README.md").read_text().split("## Using it")[1].split("```sh\n")[1].split("```")[0]
    for line in block.splitlines():
        line = line.partition("  #")[0].rstrip()
        if line.startswith("sorad-ctl") and not line.startswith(("sorad-ctl run", "sorad-ctl open")):
            yield line


def newcomer(system):
    """What the README has to type, the page, a daemon that takes no jobs, and a model folder."""
    shell = ["runuser", "-u", "anna", "--", "sh", "-c"]
    system.run(*shell, "cd; sorad-ctl get latest --variant thumbnail -o photo.jpg; cp photo.jpg other.png")
    lines = list(readme())
    assert len(lines) >= 6, lines
    for line in lines:
        system.run(*shell, f"cd; {line}")
    return f"{len(lines)} commands of the README"


def page(system):
    opened = system.begin("open", "--no-browser", "--port", "8791")
    address = re.search(r"(http://127\.0\.0\.1:8791/)#key=(\S+)", opened.stdout.readline())
    assert address, opened.communicate(timeout=5)
    html = system.run("curl", "-sS", address[1]).stdout
    assert "What should happen?" in html
    mine = json.loads(system.run("curl", "-sS", "-H", f"Authorization: Bearer {address[2]}", f"{address[1]}v1/videos").stdout)
    assert mine["data"], mine
    opened.terminate()
    opened.wait(10)
    return "by sorad-ctl open"


def drained(system):
    system.run("sorad-ctl", "drain")
    refused = system.ctl(*boot.CLIP, "-o", "/home/anna/none.mp4", check=False)
    assert refused.returncode == 75 and "new jobs are not taken" in refused.stderr and "resume" in refused.stderr, refused
    assert "Drained" in system.ctl("status").stdout
    sick = system.ctl("doctor", check=False)
    assert sick.returncode == 1 and "do: sorad-ctl resume, as an administrator" in sick.stdout, sick
    assert system.ctl("resume", check=False).returncode == 77
    system.run("sorad-ctl", "resume")
    system.ctl("doctor")
    return "status, doctor and the refusal name resume"


def converted(system):
    made = system.run("sorad-ctl", "models", "import", "/root/tiny")
    assert made.stdout.startswith("tiny is installed in /var/lib/sorad/models/"), made
    assert "tiny" in system.ctl("models").stdout
    again = system.run("sorad-ctl", "models", "import", "/root/tiny", check=False)
    assert again.returncode == 65 and "is there already" in again.stderr, again
    other = system.run("sorad-ctl", "models", "import", "/root/tiny", "--name", "other")
    assert other.stdout.startswith("other is installed"), other
    system.ctl("generate", "a red ball", "--model", "tiny", "-o", "/home/anna/tiny.mp4")
    for name in ("tiny", "other"):
        system.run("sorad-ctl", "models", "rm", name, "--yes")
    assert "tiny" not in system.ctl("models").stdout
    return "a folder of diffusers became a model, made a clip, and was removed"


def port(system):
    curl = ["curl", "-sS", "-m", "10"]
    assert system.run(*curl, f"{ADDRESS}/healthz", check=False).returncode != 0, "the port is open by itself"
    system.run("systemctl", "stop", "sorad.service")
    system.run("systemctl", "enable", "--now", "sorad-tcp.socket")
    assert json.loads(system.run(*curl, f"{ADDRESS}/healthz").stdout).keys() == {"status"}
    key = system.run("sorad-ctl", "key", "add", "test", "--user", "anna").stdout.strip()
    for address in (ADDRESS, "http://[::1]:8790"):
        jobs = json.loads(system.run(*curl, "-g", "-H", f"Authorization: Bearer {key}", f"{address}/v1/videos").stdout)["data"]
        assert jobs, address
    assert "unknown_host" in system.run(*curl, "-H", "Host: evil.example", f"{ADDRESS}/").stdout
    boot.sandbox(system)
    system.run("sorad-ctl", "key", "revoke", "test")
    assert "invalid_api_key" in system.run(*curl, "-H", f"Authorization: Bearer {key}", f"{ADDRESS}/v1/videos").stdout
    system.run("systemctl", "stop", "sorad.service")
    system.run("systemctl", "enable", "--now", "sorad-metrics.socket")
    system.wait("the model's numbers", lambda: 'sorad_jobs_accepted_total{model="sorad-mini"}' in
                system.run(*curl, "http://127.0.0.1:9791/metrics").stdout)
    assert json.loads(system.run(*curl, "http://127.0.0.1:9791/v1/videos").stdout)["error"]["code"] == "unknown_path"
    exposure = boot.sandbox(system)
    verified(system)
    return f"{exposure} with the TCP sockets; metrics without a key; units verified"


def upgraded(system, expected, later):
    boot.disturbed(system, expected, lambda: system.run("dpkg", "-i", later))
    return "same frames, restarted in the middle"


def mistaken(system, expected):
    """A mistake in the settings in the middle of a job: the reload fails with a sentence, and the job does not notice."""
    def mistake():
        for command in (["sorad-ctl", "reload"], ["systemctl", "reload", "sorad.service"]):
            system.run("sh", "-c", "mkdir -p /etc/sorad/sorad.conf.d; echo 'keep-dayz = 3' > /etc/sorad/sorad.conf.d/local.conf")
            refused = system.run(*command, check=False)
            assert refused.returncode not in (0, 70), refused
            if command[0] == "sorad-ctl":
                assert refused.returncode == 78 and 'did you mean "keep-days"?' in refused.stderr, refused
        system.run("rm", "-r", "/etc/sorad/sorad.conf.d")
        system.run("systemctl", "reload", "sorad.service")
    before = boot.main_pid(system)
    boot.disturbed(system, expected, mistake)
    assert boot.main_pid(system) == before
    return "same process, same frames"


def stopped_for_good(system, expected, later, now):
    """The commands of docs/ADMIN.md. No connection and no upgrade starts it; the job continues when it is started again."""
    text = (ROOT / "docs/ADMIN.md").read_text().split("## Stopping for good")[1].split("```sh\n")[1].split("```")[0]
    stop, start = [line.replace("sudo ", "") for line in text.splitlines() if "systemctl" in line]
    system.ctl(*boot.CLIP, *boot.LONG, "--no-wait")
    system.wait("denoising", system.is_denoising)
    system.run("sh", "-c", stop)

    def is_off():
        return all(system.unit("ActiveState", unit) == "inactive" for unit in UNITS)
    assert is_off(), {unit: system.unit("ActiveState", unit) for unit in UNITS}
    gone = system.ctl("status", check=False)
    assert gone.returncode == 69 and "no such socket" in gone.stderr + gone.stdout or "there is no socket" in gone.stderr, gone
    for package in (later, now):
        system.run("dpkg", "-i", package)
        assert is_off(), f"the installation of {package} started it"
    system.run("sh", "-c", start)
    system.ctl("wait", "latest")
    assert json.loads(system.ctl("jobs", "--json").stdout)["data"][0]["sha256"] == expected
    return "no connection and no upgrade starts it; same frames afterwards"


def removed(system, expected, now):
    system.ctl(*boot.CLIP, *boot.LONG, "--no-wait")
    system.wait("denoising", system.is_denoising)
    system.run("apt-get", "remove", "-y", "sorad")
    for path in ("/var/lib/sorad/jobs.sqlite", "/etc/sorad/sorad.conf"):
        system.run("test", "-e", path)
    assert system.run("sh", "-c", "pgrep -x sorad || pgrep -x sorad-worker", check=False).returncode != 0, "it still runs"
    assert system.unit("ActiveState", "sorad.socket") == "inactive"
    system.run("dpkg", "-i", now)
    system.ctl("wait", "latest")
    assert json.loads(system.ctl("jobs", "--json").stdout)["data"][0]["sha256"] == expected, "the job has other frames"
    system.run("apt-get", "remove", "-y", "sorad")
    return "jobs and settings stay; a job that ran continues after the next installation"


def purged(system):
    system.run("apt-get", "purge", "-y", "sorad", "sorad-model-mini")
    others = " ".join(f"-not -path '/{folder}/*'" for folder in ("root", "tmp", "home", "var/log"))
    left = system.run("sh", "-c", f"find / -xdev -path /proc -prune -o -path '*sorad*' {others} -print", check=False).stdout
    left += system.run("sh", "-c", "getent passwd sorad; getent group sorad sorad-admin", check=False).stdout
    assert not left, left
    return "nothing is left"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=pathlib.Path, required=True)
    parser.add_argument("--debs", type=pathlib.Path, required=True)
    args = parser.parse_args()
    tree = args.tree.resolve()
    prepare(tree, args.debs)
    now, later = other_version(tree)
    system = boot.System(tree)
    try:
        print("installed:", installed(system), flush=True)
        print("newcomer:", newcomer(system), flush=True)
        print("page:", page(system), flush=True)
        print("drained:", drained(system), flush=True)
        print("converted:", converted(system), flush=True)
        print("port:", port(system), flush=True)
        expected = boot.undisturbed(system)
        print("mistaken:", mistaken(system, expected), flush=True)
        print("upgraded:", upgraded(system, expected, later), flush=True)
        print("downgraded:", upgraded(system, expected, now), flush=True)
        print("stopped for good:", stopped_for_good(system, expected, later, now), flush=True)
        print("removed:", removed(system, expected, now), flush=True)
        print("purged:", purged(system), flush=True)
    except BaseException:
        print(system.run("journalctl", "-u", "sorad.service", "--no-pager", "-n", "60", check=False).stdout, file=sys.stderr)
        raise
    finally:
        system.end()


if __name__ == "__main__":
    main()
