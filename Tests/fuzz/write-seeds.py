#!/usr/bin/env python3
"""Writes the seeds of the fuzz corpora (seed-*): small, well-formed and nearly well-formed inputs that show the fuzzer the formats."""
import io
import json
import pathlib
import struct
import subprocess
import tarfile
import tempfile

CORPUS = pathlib.Path(__file__).parent / "corpus"


def write(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        data = seed if isinstance(seed, bytes) else seed.encode()
        (folder / f"seed-{number:02}").write_bytes(data)


def request(line, *fields, body=""):
    return "\r\n".join([line, *fields, "", body])


def sized(body, kind="application/json"):
    return request("POST /v1/videos HTTP/1.1", "Host: x", f"Content-Type: {kind}", f"Content-Length: {len(body.encode())}", body=body)


def chunked(*chunks, end="0\r\n\r\n"):
    return request("POST /v1/videos HTTP/1.1", "Host: x", "Content-Type: application/json", "Transfer-Encoding: chunked",
                   body="".join(f"{len(chunk):x}\r\n{chunk}\r\n" for chunk in chunks) + end)


FORM = ("--b\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na ball\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"video[id]\"\r\n\r\nvideo_1\r\n--b--\r\n")

write("http", [
    request("GET /ping HTTP/1.1", "Host: x"),
    request("GET /ping HTTP/1.0"),
    request("HEAD /ping HTTP/1.1", "Host: [::1]:80", "Connection: close"),
    request("GET http://a.b:1/ping?x=1&y=%20 HTTP/1.1", "Host: a.b:1"),
    request("GET /v1/videos?after=video_1&limit=2&order=asc HTTP/1.1", "Host: x", "A: \tb c\t"),
    request("GET /v1/videos/video%5F1 HTTP/1.1", "Host: x") * 3,
    request("DELETE /v1/videos/video_1 HTTP/1.1", "Host: x", "Content-Type: application/json"),
    request("DELETE /ping HTTP/1.1", "Host: x", "Content-Length: 3", body="abc") + request("GET /ping HTTP/1.1", "Host: x"),
    request("OPTIONS * HTTP/1.1", "Host: x"),
    request("POST /v1/videos/video_1/cancel HTTP/1.1", "Host: x", "Content-Length: 0"),
    sized('{"prompt":"a ball","seed":7}'),
    sized('{"prompt":"a ball","seed":7}') + sized('{"prompt":}'),
    sized(FORM, "multipart/form-data; boundary=b"),
    sized(FORM, 'multipart/form-data; boundary="b"; charset=utf-8'),
    sized("a=b", "application/x-www-form-urlencoded"),
    sized('{"prompt":"a"}', "application/json; charset=utf-16"),
    chunked('{"prompt":', '"a ball"}'),
    chunked('{}', end="0\r\nTrailer: x\r\n\r\n") + request("GET /ping HTTP/1.1", "Host: x"),
    chunked('{}').replace("2\r\n", '2;a=b;c="d\\"e"\r\n'),
    request("POST /v1/videos HTTP/1.1", "Host: x", "Content-Type: application/json", "Expect: 100-continue", "Content-Length: 2", body="{}"),
    request("POST /v1/videos HTTP/1.1", "Host: x", "Content-Length: 2", "Transfer-Encoding: chunked", body="{}"),
    request("POST /v1/videos HTTP/1.1", "Host: x", "Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"),
    request("POST /v1/videos HTTP/1.1", "Host: x", "Content-Length: 20", body="{}"),
    request("POST /nowhere HTTP/1.1", "Host: x", "Content-Length: 2000000"),
    request("GET /ping HTTP/1.1", "Host: x", "A: b", " folded"),
    "\r\n" + request("GET /ping HTTP/2.0", "Host: x"),
    request("GET /ping HTTP/1.1", "Host: localhost", "Authorization: Bearer key") * 2,
    request("GET http://[::1]:80/ping HTTP/1.1", "Host: [::1]:80", "Authorization: bearer key", "Origin: https://app.example", "X-Sorad-User: 9"),
    request("OPTIONS /v1/videos HTTP/1.1", "Host: localhost", "Origin: https://app.example", "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: authorization, x"),
    request("GET /ping HTTP/1.1", "Host: localhost", "Authorization: Bearer yek") + request("GET /ping HTTP/1.1", "Host: localhost", "Authorization: Bearer key"),
])


def part(name, content, *more, extra=""):
    return "\r\n".join([f'Content-Disposition: form-data; name="{name}"{extra}', *more, "", content])


def form(*parts, boundary="b", end="--\r\n"):
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}{end}"


