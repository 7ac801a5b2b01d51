"""A job in a folder of its own, `sorad-worker --once`: the same frames as the daemon's, however often it is put down, killed or moved; and
its way between daemons, `sorad-ctl export` and `import`."""
import io
import json
import pathlib
import re
import shutil
import signal
import subprocess
import tarfile
import time

import pytest

from conftest import on_this_machine
from daemon import BUILD, MODEL

# Long enough to be interrupted.
LONG = {"prompt": "a red ball falls down", "seed": 7, "num_inference_steps": 400, "num_frames": 17}
SHORT = {"prompt": "a red ball falls down", "seed": 7, "num_inference_steps": 4}


def folder(path, request, **files):
    path.mkdir()
    (path / "request.json").write_text(request if isinstance(request, str) else json.dumps(request))
    for name, data in files.items():
        (path / name.replace("_", "-")).write_bytes(data)
    return path


def start(path, *options):
    return subprocess.Popen([BUILD / "sorad-worker", "--model", MODEL, "--once", path, *options],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(path, *options):
    """The exit status, the events, and what is on standard error."""
    process = start(path, *options)
    output, errors = process.communicate(timeout=600)
    return process.returncode, [json.loads(line) for line in output.splitlines()], errors


def steps(events):
    return [event["progress"]["progress"]["step"] for event in events if "progress" in event
            and event["progress"]["progress"]["phase"] == "denoising"]


def made(path):
    return json.loads((path / "result.json").read_text())["result"]["sha256"]


def checkpoints(path):
    return sorted(file.name for file in path.glob("checkpoint-[0-9]"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = folder(tmp_path_factory.mktemp("undisturbed") / "job", LONG)
    status, events, errors = run(path)
    assert status == 0, errors
    assert list(events[0]) == ["ready"] and list(events[-1]) == ["finished"]
    return made(path)


def test_the_daemon_makes_the_same_frames(make_daemon, tmp_path):
    path = folder(tmp_path / "job", SHORT)
    assert run(path)[0] == 0
    daemon = make_daemon()
    answer = daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", "@-", body=json.dumps(SHORT))
    video = json.loads(answer.stdout)["id"]
    assert daemon.ctl("watch", video, "-q").returncode == 0
    assert json.loads(daemon.curl(f"/v1/videos/{video}").stdout)["sha256"] == made(path)
    video = json.loads((path / "result.json").read_text())["result"]["video"]
    assert (path / video).read_bytes()[4:8] == b"ftyp"
    assert not list(path.glob("checkpoint*"))


def test_what_is_finished_is_not_made_again(tmp_path):
    path = folder(tmp_path / "job", SHORT)
    assert run(path)[0] == 0
    before = made(path)
    status, events, _ = run(path)
    assert status == 0 and [list(event) for event in events] == [["finished"]] and made(path) == before


def test_a_signal_costs_no_step(tmp_path, undisturbed):
    path = folder(tmp_path / "job", LONG)
    process = start(path)
    lines = []
    for line in process.stdout:
        lines.append(json.loads(line))
        if len(steps(lines)) == 40:
            process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 85, process.stderr.read()
    last = steps(lines)[-1]
    assert list(lines[-1]) == ["putDown"] and 40 <= last < 400
    assert len(checkpoints(path)) == 1
    # Another machine: nothing but the folder.
    moved = tmp_path / "moved"
    shutil.copytree(path, moved)
    status, events, errors = run(moved)
    assert status == 0, errors
    assert steps(events)[0] == last, "no step is done again"
    assert made(moved) == undisturbed


def test_checkpoints_at_intervals(tmp_path, undisturbed):
    path = folder(tmp_path / "job", LONG)
    rounds, done = 0, 0
    while True:
        status, events, errors = run(path, "--checkpoint-every", "1")
        if status == 0:
            break
        assert status == 85, errors
        assert len(checkpoints(path)) == 1
        now = steps(events)
        assert not now or now[0] >= done
        done = max([done] + now)
        rounds += 1
        assert rounds < 60
    assert rounds >= 1 and made(path) == undisturbed


def test_a_kill_costs_little(tmp_path, undisturbed):
    path = folder(tmp_path / "job", LONG)
    for after in (30, 150):
        process = start(path)
        lines = []
        for line in process.stdout:
            lines.append(json.loads(line))
            if len(steps(lines)) >= after:
                process.kill()
                break
        process.wait(60)
    status, events, errors = run(path)
    assert status == 0, errors
    assert steps(events)[0] > 100, "the work before the kill counts"
    assert made(path) == undisturbed


def test_a_second_signal_ends_it_at_once(tmp_path, undisturbed):
    path = folder(tmp_path / "job", LONG)
    process = start(path)
    for line in process.stdout:
        if '"denoising"' in line:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    assert process.returncode == 85
    assert run(path)[0] == 0 and made(path) == undisturbed


def test_the_seed_is_drawn_once(tmp_path):
    path = folder(tmp_path / "job", {"prompt": "a ball"} | {"num_inference_steps": 4})
    assert run(path)[0] == 0
    plan, first = json.loads((path / "plan.json").read_text())["plan"], made(path)
    (path / "result.json").unlink()
    assert run(path)[0] == 0
    assert json.loads((path / "plan.json").read_text())["plan"]["seed"] == plan["seed"] and made(path) == first


def test_given_files_lie_in_the_folder(tmp_path):
    picture = tmp_path / "picture.png"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=128x128", "-frames:v", "1", str(picture)], check=True)
    one = folder(tmp_path / "one", SHORT, given_first_frame=picture.read_bytes())
    assert run(one)[0] == 0
    given = json.loads((one / "plan.json").read_text())["plan"]["given"]
    assert given["hasFirstFrame"] is True
    clip = (one / json.loads((one / "result.json").read_text())["result"]["video"]).read_bytes()
    longer = folder(tmp_path / "longer", SHORT | {"num_frames": 16}, given_before=clip)
    assert run(longer)[0] == 0
    plan = json.loads((longer / "plan.json").read_text())["plan"]
    assert plan["given"]["before"]["numFrames"] == 17
    changed = folder(tmp_path / "changed", SHORT | {"strength": 0.5}, given_source=clip)
    assert run(changed)[0] == 0
    assert len({made(path) for path in (one, longer, changed)}) == 3


@pytest.mark.parametrize("request_, files, status, words", [
    ({"prompt": ""}, {}, 65, "the prompt is empty"),
    ({"prompt": "a", "promt": "b"}, {}, 65, 'unknown field "promt"'),
    ({"prompt": "a", "seconds": "2"}, {}, 65, "must be a number"),
    ({"prompt": "a", "seed": -2}, {}, 65, "-1 to"),
    ({"prompt": "a", "model": "wan"}, {}, 65, "the request is for the model wan"),
    ({"prompt": "a", "size": "7x7"}, {}, 65, "7"),
    ({"prompt": "a", "storyboard": [{"prompt": "b"}]}, {}, 65, "seconds"),
    ("[", {}, 65, "is not JSON"),
    ("[]", {}, 65, "not a JSON object"),
    ({"prompt": "a"}, {"given_first_frame": b"\x89PNG\r\n\x1a\nno"}, 65, "given-first-frame"),
    ({"prompt": "a"}, {"given_mask": None}, 65, "do not go together"),
])
def test_a_bad_folder_gets_a_sentence(tmp_path, request_, files, status, words):
    picture = tmp_path / "picture.png"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=size=64x64", "-frames:v", "1", str(picture)], check=True)
    path = folder(tmp_path / "job", request_, **{name: data or picture.read_bytes() for name, data in files.items()})
    code, events, errors = run(path)
    assert (code, events) == (status, []), errors
    assert words in errors and len(errors.splitlines()) <= 2 and "plan.json" not in [file.name for file in path.iterdir()]


def test_no_folder_no_request_no_model(tmp_path):
    code, _, errors = run(tmp_path / "nowhere")
    assert code == 66 and "there is no folder" in errors
    (tmp_path / "empty").mkdir()
    code, _, errors = run(tmp_path / "empty")
    assert code == 66 and "request.json" in errors
    answer = subprocess.run([BUILD / "sorad-worker", "--model", tmp_path / "none.gguf", "--once", tmp_path / "empty"], capture_output=True, text=True)
    assert answer.returncode == 66 and "none.gguf" in answer.stderr


def test_the_four_lines_for_a_batch_system(tmp_path):
    """The script of docs/PORTABLE_JOBS.md, as a batch system runs it: again for as long as it says 85."""
    text = (pathlib.Path(__file__).parents[2] / "docs" / "PORTABLE_JOBS.md").read_text()
    script = text.split("```sh\n#!/bin/bash\n", 1)[1].split("```", 1)[0]
    path = folder(tmp_path / "job", LONG | {"num_inference_steps": 200})
    program = tmp_path / "clip.sh"
    program.write_text("#!/bin/bash\n" + script)
    begun = time.monotonic()
    requeued = 0
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "scontrol").write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/requeued\n")
    (fake / "scontrol").chmod(0o755)
    while True:
        answer = subprocess.run(["bash", program, path], capture_output=True, text=True, timeout=600, env={
            "PATH": f"{fake}:{BUILD}:/usr/bin:/bin", "SORAD_MODEL": str(MODEL), "SLURM_JOB_ID": "12", "EVERY": "1"})
        asked = (tmp_path / "requeued").read_text().count("requeue 12") if (tmp_path / "requeued").exists() else 0
        if asked == requeued:
            break
        requeued = asked
        assert time.monotonic() - begun < 300
    assert answer.returncode == 0 and (path / "result.json").exists(), answer.stderr
    assert requeued >= 1


def submitted(daemon, fields):
    answer = daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", "@-", body=json.dumps(fields))
    return json.loads(answer.stdout)["id"]


def video(daemon, video_id):
    return json.loads(daemon.curl(f"/v1/videos/{video_id}").stdout)


@on_this_machine("a running job's newest checkpoint is with the pool, so an export begins again")
def test_a_job_moves_from_daemon_to_daemon(make_daemon, tmp_path, undisturbed):
    first = make_daemon("first")
    job = submitted(first, LONG)
    deadline = time.monotonic() + 120
    while video(first, job).get("step", 0) < 40:
        assert time.monotonic() < deadline, video(first, job)
        time.sleep(0.05)
    exported = first.ctl("export", job[-12:], str(tmp_path / "job"), "--json")
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout) == {"schema": "sorad.export/1", "id": job, "folder": str(tmp_path / "job"),
                                           "files": len(list((tmp_path / "job").iterdir()))}
    first.process.kill()
    first.process.wait()
    shutil.copytree(tmp_path / "job", tmp_path / "alone")
    second = make_daemon("second")
    imported = second.ctl("import", str(tmp_path / "job"), "--json")
    assert imported.returncode == 0, imported.stderr
    new = json.loads(imported.stdout)["id"]
    assert new != job
    told = second.curl(f"/v1/videos/{new}/events", "-N").stdout
    assert min(int(step) for step in re.findall(r'"step": ?([0-9]+)', told) if step != "0") >= 30, "it continues where it was"
    assert video(second, new)["sha256"] == undisturbed
    # The same folder without a daemon.
    status, events, errors = run(tmp_path / "alone")
    assert status == 0, errors
    assert steps(events)[0] >= 30 and made(tmp_path / "alone") == undisturbed
    # What is finished has its clip in the folder, and is not made again.
    assert second.ctl("export", new, str(tmp_path / "finished")).returncode == 0
    assert made(tmp_path / "finished") == undisturbed and list((tmp_path / "finished").glob("*.mp4"))
    again = second.ctl("import", str(tmp_path / "finished"))
    assert again.returncode == 65 and "is finished" in again.stderr
    taken = second.ctl("export", new, str(tmp_path / "finished"))
    assert taken.returncode == 73 and "File exists" in taken.stderr


def test_a_job_with_given_files_moves(make_daemon, tmp_path):
    daemon = make_daemon()
    clip = submitted(daemon, SHORT)
    assert daemon.ctl("watch", clip, "-q").returncode == 0
    assert daemon.ctl("pause").returncode == 0
    answer = daemon.curl("/v1/videos/extensions", "-H", "content-type: application/json", "-d", "@-",
                         body=json.dumps(SHORT | {"video": {"id": clip}, "num_frames": 16}))
    job = json.loads(answer.stdout)["id"]
    assert daemon.ctl("export", job, str(tmp_path / "job")).returncode == 0
    assert (tmp_path / "job" / "given-before-0").stat().st_size > 0
    assert daemon.ctl("resume").returncode == 0 and daemon.ctl("watch", job, "-q").returncode == 0
    other = make_daemon("other")
    new = json.loads(other.ctl("import", str(tmp_path / "job"), "--json").stdout)["id"]
    assert other.ctl("watch", new, "-q").returncode == 0
    assert video(other, new)["sha256"] == video(daemon, job)["sha256"]


def archive(*files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_archives_from_anybody(make_daemon, tmp_path):
    daemon = make_daemon()
    assert daemon.ctl("pause").returncode == 0
    job = submitted(daemon, SHORT)
    good = daemon.curl(f"/v1/videos/{job}/job", "-o", str(tmp_path / "good.tar"), "-w", "%{http_code} %{content_type}")
    assert good.stdout == "200 application/x-tar"
    with tarfile.open(tmp_path / "good.tar") as tar:
        assert tar.getnames() == ["plan.json"]
        plan = json.loads(tar.extractfile("plan.json").read())
    assert plan["version"] == 1 and plan["job"] == job

    def post(data):
        path = tmp_path / "sent.tar"
        path.write_bytes(data)
        answer = daemon.curl("/v1/videos/import", "-F", f"file=@{path}", "-w", "\n%{http_code}").stdout
        body, _, code = answer.rpartition("\n")
        return int(code), json.loads(body)

    def changed(**values):
        return json.dumps(plan | {"plan": plan["plan"] | values}).encode()

    assert post((tmp_path / "good.tar").read_bytes())[0] == 200
    assert post(archive(("./plan.json", changed())))[0] == 200
    # Checkpoints that are none are not used.
    assert post(archive(("plan.json", changed()), ("checkpoint-0", b"x" * 5000), ("latents", b"y" * 700)))[0] == 200
    before = sorted(path.name for path in (daemon.folder / "state" / "spool").iterdir())
    refused = [
        (b"no tar", "ends early"), (archive(("plan.json", b"{}")), "version"), (archive(("plan.json", b"[")), "plan.json"),
        (archive(("latents", b"x")), "no plan.json"), (archive(("../../x", b"x")), "something else"),
        (archive(("plan.json", changed(width=100000))), ""), (archive(("plan.json", changed(numInferenceSteps=10**9))), "num_inference_steps"),
        (archive(("plan.json", changed(prompt="a" * 9000))), "too long"), (archive(("plan.json", changed(model="none"))), "unknown model"),
        (archive(("plan.json", changed(windows=[{"start": 0, "end": 9, "scene": 7}]))), "windows"),
        (archive(("plan.json", changed(given={"hasFirstFrame": True, "hasLastFrame": False}))), "given-first-frame"),
        (archive(("plan.json", changed(given={"hasFirstFrame": True, "hasLastFrame": False})), ("given-first-frame", b"GIF89a")), "given-first-frame"),
        (archive(("plan.json", changed(fps=0))), ""), (archive(("plan.json", changed(guidanceScale=-1))), "guidance_scale"),
    ]
    for data, words in refused:
        code, answer = post(data)
        assert code == 400 and words in answer["error"]["message"], (code, answer, words)
    code, answer = post(archive(("plan.json", changed()), ("result.json", b"{}")))
    assert code == 409 and answer["error"]["code"] == "job_finished"
    deadline = time.monotonic() + 10
    while sorted(path.name for path in (daemon.folder / "state" / "spool").iterdir()) != before:
        assert time.monotonic() < deadline, "something is left behind"
        time.sleep(0.1)
    code = daemon.curl("/v1/videos/video_00000000000000000000000000/job", "-o", "/dev/null", "-w", "%{http_code}").stdout
    assert code == "404"
