"""Applications that know a base URL alone, unchanged, through the loopback port with a key: create, poll, download. Their bytes are their own."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest
import yaml

from conftest import BUILD
from malformed.taken import CLIENTS, PNG
from network import Port

HERE = pathlib.Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "openapi.yaml"
USER = 60_001
OPTIONS = ("--listen", "127.0.0.1:0", "--alias", "sora-2 sorad-mini", "--alias", "sora-2-pro sorad-mini", "--size-policy", "nearest")
QUICK = {"num_inference_steps": 1, "seed": 1}


@pytest.fixture
def daemon(make_daemon):
    return make_daemon(options=OPTIONS)


@pytest.fixture
def port(daemon):
    return Port(daemon.url, daemon.key("application", USER))


def finished(port, created):
    while True:
        status, _, video = port.ask("GET", "/v1/videos/" + created["id"])
        assert status == 200, video
        if video["status"] in ("completed", "failed"):
            assert video["status"] == "completed", video
            return video
        time.sleep(0.05)


SDK = """
import sys, openai
client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key=sys.argv[2])
video = client.videos.create_and_poll(prompt="a red ball bounces", model="sora-2", size="1280x720", seconds="4", extra_body={"num_inference_steps": 1})
assert video.status == "completed", video
width, height = map(int, video.size.split("x"))
assert 1.4 < width / height < 2 and video.model == "sorad-mini" and video.requested_model == "sora-2" and video.requested_size == "1280x720"
content = client.videos.download_content(video.id).read()
assert content[4:8] == b"ftyp"
assert [one.id for one in client.videos.list()] == [video.id]
assert {"sora-2", "sora-2-pro", "sorad-mini"} == {one.id for one in client.models.list()}
assert client.models.retrieve("sora-2").alias_of == "sorad-mini"
try:
    openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="wrong", max_retries=0).models.list()
    raise SystemExit("a wrong key was taken")
except openai.AuthenticationError as error:
    assert error.code == "invalid_api_key", error
print("made")
"""


@pytest.mark.parametrize("python", [sys.executable, os.environ["SORAD_SDK2_PYTHON"]], ids=["sdk3", "sdk2"])
def test_official_python_sdk(daemon, port, python):
    run = subprocess.run([python, "-c", SDK, daemon.url, port.key], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and run.stdout == "made\n", run.stdout + run.stderr


def test_litellm(daemon, port, tmp_path):
    picture = tmp_path / "ball.png"
    picture.write_bytes(PNG)
    run = subprocess.run(
        [os.environ["SORAD_LITELLM_PYTHON"], HERE / "litellm_client.py", daemon.url, picture, port.key], capture_output=True, text=True, timeout=300,
        env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"})
    assert run.returncode == 0 and "remixed" in run.stdout, run.stdout + run.stderr
    given = list((daemon.folder / "state" / "spool").glob("*/given-first-frame"))
    assert [file.read_bytes() for file in given] == [PNG]


def example(language):
    """The example of docs/CLIENTS.md, as it stands there."""
    text = (HERE.parent.parent / "docs" / "CLIENTS.md").read_text()
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL).group(1)


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")
def test_node(daemon, port, tmp_path):
    """Node's own fetch is undici."""
    script = tmp_path / "example.mjs"
    script.write_text(
        example("js").replace("http://127.0.0.1:8790", daemon.url) +
        "\nif (video.status !== 'completed') throw new Error(JSON.stringify(video));\nprocess.stdout.write(Buffer.from(clip).subarray(4, 8));\n")
    run = subprocess.run(["node", script], env=os.environ | {"KEY": port.key}, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and run.stdout == "ftyp", run.stdout + run.stderr


@pytest.mark.skipif("SORAD_NODE_SDK" not in os.environ, reason="SORAD_NODE_SDK does not name the module of the Node SDK (npm install openai)")
def test_official_node_sdk(daemon, port, tmp_path):
    picture = tmp_path / "ball.png"
    picture.write_bytes(PNG)
    run = subprocess.run(
        ["node", HERE / "node_client.mjs", os.environ["SORAD_NODE_SDK"], daemon.url + "/v1", port.key, picture], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and run.stdout == "made\n", run.stdout + run.stderr


def test_python_example(daemon, port, tmp_path):
    script = "KEY = " + repr(port.key) + "\n" + example("python").replace("http://127.0.0.1:8790", daemon.url)
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "ball.mp4").read_bytes()[4:8] == b"ftyp"


def test_curl(daemon, port, tmp_path):
    ask = ["curl", "-sS", "-H", "Authorization: Bearer " + port.key]
    created = json.loads(subprocess.run([*ask, daemon.url + "/v1/videos", "-F", "prompt=a red ball", "-F", "model=sora-2"], capture_output=True).stdout)
    finished(port, created)
    subprocess.run([*ask, f"{daemon.url}/v1/videos/{created['id']}/content", "-o", tmp_path / "ball.mp4"], check=True)
    assert (tmp_path / "ball.mp4").read_bytes()[4:8] == b"ftyp"


# Go's net/http with mime/multipart, byte for byte.
GO_BOUNDARY = b"f9b1a4e27d0c5c6f8a3e1d2b4c5a69788796a5b4c3d2e1f0a9b8c7d6e5f4"
GO_BODY = b"".join(b"--" + GO_BOUNDARY + b'\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value + b"\r\n" for name, value in [
    (b"prompt", b"a red ball"), (b"model", b"sora-2"), (b"seconds", b"4"), (b"size", b"720x1280"), (b"num_inference_steps", b"1")]) + b"--" + GO_BOUNDARY + b"--\r\n"