write("multipart", [
    form(), form(end="--"), form(end="\r\n"),
    form(part("prompt", "a ball")), form(part("prompt", "a ball"), part("seconds", "4")),
    form(part("a[]", "1"), part("a[]", "2"), part("b[c][d]", "3"), part("b[c][e]", "4")),
    form(part("a", "1"), part("a", "2")), form(part("a", "1"), part("a[b]", "2")), form(part("a[b", "")), form(part("a[][b]", "1")),
    form(part("input_reference", "\x89PNG\r\n\x1a\n", "Content-Type: image/png", extra='; filename="a.png"')),
    form(part("file", "x" * 500, "Content-Type: application/octet-stream", extra='; filename="upload"')),
    form(part("text", "x" * 400)),
    form(part("a", "\r\n--\r\n--c\r\n-\r\r\n--")), form(part("a", "b"), boundary="----WebKitFormBoundary0123456789"),
    form(part("quote\\\"d", "é", extra='; filename="x\\\\y"')),
    form(part("a", "b", "Content-Transfer-Encoding: base64")), form(part("a", "b", "Content-Type: multipart/mixed; boundary=c")),
    form("Content-Disposition: attachment; name=a\r\n\r\nb"), form("X: y\r\n\r\nb"), form("Content-Disposition: form-data; name=a\nX: y\r\n\r\nb"),
    form(part("a", "b", extra="; filename*=UTF-8''x")), form(part("a", "b" * 20), *[part(f"p{n}", "") for n in range(6)]),
    "preamble\r\n" + form(part("a", "b")), form(part("a", "b")) + "epilogue",
])

write("json", [
    "{}", "[]", "null", "true", "false", "0", "-0.0", "1e400", "18446744073709551615", "9007199254740993.0", "-1E-7", '""', "[[[[[]]]]]",
    ' { "a" : [ 1 , 2.5 , "x" ] , "b" : { "c" : null } } ', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '"\\ud83d\\ude00 \\u00e9 é 😀"', '"\\ud800"',
    '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u007f"', '{"é":1,"e\u0301":2}', "[1,]", "{\"a\":1,}", "01", "1.", "[1 2]", "nul", "\ufeff{}", '"a\nb"',
    '{"prompt":"a ball","seed":7,"size":"128x128","loras":["a"],"video":{"id":"video_1"},"n":1,"loop":true}',
    b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', "[" * 33 + "]" * 33, "1" * 65, "[1,2,3,4,5,6,7,8,9,10,11,12]",
])


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


VALUES = {"u8": (0, "<B"), "i8": (1, "<b"), "u16": (2, "<H"), "i16": (3, "<h"), "u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"),
          "bool": (7, "<?"), "u64": (10, "<Q"), "i64": (11, "<q"), "f64": (12, "<d")}


def entry(key, kind, value):
    if kind == "string":
        return text(key) + struct.pack("<I", 8) + text(value)
    if kind.startswith("["):
        element = kind[1:-1]
        if element == "string":
            number, data = 8, b"".join(text(item) for item in value)
        else:
            number, form = VALUES[element]
            data = b"".join(struct.pack(form, item) for item in value)
        return text(key) + struct.pack("<IIQ", 9, number, len(value)) + data
    number, form = VALUES[kind]
    return text(key) + struct.pack("<I", number) + struct.pack(form, value)


