"""Rows about the values of fields, ids in paths, query strings, ranges and Idempotency-Key."""
from malformed.case import closes, document, form, keeps, part, request, sized


def bad(name, *values, **more):
    """Values of one field that are refused with its name."""
    return [keeps(f"{name} = {shown(value)}", document(prompt="x", **{name: value}, **more), 400, param=name) for value in values]


def shown(value):
    text = repr(value)
    return text if len(text) < 48 else f"{text[:30]}… of {len(text)}"


VALUES = [
    keeps("no prompt", document(), 400, param="prompt"),
    *[keeps(f"prompt = {shown(value)}", document(prompt=value), 400, param="prompt")
      for value in ("\u009b\x1f ", None, "", " \t\n", 5, True, [], ["x"], {}, "a\0b", "a" * 4001, "é" * 40_000)],
    *bad("negative_prompt", 5, "a" * 4001, ["x"], "a\0"),
    *bad("model", "nobody", "", 5, "../sorad-mini", "a" * 1025, {"id": "x"}),
    *bad("size", "128", "128x", "x128", "128x128x1", "0x0", "-128x128", "127x128", "99999x99999", "128X128", "128×128", "1e2x128", " 128x128",
         "128 x 128", "", "abc", 128, ["128x128"], "999999x1", "１２８x128"),
    *bad("width", 0, -128, 100, 16385, 128.5, "128px", True, [128], {}, "", 10**30),
    *bad("height", 0, -128, 100, 16385, 128.5, "0x80", False),
    keeps("size that contradicts width", document(prompt="x", size="128x128", width=64), 400, param="size"),
    *bad("seconds", 0, -1, 3601, 3600, "abc", "", "1s", "nan", "inf", "0x1", "1,5", True, [1], {}, "-0", 1e300),
    *bad("num_frames", 0, -1, 100_001, 100_000, 1.5, "1.5", "seventeen", True, [17], 2**63, 2**64, -(2**63) - 1),
    *bad("fps", 0, -8, 61, 7.5, "8fps", "NoneType"),
    *bad("seed", -2, 2**64, 10**40, 1.5, "abc", "-2", "1e3", " 7", "7 ", True, [7], {}),
    *bad("num_inference_steps", 0, -1, 1001, 10**30, 2.5, "", "many"),
    *bad("guidance_scale", -0.1, 50.1, "high", "1e999", True, [1]),
    *bad("flow_shift", 0, -1, 51, "x"),
    *bad("cache", 0, -1, 0.6, "on", True, [0.1]), *bad("guidance_scale_2", -1, 51, "x"), *bad("guidance_interval", True, {"a": 1}, [0.5], [0.9, 0.1]),
    *bad("sigmas", [1, 1], [0.5, 0.9], True, {"a": 1}, [], "", "[]", " "), *bad("timesteps", [500, 600], False, [], ""),
    *bad("guidance_interval", [], ""),
    keeps("a list that ends with a comma", document(prompt="x", timesteps="1000,"), 400, param="timesteps[1]"),
    keeps("sigmas above pure noise", document(prompt="x", sigmas=[1.5, 1]), 400, param="sigmas[0]"),
    keeps("sigmas and timesteps", document(prompt="x", sigmas=[1], timesteps=[1000]), 400, param="timesteps"),
    *bad("strength", 0.5, 0, 1.1, -1, "x"),
    *bad("n", 0, 2, -1, 1001, 1.5, "two"),
    *bad("loras", ["x"], "x"), *bad("guidance_scale_2", 1), *bad("video", {"id": "video_1"}), *bad("image", "x"),
    # What others call it, slips of the finger, another call's field, and what no model can do: never dropped in silence.
    *bad("duration", 4, "4"), *bad("steps", 2), *bad("Seed", 7), *bad("negativ_prompt", "x"), *bad("init_image", "x"), *bad("aspect_ratio", "1:1"),
    *bad("loop", True), *bad("control_video", "x"), *bad("extra_body", {"seed": 1}),
    keeps("seconds that contradict num_frames", document(prompt="x", seconds=4, num_frames=9), 400, param="seconds"),
    keeps("number too large for a double", sized('{"prompt":"x","guidance_scale":1e999}'), 400, param="guidance_scale"),
    keeps("whole number with an exponent too large", sized('{"prompt":"x","num_frames":1e999}'), 400, param="num_frames"),
]

