#!/usr/bin/env python3
"""Drives a running sorad with the official OpenAI Python SDK (3.x on httpx2, 2.x on httpx) over its Unix socket: every call that there is.

    SORAD_SOCKET=/run/sorad/sorad.sock python3 Tests/sdk/test_sdk.py [async]

Needs the package `openai`. Works with any model; SORAD_SDK_TIMEOUT (seconds, default 120) bounds the wait for a clip. With `async` the
asynchronous client is driven.
Every check raises on failure; the exit status is 0 when all passed.
"""
import base64
import os
import struct
import sys
import time
import uuid
import warnings
import zlib

import openai

try:
    import httpx2 as httpx
except ImportError:  # SDK 2.x
    import httpx

warnings.simplefilter("ignore", DeprecationWarning)  # the hosted service is gone; its protocol is what is tested here
SOCKET = os.environ["SORAD_SOCKET"]
TIMEOUT = float(os.environ.get("SORAD_SDK_TIMEOUT", "120"))
IS_ASYNC = sys.argv[1:] == ["async"]


def connect():
    common = {"api_key": "local", "base_url": "http://localhost/v1"}
    if IS_ASYNC:
        from blocking import Blocking

        http = openai.DefaultAsyncHttpxClient(transport=httpx.AsyncHTTPTransport(uds=SOCKET))
        return Blocking(openai.AsyncOpenAI(http_client=http, **common))
    return openai.OpenAI(http_client=openai.DefaultHttpxClient(transport=httpx.HTTPTransport(uds=SOCKET)), **common)


client = connect()


def raises(kind, call, **attributes):
    try:
        call()
    except openai.APIError as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
        for name, value in attributes.items():
            assert getattr(error, name) == value, f"{name} is {getattr(error, name)!r} instead of {value!r}"
        return error
    raise AssertionError(f"no {kind.__name__}")


def wait(video_id):
    deadline = time.monotonic() + TIMEOUT
    last = 0
    while True:
        video = client.videos.retrieve(video_id)
        assert video.progress >= last, f"progress fell from {last} to {video.progress}"
        last = video.progress
        if video.status in ("completed", "failed"):
            return video
        assert time.monotonic() < deadline, f"{video_id} took more than {TIMEOUT} s"
        time.sleep(0.05)


def test_models():
    models = client.models.list().data
    assert models, "no model"
    assert client.models.retrieve(models[0].id).object == "model" and models[0].text_length > 1
    raises(openai.NotFoundError, lambda: client.models.retrieve("no-such-model"), code="model_not_found")


def test_create_poll_download_delete():
    raw = client.videos.with_raw_response.create(prompt="a red ball rolls to the left on grass", seconds="1", extra_body={"seed": 7})
    assert int(raw.headers["openai-poll-after-ms"]) > 0
    assert raw.headers["x-request-id"]
    video = raw.parse()
    assert video.object == "video" and video.status in ("queued", "in_progress") and video.seconds == "1"
    assert int(video.seconds) == 1 and video.duration_seconds == video.num_frames / video.fps
    assert video.prompt_tokens > 1 and video.prompt_truncated is False and isinstance(video.unknown_words, list)
    assert video.seed == 7 and video.num_frames >= 1 and video.size == f"{video.width}x{video.height}"
    done = wait(video.id)
    assert done.status == "completed" and done.progress == 100 and done.error is None and done.completed_at >= done.created_at
    assert len(done.sha256) == 64
    magic = {"video": (4, b"ftyp"), "thumbnail": (0, b"RIFF"), "spritesheet": (0, b"\xff\xd8")}
    for variant, (offset, expected) in magic.items():
        data = client.videos.download_content(video.id, variant=variant).read()
        assert data[offset : offset + len(expected)] == expected, (variant, data[:16])
    whole = client.videos.download_content(video.id).read()
    part = client.videos.download_content(video.id, extra_headers={"Range": "bytes=0-9"})
    assert part.response.status_code == 206 and part.read() == whole[:10]
    deleted = client.videos.delete(video.id)
    assert deleted.deleted and deleted.id == video.id and deleted.object == "video.deleted"
    raises(openai.NotFoundError, lambda: client.videos.retrieve(video.id), code="video_not_found")


def test_create_and_poll():
    video = client.videos.create_and_poll(prompt="a blue cone spins", seconds="1", extra_body=QUICK)
    assert video.status == "completed"
    assert client.videos.poll(video.id).sha256 == video.sha256
    client.videos.delete(video.id)


def test_what_a_client_sends_and_this_service_lacks():
    """Refused with the name to use, or named in the answer."""
    for name, ours in (("duration", "seconds"), ("num_inference_step", "num_inference_steps"), ("Seed", "seed"), ("start_image", "input_reference")):
        error = raises(openai.BadRequestError, lambda: client.videos.create(prompt="x", extra_body={name: 4}), param=name, code="unknown_parameter")
        assert f'the name is "{ours}"' in error.message, error.message
    long = client.videos.create(prompt="a red ball rolls on green grass, " * 100, extra_body=QUICK | {"user": "me", "metadata": {"a": 1}})
    assert long.ignored == ["metadata", "user"] and long.prompt_truncated, long
    assert long.prompt_tokens > client.models.retrieve(long.model).text_length
    client.videos.delete(long.id)