def gguf(entries=(), tensors=(), alignment=32, version=3, extra=0):
    """`tensors`: (name, dims, type number, bytes)."""
    data = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries)) + b"".join(entry(*item) for item in entries)
    offset, content = 0, b""
    for name, dims, kind, size in tensors:
        data += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", dim) for dim in dims) + struct.pack("<IQ", kind, offset)
        content += b"\x55" * size + b"\0" * (-size % alignment)
        offset = len(content)
    return data + b"\0" * (-len(data) % alignment) + content + b"\0" * extra


SCALARS = [("a.u8", "u8", 255), ("a.i8", "i8", -1), ("a.u16", "u16", 65535), ("a.i16", "i16", -2), ("a.u32", "u32", 7), ("a.i32", "i32", -7),
           ("a.f32", "f32", 0.5), ("a.bool", "bool", True), ("a.u64", "u64", 2**63), ("a.i64", "i64", -2**62), ("a.f64", "f64", float("inf"))]
ARRAYS = [("b.u8", "[u8]", [1, 2, 3]), ("b.u32", "[u32]", [1, 2**31]), ("b.i32", "[i32]", [-1, 4]), ("b.f32", "[f32]", [0.5, float("nan")]),
          ("b.bool", "[bool]", [True, False]), ("b.string", "[string]", ["a", "", "é"])]
GENERAL = [("general.architecture", "string", "sorad-wan"), ("sorad.format_version", "u32", 1), ("general.alignment", "u32", 64)]
write("gguf", [
    gguf(), gguf(version=2), b"GGUF", b"GGML" + gguf()[4:],
    *[gguf([scalar]) for scalar in SCALARS], *[gguf([array]) for array in ARRAYS], gguf(SCALARS + ARRAYS),
    gguf(GENERAL), gguf(GENERAL, [("w", [4, 2], 0, 32), ("s", [2], 1, 4), ("q", [3, 3, 3, 1], 24, 27)], alignment=64),
    gguf([], [("a", [1], 26, 4)]), gguf([], [("a", [5], 30, 10), ("b", [7], 24, 7)]), gguf([], [("a", [1], 2, 4)]),
    gguf([], [("a", [8], 0, 31)]), gguf([], [("a", [8], 0, 32)], extra=1), gguf([], [("a", [0], 0, 0)]),
    gguf([], [("a", [2**62, 2**62], 0, 0)]), gguf([("general.alignment", "u32", 24)]), gguf([("a", "u8", 1), ("a", "u8", 2)]),
    gguf([("x", "[u16]", [1])]), gguf([("x", "[f64]", [1.0])]), gguf(GENERAL + [("sorad.integrity.sha256", "string", "0" * 64)]),
])


def frame(message):
    data = json.dumps(message, separators=(",", ":")).encode() if not isinstance(message, bytes) else message
    return struct.pack("<I", len(data)) + data


REQUEST = {"model": "m", "prompt": "a", "negativePrompt": "", "width": 128, "height": 128, "numFrames": 17, "fps": 8, "seed": 2**64 - 1,
           "numInferenceSteps": 8, "guidanceScale": 1, "flowShift": 3.0}
GIVEN = {"hasFirstFrame": True, "isLoop": True, "before": {"numFrames": 17, "contextFrames": 5}, "after": {"numFrames": 17, "contextFrames": 8},
         "source": {"numFrames": 9, "contextFrames": 9}, "strength": 0.7, "videoID": "v", "isRemix": False}