URLS = ["hello", "http://127.0.0.1/a.png", "https://x/a.png", "file:///etc/passwd", "data:image/png;base64,!!!!", "data:image/png;base64,AAA", "data:,x",
        "data:image/png,AA==", "data:image/png;base64,", "data:text/plain;base64,aGVsbG8="]
PICTURES = [
    *bad("input_reference", *URLS, 5, True, [], [1, 2], {"file_id": "file_1"}, {"image_url": "http://x/"}),
    *[keeps(f"input_reference = {value!r}", document(prompt="x", input_reference=value), 400, param="input_reference.image_url")
      for value in ({}, {"image_url": 5}, {"image_url": None})],
    *bad("end_image", "hello", "https://x/a.png", {"file_id": "f"}),
]

CLIPS = [
    keeps("edit without a video", document("/v1/videos/edits", prompt="x"), 400, param="video"),
    keeps("edit of a video that is a number", document("/v1/videos/edits", prompt="x", video=5), 400, param="video"),
    keeps("edit of a video without an id", document("/v1/videos/edits", prompt="x", video={}), 400, param="video.id"),
    keeps("edit of an unknown video", document("/v1/videos/edits", prompt="x", video={"id": "video_nobody"}), 404),
    keeps("edit with a picture besides", document("/v1/videos/edits", prompt="x", video={"id": "video_1"}, input_reference="x"), 400, param="input_reference"),
    keeps("edit of a clip that is text", form(part('Content-Disposition: form-data; name="prompt"', end="")
          + part('Content-Disposition: form-data; name="video"; filename="a.mp4"', content="hello"), path="/v1/videos/edits"), 400, param="video"),
    keeps("extension without a length", document("/v1/videos/extensions", prompt="x", video="video_1"), 400, param="seconds"),
    keeps("extension without a video", document("/v1/videos/extensions", prompt="x", seconds=1), 400, param="video"),
    keeps("extension of an unknown video", document("/v1/videos/extensions", prompt="x", seconds=1, video="video_1"), 404),
    keeps("extension sidewards", document("/v1/videos/extensions", prompt="x", seconds=1, video="video_1", direction="up"), 400, param="direction"),
    keeps("extension with a loop of maybe", document("/v1/videos/extensions", prompt="x", seconds=1, video="video_1", loop="maybe"), 400, param="loop"),
    keeps("extension both ways", document("/v1/videos/extensions", prompt="x", seconds=1, video="video_1", loop=True, direction="forwards"), 400, param="loop"),
    keeps("remix of an unknown video", document("/v1/videos/video_nobody/remix", prompt="x"), 404),
    keeps("remix without a prompt", document("/v1/videos/{video}/remix"), 400, param="prompt"),
    keeps("remix with a video", document("/v1/videos/{video}/remix", prompt="x", video="y"), 400, param="video"),
]

ZERO = "video_" + "0" * 32
IDS = [
    *[keeps(f"id {name}", request(f"GET /v1/videos/{text} HTTP/1.1"), 404) for name, text in {
        "of nobody": "video_nobody", "that is no job's": ZERO, "with 31 digits": ZERO[:-1], "with 33 digits": ZERO + "0", "in capitals": ZERO.replace("video_0", "video_A"),
        "with another prefix": "job" + ZERO[5:], "of a dot": ".", "of two dots": "..", "of two dots, encoded": "%2e%2e", "with an encoded slash": "..%2f..%2fjobs.sqlite",
        "encoded twice": "%25" + "76ideo", "with a space": ZERO + "%20", "with a line end": ZERO + "%0d%0a", "with other digits": "video_" + "%d9%a0" * 32, "of 129 bytes": "a" * 129,
        "with a quote": "video_'--", "with a percent": "%25s%25n", "that is empty": "", "with a semicolon": ZERO + ";v=1", "with a plus": ZERO + "+",
    }.items()],
    *[keeps(f"{method} of an unknown video{path}", request(f"{method} /v1/videos/{ZERO}{path} HTTP/1.1", "Content-Length: 0"), 404)
      for method, path in (("DELETE", ""), ("GET", "/content"), ("GET", "/content?variant=thumbnail"), ("POST", "/cancel"))],
    keeps("unknown part of a video", request("GET /v1/videos/{video}/nowhere HTTP/1.1"), 404),
    keeps("cancel of what is finished", request("POST /v1/videos/{video}/cancel HTTP/1.1", "Content-Length: 0"), 409),
    keeps("unknown model", request("GET /v1/models/nobody HTTP/1.1"), 404),
    closes("id with an encoded NUL", request(f"GET /v1/videos/{ZERO}%00 HTTP/1.1"), 400),
    closes("id that is not UTF-8", request("GET /v1/videos/%80 HTTP/1.1"), 400),
]