GO = (b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Go-http-client/1.1\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer local\r\n"
      b"Content-Type: multipart/form-data; boundary=" + GO_BOUNDARY + b"\r\nAccept-Encoding: gzip\r\n\r\n" + f"{len(GO_BODY):x}".encode() + b"\r\n" + GO_BODY + b"\r\n0\r\n\r\n")
BYTES = {one.name: one.request for one in CLIENTS} | {"Go's net/http": GO}


@pytest.mark.parametrize("name", BYTES)
def test_exact_requests_of_others(port, name):
    """n8n, promptfoo, .NET and Go, with this key in the place of theirs."""
    data = re.sub(rb"(?i)(authorization: bearer )local", lambda found: found[1] + port.key.encode(), BYTES[name])
    assert data.count(port.key.encode()) == 1
    head, _, body = port.raw(data).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), body
    video = finished(port, json.loads(body))
    assert port.ask("GET", f"/v1/videos/{video['id']}/content")[2][4:8] == b"ftyp"


def test_the_whole_conversation_of_promptfoo(port):
    """What its src/providers/openai/video.ts asks, in its order: names and sizes of the hosted service, three downloads, and a remix that names a model."""
    status, _, created = port.ask("POST", "/v1/videos", {"model": "sora-2", "prompt": "a red ball", "size": "1280x720", "seconds": "8"})
    assert status == 200 and created["id"], created
    video = finished(port, created)
    assert isinstance(video["progress"], int) and video["error"] is None
    for variant, start in [("", b"ftyp"), ("?variant=thumbnail", b"WEBP"), ("?variant=spritesheet", b"\xff\xd8\xff")]:
        status, _, content = port.ask("GET", f"/v1/videos/{video['id']}/content{variant}")
        assert status == 200 and start in content[:16], variant
    status, _, remix = port.ask("POST", f"/v1/videos/{video['id']}/remix", {"model": "sora-2", "prompt": "a blue ball"})
    assert status == 200, remix
    assert finished(port, remix)["remixed_from_video_id"] == video["id"]
    status, _, refusal = port.ask("POST", "/v1/videos", {"model": "sora-2", "prompt": "", "size": "1280x720", "seconds": "8"})
    assert status == 400 and refusal["error"]["message"], "it shows error.message"


def test_the_whole_conversation_of_n8n(port):
    """What the Video resource of its OpenAI node asks (OpenAi/v2/actions/video/generate.operation.ts): a form, then the job until `error` or
    `completed`, then the clip, whose type it takes from the answer."""
    form = b"".join(b'--b\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value + b"\r\n" for name, value in [
        (b"model", b"sora-2"), (b"prompt", b"A video of a cat playing with a ball"), (b"seconds", b"4"), (b"size", b"1792x1024")])
    form += b'--b\r\nContent-Disposition: form-data; name="input_reference"; filename="ball.png"\r\nContent-Type: image/png\r\n\r\n' + PNG + b"\r\n--b--\r\n"
    head, _, body = port.raw(
        b"POST /v1/videos HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer " + port.key.encode() +
        b"\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: " + str(len(form)).encode() + b"\r\n\r\n" + form).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), body
    video = finished(port, json.loads(body))
    assert video["error"] is None and video["requested_size"] == "1792x1024"
    status, headers, content = port.ask("GET", f"/v1/videos/{video['id']}/content")
    assert status == 200 and headers["content-type"] == "video/mp4" and content[4:8] == b"ftyp"


def test_a_socket_forwarded_to_a_socket(daemon, tmp_path):
    """What ssh -L SOCKET:SOCKET does on one machine, without ssh: bytes from one Unix socket to the other."""
    import socket
    import threading

    from bridge import _carry
    path = str(tmp_path / "forwarded")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def forward():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(daemon.socket)
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_carry, args=pair, daemon=True).start()

    threading.Thread(target=forward, daemon=True).start()
    environment = daemon.environment | {"SORAD_SOCKET": path}
    run = subprocess.run(
        [BUILD / "sorad-ctl", "generate", "a red ball", "--steps", "1", "-o", tmp_path / "ball.mp4"], env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    listener.close()


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("unshare"), reason="a container's namespaces need root")
def test_a_container_with_the_directory_of_the_socket(daemon, tmp_path):
    """Namespaces of mounts, processes, hosts and network, and the directory of the socket in another place: what -v DIRECTORY:/run/sorad gives."""
    inside = tmp_path / "run"
    inside.mkdir()
    script = f"mount --bind {daemon.folder} {inside} && curl -sS --unix-socket {inside}/s http://localhost/v1/quota"
    run = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--uts", "--net", "bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and json.loads(run.stdout)["user"] == 0, run.stdout + run.stderr