def test_pages():
    tag = uuid.uuid4().hex
    made = [client.videos.create(prompt=f"{tag} {number}", seconds="1").id for number in range(5)]
    newest = [video.id for video in client.videos.list(limit=2) if tag in video.prompt]
    assert newest == made[::-1], newest
    oldest = [video.id for video in client.videos.list(limit=2, order="asc") if tag in video.prompt]
    assert oldest == made, oldest
    # Deleting what is being listed does not lose the place.
    for video in client.videos.list(limit=2):
        if tag in video.prompt:
            client.videos.delete(video.id)
    assert not [video for video in client.videos.list() if tag in video.prompt]


def test_errors():
    raises(openai.BadRequestError, lambda: client.videos.create(prompt=""), param="prompt", type="invalid_request_error")
    raises(openai.BadRequestError, lambda: client.videos.create(prompt="a" * 100_000), param="prompt")
    for size in ("17x9999", "0x0", "-1x-1", "abc"):
        raises(openai.BadRequestError, lambda: client.videos.create(prompt="x", size=size), param="size")
    raises(openai.BadRequestError, lambda: client.videos.create(prompt="x", model="no-such-model"), param="model", code="model_not_found")
    raises(openai.BadRequestError, lambda: client.videos.create(prompt="x", input_reference=b"\x89PNG" * 100_000), param="input_reference")
    raises(openai.NotFoundError, lambda: client.videos.retrieve("video_nobody"), code="video_not_found")
    raises(openai.NotFoundError, lambda: client.videos.delete("video_nobody"))


def test_content_that_is_not_ready():
    first = client.videos.create(prompt="a green box falls", seconds="1").id
    second = client.videos.create(prompt="a green box rises", seconds="1").id
    start = time.monotonic()
    raises(openai.ConflictError, lambda: client.videos.download_content(second), code="video_not_ready")
    assert time.monotonic() - start < 0.4, "the SDK retried what no retry can mend"
    for video_id in (second, first):
        client.videos.delete(video_id)


def test_cancel():
    video = client.videos.create(prompt="a white ring circles", seconds="1")
    answer = client.post(f"/videos/{video.id}/cancel", cast_to=openai.types.Video)
    if answer.status == "failed":
        assert answer.error.code == "cancelled"
    client.videos.delete(video.id)


def png(width, height, color):
    """A picture of one color."""
    rows = (b"\0" + bytes(color) * width) * height
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)


QUICK = {"num_inference_steps": 2, "num_frames": 9, "seed": 3}


def finished(video):
    done = wait(video.id)
    assert done.status == "completed", done
    return done


def test_pictures():
    red, blue = png(40, 30, (220, 20, 20)), png(40, 30, (20, 20, 220))
    plain = finished(client.videos.create(prompt="a ball", extra_body=QUICK))
    first = finished(client.videos.create(prompt="a ball", input_reference=("a.png", red, "image/png"), extra_body=QUICK))
    url = {"image_url": "data:image/png;base64," + base64.b64encode(red).decode()}
    # This SDK takes objects for these fields in its types but not in its code: they go through extra_body.
    again = finished(client.videos.create(prompt="a ball", extra_body=QUICK | {"input_reference": url}))
    assert first.sha256 == again.sha256 != plain.sha256
    close = finished(client.videos.create(prompt="a ball", input_reference=red, extra_body=QUICK | {"strength": 0.5}))
    assert close.strength == 0.5 and close.sha256 != first.sha256
    ends = finished(client.post("/videos", cast_to=openai.types.Video, files={"input_reference": red, "end_image": blue},
                                body={"prompt": "a ball", **QUICK}, options={"headers": {"Content-Type": "multipart/form-data"}}))
    assert ends.sha256 != first.sha256
    for video in (plain, first, again, close, ends):
        client.videos.delete(video.id)


def test_bad_pictures():
    good = png(40, 30, (1, 2, 3))
    huge = good[:16] + struct.pack(">II", 100_000, 100_000) + good[24:]
    for picture, words in ((good[:-20], "cut off"), (huge, "100000×100000"), (b"hello", "text"), (b"<svg/>", "SVG"),
                           (b"#EXTM3U\nfile:///etc/passwd\n", "playlist"), (b"", "empty")):
        error = raises(openai.BadRequestError, lambda: client.videos.create(prompt="x", input_reference=picture), param="input_reference")
        assert words in error.message, error.message
    for reference in ({"file_id": "file_1"}, {"image_url": "http://127.0.0.1/a.png"}):
        raises(openai.BadRequestError, lambda: client.videos.create(prompt="x", extra_body={"input_reference": reference}), code="unsupported_parameter")


