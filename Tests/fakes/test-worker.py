#!/usr/bin/env python3
"""A worker without an engine, for tests of the daemon: speaks the worker protocol on descriptor 3 and does what the prompt says.

The model file is JSON: the ModelInfo itself, or {"broken": "sentence"}; with "startFailure": "text" next to the ModelInfo it can be
described, but the worker writes the text on standard error and exits when it is started; with "startDelay": N it takes N seconds.
With --origin it says what the file's last line says as JSON, and that anything that does not begin like an MP4 is damaged.
With --read-prompts it takes each word for a token, and words that begin with "zz" for unknown ones.
With --inspect it takes whatever begins like a PNG for a picture and like an MP4 for a clip of 20 frames. What the file ends with is
done before: "die-once" (for the first time that this log's daemon asks), "die", "sleep" (a minute, after the process id was logged).
A prompt is words; each may be an instruction:
  steps=N      progress events (default 3)
  phase=NAME   the phase that they name (default denoising)
  pause=S      seconds before each progress event (default 0.01)
  complain     says something on standard error
  die          SIGKILL itself in the first step
  die-once     the same, but only if it has not yet died in this job's directory
  hang         never answers again, not even to cancel
  hang-once    the same, but only if it has not yet done so in this job's directory
  alive        sends a heartbeat five times a second
  garbage      sends a frame that is no JSON
  badlength    sends a frame length beyond the limit
  hangup       closes the socket and stays alive
  fail         answers with an error
  fail-once    the same, but only if it has not yet done so in this job's directory
  empty-once   leaves an empty file as its clip, but only once in this job's directory
  escape       names a result outside the job's directory
  backwards    reports 80 % and then 10 %
  latents      keeps a file of latents, as the engine does
  preview=N    a picture whose base64 has N characters goes with each progress event
"""
import json, os, select, signal, socket, struct, sys, time, zlib

if "--origin" in sys.argv:
    with open(sys.argv[sys.argv.index("--origin") + 1], "rb") as file:
        content = file.read()
    if content[4:8] != b"ftyp":
        sys.stderr.write("sorad-worker: the file is text\n")
        sys.exit(65)
    print(content.rsplit(b"\n", 1)[-1].decode())
    sys.exit(0)