QUERIES = [
    *[keeps(f"query {query!r}", request(f"GET /v1/videos?{query} HTTP/1.1"), 400, param=param) for query, param in {
        "limit=0": "limit", "limit=101": "limit", "limit=-1": "limit", "limit=abc": "limit", "limit=": "limit", "limit": "limit", "limit=1.5": "limit",
        "limit=+5": "limit", "limit=5%20": "limit", "limit=0x5": "limit", "limit=99999999999999999999": "limit", "limit=%D9%A5": "limit", "limit=1&limit=2": "limit",
        "limit[a]=1": "limit", "limit[]=1": "limit", "[limit]=1": "[limit]", "limit[=1": "limit[", "order=up": "order", "order=": "order", "order=ASC": "order",
        "after=": "after", "after=video_nobody": "after", "after=" + "a" * 2000: "after", "after[id]=x": "after"}.items()],
    keeps("query of 65 fields", request("GET /v1/videos?" + "&".join(f"a{n}=1" for n in range(65)) + " HTTP/1.1"), 400),
    keeps("unknown variant", request("GET /v1/videos/{video}/content?variant=gif HTTP/1.1"), 400, param="variant"),
    keeps("variant twice", request("GET /v1/videos/{video}/content?variant=video&variant=video HTTP/1.1"), 400, param="variant"),
    closes("query with a broken encoding", request("GET /v1/videos?limit=%5 HTTP/1.1"), 400),
    closes("query with an encoded NUL", request("GET /v1/videos?limit=5%00 HTTP/1.1"), 400),
    closes("query that is not UTF-8", request("GET /v1/videos?limit=%fe HTTP/1.1"), 400),
]

CONTENT = "GET /v1/videos/{video}/content HTTP/1.1"
RANGES = [
    *[keeps(f"range {value!r}", request(CONTENT, f"Range: {value}"), 416)
      for value in ("bytes=99999999-", "bytes=99999999-99999999999", "bytes=-0", "bytes=99999999999999999999-")],
    keeps("If-Match with another tag", request(CONTENT, 'If-Match: "other"'), 412),
    keeps("If-Match with a weak tag", request(CONTENT, 'If-Match: W/"other"'), 412),
]

KEYS = [
    *[keeps(f"Idempotency-Key {name}", sized('{"prompt":"x"}', *[f"Idempotency-Key: {value}" for value in values]), 400, param="Idempotency-Key")
      for name, values in {"that is empty": [""], "of 256 characters": ["k" * 256], "that is not ASCII": ["é"], "with a tab": ["a\tb"],
                           "twice": ["a", "b"], "twice the same": ["a", "a"]}.items()],
    closes("Idempotency-Key with a control character", sized('{"prompt":"x"}', "Idempotency-Key: a\x01"), 400),
]

CASES = VALUES + PICTURES + CLIPS + IDS + QUERIES + RANGES + KEYS

# Malformed where the specification says that such a thing is ignored: (name, fields, status).
TOLERATED_RANGES = [(value, 200) for value in ("bytes=5-2", "bytes=a-b", "bytes=", "bytes=-", "bytes=--5", "bytes=0-0,5-9", "lines=0-9", "0-9", "bytes=0-9-", "bytes=+0-9",
                                               "bytes=0.5-9")] + [("bytes=0-99999999999999999999", 206), ("BYTES=0-0", 206), ("bytes=-99999999999999999999", 206)]