def nearest(model, width, height):
    """Of the sizes that the model declares, or of those on its grid no larger than its native area, the one of the nearest shape, the largest first."""
    side = range(model["size_multiple"], model["max_width"] + 1, model["size_multiple"])
    area = model["default_width"] * model["default_height"]
    sizes = [tuple(map(int, size.split("x"))) for size in model.get("sizes", [])] or [(w, h) for w in side for h in side if w * h <= area]
    w, h = min(sizes, key=lambda size: (max(size[0] * height, size[1] * width) / min(size[0] * height, size[1] * width), -size[0] * size[1]))
    return f"{w}x{h}"


def test_names_and_sizes_of_another_service(port):
    model = port.ask("GET", "/v1/models/sora-2")[2]
    for size in ("1280x720", "720x1280", "1792x1024", "1024x1024", "100x100", "16384x1"):
        made = nearest(model, *map(int, size.split("x")))
        video = port.ask("POST", "/v1/videos", QUICK | {"prompt": "a red ball", "model": "sora-2-pro", "size": size, "num_frames": 1})[2]
        assert (video["size"], video["requested_size"], video["model"], video["requested_model"]) == (made, size, "sorad-mini", "sora-2-pro")
    video = port.ask("POST", "/v1/videos", QUICK | {"prompt": "a red ball", "size": "128x128", "model": "sorad-mini", "num_frames": 1})[2]
    assert not {"requested_size", "requested_model", "requested_seconds"} & set(video)
    longest = port.ask("GET", "/v1/models/sora-2")[2]["max_num_frames"]
    created = port.ask("POST", "/v1/videos", QUICK | {"prompt": "a red ball", "size": "64x64", "seconds": "90"})[2]
    assert created["num_frames"] == longest and created["requested_seconds"] == 90.125 and created["seconds"] == str(round(longest / 8))
    assert finished(port, created)["requested_seconds"] == 90.125, "it is there as long as the job exists"
    assert port.code("POST", "/v1/videos", {"prompt": "x", "model": "sora-3"}) == (400, "model_not_found")
    assert port.code("POST", "/v1/videos", {"prompt": "x", "size": "wide"})[0] == 400
    for path in ("/v1/videos/generations", "/v1/video/generations"):
        status, _, refusal = port.ask("POST", path, {"prompt": "x"})
        assert (status, refusal["error"]["code"]) == (404, "unknown_path") and "POST /v1/videos makes clips" in refusal["error"]["message"], refusal
    assert port.code("GET", "/v1/videos/generations") == (404, "video_not_found")


def test_words_that_no_caption_had_are_told(make_daemon):
    daemon = make_daemon()
    for prompt, words in [("a cat and a Whale with a piano, kittens", ["cat", "Whale", "piano", "kittens"]),
                          ("Two red balls rolled to the left on the grass.", []), ("A VIDEO OF a blue box that sneezed", ["sneezed"]),
                          ("一只红色的小球在草地上滚动", []), ("一只猫", ["猫"])]:
        answer = daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", json.dumps(QUICK | {"prompt": prompt, "num_frames": 1}))
        assert json.loads(answer.stdout)["unknown_words"] == words, answer.stdout


def test_sizes_are_refused_by_default(make_daemon):
    daemon = make_daemon()
    for size in ({"size": "1280x720"}, {"seconds": 90}):
        body = json.dumps({"prompt": "x"} | size)
        answer = json.loads(daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", body).stdout)
        assert answer["error"]["param"] == next(iter(size)), answer


def test_the_description_is_served(daemon):
    status, headers, served = Port(daemon.url).ask("GET", "/openapi.json")
    assert status == 200 and headers["content-type"] == "application/json"
    assert served == yaml.safe_load(DOCUMENT.read_text()), "run: make openapi"


def test_the_description_has_the_fields_of_the_table():
    """Sources/sorad/RequestFields.swift is what the daemon reads; the description must not say more or less."""
    source = (HERE.parent.parent / "Sources" / "sorad" / "RequestFields.swift").read_text()

    def words(name):
        return set(re.findall(r'"(\w+)"', re.search(rf"static let {name}(?:: Set<String>)? = (?:FieldTable\()?(?:\n\s*)?(.*?\])", source, re.DOTALL).group(1)))
    common = words("common")
    schemas = yaml.safe_load(DOCUMENT.read_text())["components"]["schemas"]

    def properties(schema):
        if "$ref" in schema:
            return properties(schemas[schema["$ref"].rsplit("/", 1)[1]])
        found = set(schema.get("properties", {}))
        for part in schema.get("allOf", []) + schema.get("anyOf", []) + schema.get("oneOf", []):
            found |= properties(part)
        return found
    for name, table in [("CreateVideo", "create"), ("EditVideo", "edit"), ("RemixVideo", "remix"), ("ExtendVideo", "extend")]:
        assert properties(schemas[name]) == common | words(table), name