INFO = {"id": "m", "sha256": "0", "created": 1, "license": "a", "defaultWidth": 8, "defaultHeight": 8, "defaultNumFrames": 5, "fps": 8,
        "sizeMultiple": 8, "frameMultiple": 4, "maxWidth": 8, "maxHeight": 8, "maxNumFrames": 5, "maxPixels": 9, "defaultNumInferenceSteps": 2,
        "defaultGuidanceScale": 1, "defaultFlowShift": 3, "takesConditioningFrames": True}
MESSAGES = [
    {"generate": {"job": "j", "request": REQUEST, "directory": "/d"}},
    {"generate": {"job": "j", "request": REQUEST | {"given": GIVEN}, "directory": "/d"}},
    {"generate": {"job": "j", "request": REQUEST | {"given": {"source": {"numFrames": 9, "contextFrames": 5}, "strength": 1}}, "directory": "/d"}},
    {"generate": {"job": "j", "request": REQUEST | {"given": {"before": {"numFrames": 2, "contextFrames": 3}}}, "directory": "/d"}},
    {"generate": {"job": "j", "request": REQUEST | {"seed": -1}, "directory": "/d"}}, {"generate": {}}, {"cancel": {"job": "j"}}, {"cancel": {}},
    {"ready": {"model": INFO}}, {"ready": {"model": INFO | {"maxPixels": 1e30}}}, {"ready": {}},
    {"progress": {"job": "j", "progress": {"phase": "denoising", "step": 1, "steps": 8, "percent": 12, "etaSeconds": 1.5}}},
    {"progress": {"job": "j", "progress": {"phase": "encoding_text", "step": -1, "steps": 8, "percent": 1000}}},
    {"progress": {"job": "j", "progress": {"phase": "dreaming", "step": 1, "steps": 8, "percent": 12}}},
    {"finished": {"job": "j", "result": {"sha256": "0", "video": "v", "thumbnail": "t", "spritesheet": "s", "timings": {"denoising": 0.5, "x": "y"}}}},
    {"finished": {"job": "j", "result": {"sha256": "0", "video": "../v", "thumbnail": "t", "spritesheet": "s"}}},
    {"failed": {"job": "j", "error": {"code": "cancelled", "message": "Cancelled."}}}, {"failed": {"job": "j", "error": {}}},
    {"format": "mp4", "width": 64, "height": 48, "num_frames": 20, "fps": 8}, {"a": 1, "b": 2}, [],
]
write("worker", [json.dumps(message, separators=(",", ":")) for message in MESSAGES] + [
    frame(MESSAGES[0]) + frame(MESSAGES[6]), frame(MESSAGES[11]) + frame(MESSAGES[16]), frame(b"x"), frame(b"[]")[:-1], b"\0\0\0\0",
    b"\xff\xff\xff\xff", struct.pack("<I", 600) + b"x" * 600, struct.pack("<I", 601) + b"x" * 601,
])


def safetensors(tensors, metadata=None, header=None):
    """name -> (dtype, shape, bytes)"""
    table, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    if metadata:
        table["__metadata__"] = metadata
    text = header if header is not None else json.dumps(table, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def one(*values):
    return struct.pack(f"<{len(values)}f", *values)


def ggml(tensors, keys=()):
    """name -> (type, dims, bytes): a GGUF file of quantized blocks"""
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    for key, content in keys:
        out += text(key) + content
    data, offsets = b"", []
    for kind, dims, content in tensors.values():
        offsets.append(len(data))
        data += content + bytes(-len(content) % 32)
    for (name, (kind, dims, content)), offset in zip(tensors.items(), offsets):
        out += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", dim) for dim in dims) + struct.pack("<IQ", kind, offset)
    return out + bytes(-len(out) % 32) + data


def archive(entries, flags=0x808):
    """A zip of stored entries, as torch writes it."""
    out, directory = b"", b""
    for name, content in entries:
        place, path = len(out), name.encode()
        out += b"PK\3\4" + struct.pack("<HHHHHIIIHH", 0, flags, 0, 0, 0, 0, 0, 0, len(path), 0) + path + content
        directory += b"PK\1\2" + struct.pack("<HHHHHHIIIHHHHHII", 0, 0, flags, 0, 0, 0, 0, len(content), len(content), len(path), 0, 0, 0, 0, 0, place)
        directory += path
    return out + directory + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, len(entries), len(entries), len(directory), len(out), 0)