def test_remix_edit_extend():
    source = finished(client.videos.create(prompt="a ball", extra_body=QUICK))
    remix = finished(client.videos.remix(source.id, prompt="a box", extra_body={"num_inference_steps": 2, "strength": 0.5}))
    assert remix.remixed_from_video_id == source.id and remix.seconds == source.seconds == "1" and remix.duration_seconds == 1.125 and remix.strength == 0.5
    by_id = {"video": {"id": source.id}, "num_inference_steps": 2}
    edit = finished(client.videos.edit(prompt="a cone", video=openai.omit, extra_body=by_id))
    clip = client.videos.download_content(source.id).read()
    upload = finished(client.videos.edit(prompt="a cone", video=clip, extra_body={"num_inference_steps": 2}))
    assert edit.source_video_id == source.id and upload.num_frames == edit.num_frames == 9
    longer = finished(client.videos.extend(prompt="on", seconds="1", video=openai.omit, extra_body=by_id))
    assert longer.seconds == "2" and longer.duration_seconds == 2.125 and longer.num_frames == 17, longer
    before = finished(client.videos.extend(
        prompt="before", seconds="1", video=clip, extra_body={"direction": "backwards", "num_inference_steps": 2}))
    assert before.num_frames == 17 and len({source.sha256, remix.sha256, edit.sha256, longer.sha256, before.sha256}) == 5
    raises(openai.NotFoundError, lambda: client.videos.remix("video_nobody", prompt="x"), code="video_not_found")
    running = client.videos.create(prompt="a ball")
    raises(openai.ConflictError, lambda: client.videos.remix(running.id, prompt="x"), code="video_not_ready")
    for video in (running, source, remix, edit, upload, longer, before):
        client.videos.delete(video.id)


def test_characters():
    clip = b"\0\0\0\x18ftypisom" + bytes(100)
    long = clip + bytes(3 << 20)
    json_body = {"body": {"name": "Ada", "video": {"id": "video_1"}}, "cast_to": object}
    for call in (lambda: client.videos.create_character(name="Ada", video=clip), lambda: client.videos.create_character(name="Ada", video=long),
                 lambda: client.post("/videos/characters", **json_body), lambda: client.videos.get_character("char_1")):
        error = raises(openai.BadRequestError, call, code="unsupported_parameter")
        assert error.body["message"] == (
            "the model sorad-mini cannot keep characters; it makes clips from text, first and last pictures (input_reference, "
            "end_image) and clips (edits, remix, extensions); describe who is to be seen in the prompt")


def test_provenance():
    video = finished(client.videos.create(prompt="a ball", extra_body=QUICK))
    clip = client.videos.download_content(video.id).read()
    found = client.content_provenance_checks.create(file=("a.mp4", clip, "video/mp4"))
    assert found.object == "content_provenance_check" and abs(found.created_at - time.time()) < 60
    (result,) = found.results
    assert (result.type, result.outcome, result.validation_state) == ("c2pa", "detected", "trusted"), result
    assert result.origin == "this_sorad" and result.video_id == video.id and result.model == video.model
    client.videos.delete(video.id)
    # The same with one bit more says no more than that it is marked.
    other = client.content_provenance_checks.create(file=clip + b"\0\0\0\x08free").results[0]
    assert (other.outcome, other.validation_state, other.origin) == ("detected", "valid", "another_sorad"), other
    assert other.issuer.startswith("sorad ") and other.evidence == ["xmp", "comment"]
    raises(openai.BadRequestError, lambda: client.content_provenance_checks.create(file=clip[:1000]), code="invalid_file", param="file")
    raises(openai.BadRequestError, lambda: client.content_provenance_checks.create(file=b"hello"), code="invalid_file", param="file")


def test_events():
    stream = openai.AsyncStream[object] if IS_ASYNC else openai.Stream[object]

    def events(video_id):
        return list(client.get(f"/videos/{video_id}/events", cast_to=object, stream=True, stream_cls=stream))

    video = client.videos.create(prompt="a ball", extra_body={"num_inference_steps": 6, "num_frames": 9})
    told = events(video.id)
    assert told[0]["object"] == "video" and told[-1]["status"] == "completed" and told[-1]["sha256"], told[-1]
    assert any("phase" in event for event in told[1:-1])
    percents = [event["progress"] for event in told if "progress" in event]
    assert percents == sorted(percents) and percents[-1] == 100
    assert events(video.id) == [told[-1]]
    client.videos.delete(video.id)
    cancelled = client.videos.create(prompt="a ball")
    client.post(f"/videos/{cancelled.id}/cancel", cast_to=openai.types.Video)
    # The SDK takes an event with an error for an error.
    try:
        events(cancelled.id)
        raise AssertionError("no error")
    except openai.APIError as error:
        assert "cancelled" in error.message
    client.videos.delete(cancelled.id)


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            begin = time.monotonic()
            test()
            print(f"ok {name} ({time.monotonic() - begin:.2f} s)", flush=True)