if "--inspect" in sys.argv:
    with open(sys.argv[sys.argv.index("--inspect") + 1], "rb") as file:
        head = file.read()
    mark = os.environ.get("TEST_WORKER_LOG", "/nowhere") + ".died"
    if head.endswith(b"die-once") and not os.path.exists(mark) or head.endswith(b"die"):
        open(mark, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if head.endswith(b"sleep"):
        with open(os.environ["TEST_WORKER_LOG"], "a") as file:
            file.write(f"inspects {os.getpid()}\n")
        time.sleep(60)
    if head.startswith(b"\x89PNG"):
        print(json.dumps({"format": "png", "width": 64, "height": 48, "num_frames": 1, "fps": 0}))
    elif head[4:8] == b"ftyp":
        print(json.dumps({"format": "mp4", "width": 64, "height": 48, "num_frames": 20, "fps": 8}))
    else:
        sys.stderr.write("sorad-worker: the file is text\n")
        sys.exit(65)
    sys.exit(0)
path = sys.argv[sys.argv.index("--model") + 1]
with open(path) as file:
    model = json.load(file)
if "broken" in model:
    sys.stderr.write(model["broken"] + "\n")
    sys.exit(65)
if "--describe" in sys.argv:
    time.sleep(model.pop("describeDelay", 0))
    model.pop("startFailure", None)
    model.pop("startDelay", None)
    model.pop("readsNothing", None)
    print(json.dumps(model))
    sys.exit(0)
if "--read-prompts" in sys.argv:
    if model.get("readsNothing"):
        sys.exit(70)
    print(json.dumps([{"tokens": len(prompt.split()) + 1, "textLength": model.get("textLength", 512),
                       "unknownWords": [word for word in prompt.split() if word.startswith("zz")]} for prompt in json.load(sys.stdin)]))
    sys.exit(0)
model.pop("describeDelay", None)
model.pop("readsNothing", None)
if "startFailure" in model:
    sys.stderr.write(model["startFailure"])
    sys.exit(78)
if os.environ.get("TEST_WORKER_LOG"):
    descriptors = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    with open(os.environ["TEST_WORKER_LOG"], "a") as file:
        file.write(f"start {os.getpid()} {descriptors}\n")

channel = socket.socket(fileno=3)
pending = b""


def send(event):
    data = json.dumps(event).encode()
    channel.sendall(struct.pack("<I", len(data)) + data)


def receive(timeout, beating=False):
    """The next command, None when none came, or exits at the end of the stream."""
    global pending
    end = time.monotonic() + timeout if timeout is not None else None
    while True:
        if len(pending) >= 4:
            length = struct.unpack("<I", pending[:4])[0]
            if len(pending) >= 4 + length:
                frame, pending = pending[4 : 4 + length], pending[4 + length :]
                return json.loads(frame)
        left = None if end is None else max(0, end - time.monotonic())
        if not select.select([channel], [], [], min(left, 0.2) if beating else left)[0]:
            if not beating or left == 0:
                return None
            send({"alive": {}})
            continue
        data = channel.recv(65536)
        if not data:
            sys.exit(0)
        pending += data


def generate(job, request, directory, expectedSeconds, embeddings=None):
    words = request["prompt"].split()
    if os.environ.get("TEST_WORKER_LOG") and expectedSeconds:
        with open(os.environ["TEST_WORKER_LOG"], "a") as file:
            file.write(f"expected {json.dumps(expectedSeconds, sort_keys=True)}\n")
    if os.environ.get("TEST_WORKER_LOG") and "given" in request:
        names = sorted(name for name in os.listdir(directory) if name.startswith("given-"))
        with open(os.environ["TEST_WORKER_LOG"], "a") as file:
            file.write(f"given {' '.join(names)} {json.dumps(request['given'], sort_keys=True)}\n")
    options = dict(word.split("=", 1) for word in words if "=" in word)
    steps = int(options.get("steps", 3))
    def once(what):
        mark = os.path.join(directory, what)
        if what not in words or os.path.exists(mark):
            return False
        open(mark, "w").close()
        return True

    if "complain" in words:
        sys.stderr.write("sorad-worker: the disk smells of smoke.\n")
        sys.stderr.flush()
    for step in range(steps):
        command = receive(float(options.get("pause", 0.01)), beating="alive" in words)
        if command is not None and command.get("cancel", {}).get("job") == job:
            send({"failed": {"job": job, "error": {"code": "cancelled", "message": "Cancelled."}}})
            return
        percent = 100 * (step + 1) // steps
        if "backwards" in words:
            percent = 80 if step == 0 else 10
        progress = {"phase": options.get("phase", "denoising"), "step": step + 1, "steps": steps, "percent": percent}
        if "preview" in options:
            progress["preview"] = {"width": 16, "height": 16, "png": "A" * int(options["preview"])}
        send({"progress": {"job": job, "progress": progress}})
        if "die" in words or once("die-once"):
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in words or once("hang-once"):
            time.sleep(3600)
        if "garbage" in words:
            channel.sendall(struct.pack("<I", 5) + b"\xff{}[]")
            time.sleep(3600)
        if "badlength" in words:
            channel.sendall(struct.pack("<I", 0xFFFFFFFF))
            time.sleep(3600)
        if "hangup" in words:
            channel.close()
            time.sleep(3600)
    if "fail" in words or once("fail-once"):
        send({"failed": {"job": job, "error": {"code": "media_failed", "message": "the encoder said no"}}})
        return
    if once("empty-once"):
        words.append("empty")
    contents = {"video.mp4": b"\0\0\0\x18ftypmp42" + request["prompt"].encode() * 50, "thumbnail.webp": b"RIFF\4\0\0\0WEBP", "spritesheet.jpg": b"\xff\xd8\xff\xe0"}
    for name, data in contents.items():
        with open(os.path.join(directory, name), "wb") as file:
            file.write(b"" if "empty" in words and name == "video.mp4" else data)
    kept = {}
    if "latents" in words:
        with open(os.path.join(directory, "latents"), "wb") as file:
            file.write(b"SORADLT1 of " + job.encode())
        kept = {"latents": "latents", "modelSHA256": model["sha256"]}
    sha = f"{zlib.crc32(json.dumps(request, sort_keys=True).encode()):08x}" * 8
    video = "../../jobs.sqlite" if "escape" in words else "video.mp4"
    send({"finished": {"job": job, "result": {"sha256": sha, "video": video, "thumbnail": "thumbnail.webp", "spritesheet": "spritesheet.jpg", "timings": {"denoising": 0.5}, **kept}}})


time.sleep(model.pop("startDelay", 0))
send({"ready": {"model": model}})
while True:
    command = receive(None)
    if "generate" in command:
        generate(**command["generate"])