def pickled(*tensors, start=b"}(", end=b"u."):
    """A dictionary of tensors: name, storage class, key, elements, shape."""
    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def number(value):
        return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)

    out = b"\x80\2" + start
    for name, kind, key, count, shape in tensors:
        strides = [1] * len(shape)
        for axis in range(len(shape) - 2, -1, -1):
            strides[axis] = strides[axis + 1] * shape[axis + 1]
        out += text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu")
        out += number(count) + b"tQK\0(" + b"".join(map(number, shape)) + b"t(" + b"".join(map(number, strides)) + b"t\x89ccollections\nOrderedDict\n)RtR"
    return out + end


QUANT = json.dumps({"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 4}).encode()
KINDS = {"Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q2_K": (10, 256, 84),
         "Q3_K": (11, 256, 110), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210), "IQ4_NL": (20, 32, 18), "IQ4_XS": (23, 256, 136)}
TENSORS = pickled(("a", "FloatStorage", "0", 4, [2, 2]), ("b", "HalfStorage", "1", 2, [2]))
STORAGES = [("w/data/0", one(1, 2, 3, 4)), ("w/data/1", b"\0\x3c\0\x40")]
TRANSFORMER = {
    "head.modulation": ("F32", [1, 2, 128], bytes(1024)), "patch_embedding.weight": ("U16", [128, 1, 1, 2, 2], bytes(1024)),
    "blocks.0.modulation": ("BF16", [1, 6, 4], bytes(48)),
}
write("checkpoint", [
    safetensors({"x": ("F32", [2], one(1, 2))}), safetensors({"x": ("BF16", [2, 1], b"\x80\x3f\0\x40"), "y": ("F16", [], b"\0\x3c")}),
    safetensors({"a.weight": ("F8_E4M3", [2, 2], b"\x38\x40\xb8\x7e"), "a.weight_scale": ("F32", [2, 1], one(0.5, 2)), "a.input_scale": ("F32", [], one(1))}),
    safetensors({"a.weight": ("F8_E5M2", [3], b"abc"), "a.scale_weight": ("F32", [1], one(3)), "scaled_fp8": ("F8_E5M2", [0], b"")}),
    safetensors({"a.weight": ("I8", [2, 4], b"\x7f\x81\0\1\2\3\4\x80"), "a.weight_scale": ("F32", [2], one(1, 2)), "a.comfy_quant": ("U8", [len(QUANT)], QUANT)}),
    safetensors({"a.int8_weight": ("I8", [2, 3], b"abcdef"), "a.scale": ("F32", [1, 1], one(0.25))}),
    safetensors({"a.weight": ("F8_E4M3", [2], b"ab"), "a.weight_scale": ("F32", [], one(1))}, metadata={"_quantization_metadata": '{"layers":{"a":{"format":"float8_e4m3fn"}}}'}),
    safetensors({"x": ("F4", [9], b"12345")}), safetensors({}, header=b"[]"), safetensors(TRANSFORMER), b"\x80\2}.", b"PK\5\6" + bytes(18),
    archive([("w/data.pkl", TENSORS)] + STORAGES), archive([("w/data.pkl", TENSORS), ("w/byteorder", b"big")] + STORAGES),
    archive([("w/data.pkl", TENSORS)]), archive([("w/data.pkl", b"\x80\2cos\nsystem\n.")]), archive([]), archive([("x", b"1")] * 2),
    *[ggml({"x": (kind, [elements, 1], bytes(range(size)))}) for kind, elements, size in KINDS.values()],
    ggml({"x": (0, [2, 2, 1, 3, 2], bytes(96)), "folded": (1, [4], bytes(8))},
         [("comfy.gguf.orig_shape.folded", struct.pack("<IIQiiI", 9, 5, 2, 2, 2, 0)[:-4])]), ggml({"x": (16, [256], bytes(66))}),
])
write("pickle", [
    TENSORS, pickled(), pickled(("p", "BFloat16Storage", "12", 300, [300])), pickled(("e", "LongStorage", "0", 1, []), start=b"ccollections\nOrderedDict\n)R("),
    pickled(("m", "CharStorage", "0", 4, [2, 2]), start=b"}q\0(X\1\0\0\0gq\1}(", end=b"uX\4\0\0\0stepK\5u."), b"\x80\2}q\0(X\1\0\0\0ah\0u.", b"\x80\2N.",
    b"\x80\2)\x85\x85\x85.", b"\x80\2(K\1M\2\0J\3\0\0\0\x8a\1\xfft.", b"\x80\4\x95\x0a\0\0\0\0\0\0\0}\x94\x8c\1aK\1s.", b"\x80\2G?\xf0\0\0\0\0\0\0.",
    b"\x80\2]q\0(K\1K\2e.", b"\x80\2]K\1a.", b"\x80\2cposix\nsystem\nX\4\0\0\0true\x85R.", b"\x80\2ctorch\nSize\n(K\1tR.", b"\x80\2\x88\x89\x86.", b"\x80\2(", b"(.",
    b"\x80\2}}b.", b"\x80\2X\xff\xff\xff\x7f.", b"\x80\2h\0.", b"\x80\2\x8c\5torch\x8c\4load\x93.", b"\x80\2c\n\n.", b"\x80\2K\0K\0\x86Q.",
])


def mlx(bits, group, dtype="F32", version=1, mode="affine", scales=None, shape=None, drop=()):
    """Weights in MLX's form: the text next to them, and one matrix of two rows with one plain tensor."""
    size = {"F32": 4, "F16": 2, "BF16": 2}[dtype]
    words = group * bits // 32
    tensors = {
        "a.weight": ("U32", shape or [2, words], bytes(range(200))[:8 * words] + bytes(max(0, 8 * words - 200))),
        "a.weight.scales": (dtype, scales or [2, 1], b"\0\x3c\x80\x3f"[:size] * 2), "a.weight.biases": (dtype, [2, 1], bytes(2 * size)),
        "b": ("BF16", [2], b"\x80\x3f\0\x40")}
    manifest = {"format_version": version, "quantization": {"mode": mode, "bits": bits, "group_size": group}}
    text = json.dumps({key: value for key, value in manifest.items() if key not in drop}).encode()
    return text + b"\n" + safetensors({name: value for name, value in tensors.items() if name not in drop})


write("mlx", [
    *[mlx(bits, group, dtype) for bits in (4, 8) for group in (32, 64, 128) for dtype in ("F32", "F16", "BF16")],
    mlx(8, 32, version=2), mlx(8, 32, mode="mxfp4"), mlx(4, 64, scales=[2, 2]), mlx(4, 64, shape=[4, 4]), mlx(4, 64, drop=["quantization"]),
    mlx(4, 64, drop=["a.weight.biases"]), mlx(8, 32, drop=["format_version"]), b"{}\n" + safetensors({"a": ("U32", [1, 1], b"abcd")}),
])


def lora(*layers, down="lora_down.weight", up="lora_up.weight", alpha=None, rank=1, dtype="F16", more=None):
    """Changes of layers of the small transformer in Tests/Fixtures/models/tiny; a layer is a name, N and K."""
    size = {"F16": 2, "F32": 4, "BF16": 2}[dtype]
    tensors = {}
    for layer, outputs, inputs in layers:
        tensors[f"{layer}.{down}"] = (dtype, [rank, inputs], bytes(rank * inputs * size))
        tensors[f"{layer}.{up}"] = (dtype, [outputs, rank], b"\0\x3c" * (outputs * rank * size // 2))
        if alpha:
            tensors[f"{layer}.alpha"] = alpha
    return safetensors(tensors | (more or {}))


HALF = 72 * b"\0\x3c"
write("lora", [
    *[lora((f"{prefix}blocks.0.self_attn.q", 72, 72), down=down, up=up)
      for prefix in ("diffusion_model.", "model.diffusion_model.", "base_model.model.", "")
      for down, up in (("lora_down.weight", "lora_up.weight"), ("lora_A.weight", "lora_B.weight"), ("lora_A.default.weight", "lora_B.default.weight"))],
    *[lora((name, 72, 72), alpha=alpha) for name in ("transformer.blocks.1.attn2.to_out.0", "lora_unet_blocks_1_cross_attn_o")
      for alpha in (("F32", [], one(2)), ("I64", [1], struct.pack("<q", 4)), ("BF16", [], b"\x80\x3f"))],
    lora(("blocks.0.ffn.net.0.proj", 150, 72), rank=2), lora(("blocks.0.self_attn.q", 72, 71)), lora(("blocks.9.self_attn.q", 72, 72)),
    safetensors({"diffusion_model.blocks.0.self_attn.q.diff_b": ("F16", [72], HALF)}),
    safetensors({"diffusion_model.blocks.0.norm3.diff": ("F16", [72], HALF), "diffusion_model.blocks.0.diff_m": ("F16", [1, 6, 72], 6 * HALF)}),
    safetensors({"diffusion_model.blocks.0.self_attn.q.lora_down.weight": ("F16", [1, 72], HALF)}),
    safetensors({"blocks.0.self_attn.q.dora_scale": ("F16", [72], HALF)}), safetensors({"lora_te1_x.alpha": ("F32", [], one(1))}),
    lora(("blocks.0.self_attn.q", 72, 72), more={"diffusion_model.blocks.0.cross_attn.k_img.alpha": ("F32", [], one(1))}),
    lora(("blocks.0.self_attn.q", 72, 72), alpha=("F32", [], one(float("nan")))),
])

TINY = pathlib.Path(__file__).parents[1] / "Fixtures/models/tiny"
TEXTS = ["model_index.json", "scheduler/scheduler_config.json", "transformer/config.json", "text_encoder/config.json", "vae/config.json", "sorad.json"]


def folder(recipe="", **changes):
    """The texts of a folder: a change is the part's name and members that are set, or nil for its own text."""
    texts = []
    for name in TEXTS:
        part = name.split("/")[0].removesuffix(".json")
        if part not in changes:
            texts.append("")
            continue
        whole = json.loads((TINY / name).read_text())
        whole.update(changes[part] or {})
        texts.append(json.dumps({key: value for key, value in whole.items() if value != "-"}, separators=(",", ":")))
    return "\0".join(texts + [recipe])


UNIPC = dict(_class_name="UniPCMultistepScheduler", prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5, solver_order=2)
write("folder", [
    "", folder(), folder(model_index=None), folder(scheduler=None), folder(transformer=None), folder(text_encoder=None), folder(vae=None),
    folder(sorad=None), *[folder(recipe) for recipe in ("fastwan2.1", "wan2.2-ti2v", "lightx2v", "turbowan", "self-forcing", "x")],
    folder(scheduler=UNIPC), folder(scheduler=UNIPC | {"final_sigmas_type": "sigma_min"}), folder(scheduler={"use_karras_sigmas": True}),
    folder(model_index={"_class_name": "WanDMDPipeline"}), folder(model_index={"boundary_ratio": 0.9}),
    folder(model_index={"_class_name": "WanImageToVideoPipeline"}), folder(transformer={"num_layers": 3}), folder(transformer={"in_channels": 36}),
    folder(transformer={"patch_size": [1, 1, 2]}), folder(text_encoder={"vocab_size": 10**12}), folder(text_encoder={"model_type": "mt5"}),
    folder(vae={"_class_name": "AutoencoderKLWan"}), folder(vae={"latents_std": [0] * 10}), folder(vae={"decoder_channels": [20, 14]}),
    folder(sorad={"sizes": ["64x64", "x"]}), folder(sorad={"name": "../x"}), folder(sorad={"width": 1e300}), folder(transformer={"rope_max_seq_len": "-"}),
])


def media(name, frames, options):
    """A file of `frames` frames of 16 x 16 pixels, as ffmpeg writes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=16x16:rate=8", "-frames:v", str(frames), "-bitexact",
                        *options.split(), str(path)], check=True)
        return path.read_bytes()


H264 = "-c:v libx264 -pix_fmt yuv420p -x264-params no-info=1"
write("media", [media(name, 1, options) for name, options in (
    ("a.png", ""), ("b.jpg", "-q:v 9"), ("c.webp", ""), ("d.gif", ""), ("e.bmp", ""), ("f.tiff", "-pix_fmt rgb24"), ("g.jxl", ""),
    ("h.avif", "-still-picture 1"), ("i.png", "-pix_fmt rgba64be"), ("j.png", "-pix_fmt pal8"), ("l.bmp", "-pix_fmt rgb8"),
    ("k.tiff", "-pix_fmt rgb48le -compression_algo deflate"), ("m.webp", "-vf format=yuva420p,colorchannelmixer=aa=0.5"), ("n.tiff", "-pix_fmt gray"))]
    + [media(name, 3, options) for name, options in (
        ("a.mp4", H264), ("b.mov", "-c:v libx265 -x265-params log-level=none -tag:v hvc1"), ("c.webm", "-c:v libvpx-vp9"),
        ("d.mkv", "-c:v libaom-av1 -cpu-used 8"), ("e.webm", "-c:v libvpx"), ("f.gif", ""), ("g.mp4", H264 + " -movflags frag_keyframe+empty_moov"),
        ("h.mov", "-c:v prores_ks"), ("i.mov", "-c:v mjpeg -pix_fmt yuvj420p"), ("j.mp4", H264 + " -metadata comment=generated -brand isom"),
        ("l.webp", "-c:v libwebp_anim"), ("m.png", "-f apng"))])


def tar(*files, form=tarfile.USTAR_FORMAT):
    """Files (name, content or kind of entry), as Python's tarfile writes them, without its padding to 20 blocks."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            else:
                entry.type, entry.linkname = content, "x"
                archive.addfile(entry)
    data = buffer.getvalue().rstrip(b"\0")
    return data + bytes(-len(data) % 512 + 1024)


PLAN = ("plan.json", b"{}")
write("tar", [
    tar(), tar(PLAN), tar(PLAN, ("latents", b"x" * 600)), tar(PLAN, PLAN), tar(("./plan.json", b"{}")), tar((".", tarfile.DIRTYPE), PLAN),
    tar(("folder", tarfile.DIRTYPE)), tar(("../plan.json", b"{}")), tar(("/plan.json", b"")), tar(("a/b", b"1")), tar(("link", tarfile.SYMTYPE)),
    tar(("hard", tarfile.LNKTYPE)), tar(("fifo", tarfile.FIFOTYPE)), tar(("device", tarfile.CHRTYPE)), tar(("x" * 100, b"1")),
    tar(("x" * 120, b"1"), form=tarfile.GNU_FORMAT), tar(("x" * 120, b"1"), form=tarfile.PAX_FORMAT), tar(PLAN, form=tarfile.GNU_FORMAT),
    tar(PLAN)[:700], tar(PLAN)[:1024], bytes(512), bytes(511), tar(("checkpoint-0", b"\0" * 512), ("checkpoint-prompts", b"1" * 513)),
])
