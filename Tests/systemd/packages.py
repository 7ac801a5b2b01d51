"""Installs the Debian packages on a small Debian that boots, and looks whether they do what the README says (as root).

    python packages.py --tree DIR --debs DIR

`--tree` as in boot.py; `--debs` has what `make deb` wrote. It must hold: from the package to the first clip within two minutes;
the loopback port is off until its socket is enabled, works inside the sandbox, and changes nothing of the exposure; an upgrade
and a downgrade in the middle of a job lose nothing; a removal keeps jobs and settings, a purge leaves nothing.
"""
import argparse
import json
import pathlib
import re
import shutil
import subprocess
import time

import boot

ADDRESS = "http://127.0.0.1:8790"


def prepare(tree, debs):
    boot.make_tree(tree)
    (tree / "etc/hostname").write_text("box\n")
    subprocess.run(["systemd-machine-id-setup", f"--root={tree}"], check=True, capture_output=True)
    # What an earlier run that failed has left.
    subprocess.run(["chroot", tree, "dpkg", "-P", "sorad", "sorad-model-mini"], capture_output=True)
    for user in boot.USERS:
        subprocess.run(["chroot", tree, "userdel", "-r", user], capture_output=True)
    for name in ("root/debs", "root/later"):
        shutil.rmtree(tree / name, ignore_errors=True)
    (tree / "root/debs").mkdir()
    for deb in debs.glob("*.deb"):
        shutil.copy(deb, tree / "root/debs")


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
    system.run("sh", "-c", "dpkg -i /root/debs/*.deb")
    for user, group in boot.USERS.items():
        system.run("useradd", "-m", *(["-G", group] if group else []), user)
    assert system.unit("ActiveState", "sorad.socket") == "active" and system.unit("ActiveState") == "inactive"
    system.ctl(*boot.CLIP, "-o", "/home/anna/first.mp4")
    system.run("test", "-s", "/home/anna/first.mp4")
    took = time.monotonic() - began
    assert took < 120
    assert "log-level" in system.run("cat", "/etc/sorad/sorad.conf").stdout
    for unit in ("sorad.service", "sorad.socket", "sorad-admin.socket", "sorad-tcp.socket", "sorad-metrics.socket"):
        said = system.run("systemd-analyze", "verify", "--man=no", f"/usr/lib/systemd/system/{unit}")
        assert "sorad" not in said.stderr, said.stderr
    return f"{took:.1f} s from the package to the first clip; units verified"


def port(system):
    curl = ["curl", "-sS", "-m", "10"]
    assert system.run(*curl, f"{ADDRESS}/healthz", check=False).returncode != 0, "the port is open by itself"
    system.run("systemctl", "stop", "sorad.service")
    system.run("systemctl", "enable", "--now", "sorad-tcp.socket")
    assert json.loads(system.run(*curl, f"{ADDRESS}/healthz").stdout).keys() == {"status"}
    key = system.run("sorad-ctl", "key", "add", "test", "--user", "anna").stdout.strip()
    for address in (ADDRESS, "http://[::1]:8790"):
        jobs = json.loads(system.run(*curl, "-g", "-H", f"Authorization: Bearer {key}", f"{address}/v1/videos").stdout)["data"]
        assert len(jobs) == 1, jobs
    assert "unknown_host" in system.run(*curl, "-H", "Host: evil.example", f"{ADDRESS}/").stdout
    exposure = boot.sandbox(system)
    assert float(exposure.split()[1]) <= 0.5, exposure
    system.run("sorad-ctl", "key", "revoke", "test")
    assert "invalid_api_key" in system.run(*curl, "-H", f"Authorization: Bearer {key}", f"{ADDRESS}/v1/videos").stdout
    system.run("systemctl", "stop", "sorad.service")
    system.run("systemctl", "enable", "--now", "sorad-metrics.socket")
    assert 'sorad_jobs_accepted_total{model="sorad-mini"}' in system.run(*curl, "http://127.0.0.1:9791/metrics").stdout
    assert json.loads(system.run(*curl, "http://127.0.0.1:9791/v1/videos").stdout)["error"]["code"] == "unknown_path"
    return f"{exposure} with the TCP sockets; metrics without a key"


def upgraded(system, expected, later):
    boot.disturbed(system, expected, lambda: system.run("dpkg", "-i", later))
    return "same frames, restarted in the middle"


def removed(system):
    system.run("dpkg", "-r", "sorad")
    assert system.run("test", "-d", "/var/lib/sorad").returncode == 0 and system.run("test", "-f", "/etc/sorad/sorad.conf").returncode == 0
    assert system.unit("ActiveState", "sorad.socket") == "inactive"
    return "jobs and settings stay"


def purged(system):
    system.run("dpkg", "-P", "sorad", "sorad-model-mini")
    left = system.run("sh", "-c", "find / -xdev -path /proc -prune -o -path '*sorad*' -not -path '/root/*' -not -path '/tmp/*' -not -path '/home/*' "
                      "-not -path '/var/log/*' -print", check=False).stdout
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
        print("port:", port(system), flush=True)
        expected = boot.undisturbed(system)
        print("upgraded:", upgraded(system, expected, later), flush=True)
        print("downgraded:", upgraded(system, expected, now), flush=True)
        print("removed:", removed(system), flush=True)
        print("purged:", purged(system), flush=True)
    finally:
        system.end()


if __name__ == "__main__":
    main()
