"""Requests that are not by the letter and are taken on purpose: each with the reason. And requests as programs of others write them, byte for
byte. Every one makes a clip of one frame."""
import base64
import dataclasses
import json
import zlib

from malformed.case import JSON, form, request, sized


def png(width=8, height=8, color=(200, 30, 30)):
    """A whole PNG of one color."""

    def chunk(kind, content):
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    rows = (b"\0" + bytes(color) * width) * height
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


PNG = png()
TEXT = base64.b64encode(PNG).decode()
FIELDS = {"prompt": "x", "num_frames": "1", "num_inference_steps": "1", "seed": "1"}


@dataclasses.dataclass(frozen=True)
class Taken:
    name: str
    request: bytes
    # Why it is taken.
    reason: str
    # Files that the job must have got.
    files: int = 0


def text_part(name, value):
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


FIELD_PARTS = b"".join(text_part(name, value) for name, value in FIELDS.items())
END = b"--b--\r\n"


def picture(disposition, content=PNG, extra=()):
    head = b"\r\n".join([b"--b", b"Content-Disposition: form-data; " + disposition, *extra])
    return head + b"\r\n\r\n" + content + b"\r\n"


def upload(disposition):
    return form(FIELD_PARTS + picture(disposition) + END)


def document(**more):
    return sized(json.dumps(FIELDS | more))


RFC_2046 = "RFC 2046, 5.1.1: a receiver must ignore it"
RFC_7578 = "RFC 7578, 4.2: names come in many writings and are only shown"
BASE64 = "RFC 4648, 3: programs write it in lines, without padding, and in either alphabet"

LENIENT = [
    Taken("a byte order mark before JSON", sized(b"\xef\xbb\xbf" + json.dumps(FIELDS).encode()), "RFC 8259, 8.1: a parser may ignore it; .NET and Windows tools send it"),
    Taken("a preamble", form(b"This is a multi-part message in MIME format.\r\n" + FIELD_PARTS + END), RFC_2046),
    Taken("an empty preamble", form(b"\r\n" + FIELD_PARTS + END), RFC_2046),
    Taken("a preamble that looks like the boundary", form(b"--c\r\n--\r\n" + FIELD_PARTS + END), RFC_2046),
    Taken("an epilogue", form(FIELD_PARTS + END + b"and good bye\r\n--b\r\n"), RFC_2046),
    Taken("a line end too many at the end", form(FIELD_PARTS + END + b"\r\n"), RFC_2046),
    Taken("no line end at the end", form(FIELD_PARTS + END[:-2]), RFC_2046),
    Taken("white space after a boundary", form(FIELD_PARTS.replace(b"--b\r\n", b"--b \t\r\n", 2) + b"--b-- \r\n"), "RFC 2046, 5.1.1: receivers must handle transport padding"),
    Taken("filename* next to filename", upload(b"name=input_reference; filename=a.png; filename*=utf-8''a.png"), "every upload of .NET's MultipartFormDataContent has it", 1),
    Taken("filename* alone", upload(b"name=\"input_reference\"; filename*=UTF-8''%E7%90%83.png"), "RFC 8187; old Java clients", 1),
    Taken("filename* in Latin-1", upload(b"name=\"input_reference\"; filename*=ISO-8859-1''caf%E9.png"), "RFC 8187, 3.2.1", 1),
    Taken("filename* that cannot be read", upload(b"name=\"input_reference\"; filename*=utf-8''%zz"), RFC_7578, 1),
    Taken("a file name in Latin-1", upload(b'name="input_reference"; filename="caf\xe9.png"'), RFC_7578, 1),
    Taken("a file name in Shift JIS", upload(b'name="input_reference"; filename="\x83{\x81[\x83\x8b.png"'), RFC_7578, 1),
    Taken("a path of Windows", upload(b'name="input_reference"; filename="C:\\temp\\new ball.png"'), RFC_7578, 1),
    Taken("a name that ends in a backslash", upload(b'name="input_reference"; filename="ball\\"'), RFC_7578, 1),
    Taken("escaped quotes", upload(b'name="input_reference"; filename="a \\"red\\" ball.png"'), "curl writes them", 1),
    Taken("seed -1", document(seed=-1), "-1 is a random seed in other programs"),
    Taken("seed -1 in a form", form(FIELD_PARTS.replace(b'name="seed"\r\n\r\n1', b'name="seed"\r\n\r\n-1') + END), "-1 is a random seed in other programs"),
    Taken("a charset of US-ASCII", sized(json.dumps(FIELDS), "Content-Type: application/json; charset=US-ASCII", kind=None), "it is a part of UTF-8"),
    Taken("a boundary that wants quotes", form(FIELD_PARTS.replace(b"--b\r\n", b"--a/b:c=\r\n") + b"--a/b:c=--\r\n", boundary="boundary=a/b:c="), "RFC 2046, 5.1.1: mail programs forget the quotes"),
    Taken("a field in declared Latin-1", form(FIELD_PARTS + b'--b\r\nContent-Disposition: form-data; name="negative_prompt"\r\nContent-Type: text/plain; charset=ISO-8859-1\r\n\r\ncaf\xe9\r\n' + END), "RFC 7578, 4.4; Apache HttpClient's default"),
    Taken("a field in which no file was chosen", form(FIELD_PARTS + picture(b'name="input_reference"; filename=""', b"", [b"Content-Type: application/octet-stream"]) + END), "HTML, 4.10.21.8: browsers send it for an empty choice"),
    Taken("a picture without a file name", form(FIELD_PARTS + picture(b'name="input_reference"', extra=[b"Content-Type: image/png"]) + END), "RFC 7578, 4.2: the name of a file is optional", 1),
    Taken("an element with its number", upload(b'name="input_reference[0]"; filename="a.png"'), "PHP and qs write lists so", 1),
    Taken("an unquoted file name that is not ASCII", upload("name=input_reference; filename=bäll.png".encode()), RFC_7578, 1),
    *[Taken(f"{name}", document(input_reference=value), reason, 1) for name, value, reason in [
        ("base64 in lines", "data:image/png;base64," + base64.encodebytes(PNG).decode(), BASE64),
        ("base64 in lines of CR LF", "data:image/png;base64," + TEXT[:40] + "\r\n" + TEXT[40:] + "\r\n", BASE64),
        ("base64 for URLs", "data:image/png;base64," + base64.urlsafe_b64encode(PNG).decode(), BASE64),
        ("white space around a data: URL", " data:image/png;base64, " + TEXT + " \n", BASE64),
        ("base64 without padding", "data:image/png;base64," + TEXT.rstrip("="), BASE64),
        ("base64 for URLs without padding", "data:image/png;base64," + base64.urlsafe_b64encode(PNG).decode().rstrip("="), BASE64),
        ("base64 in percent form", "data:image/png;base64," + TEXT.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"), "RFC 2397 on RFC 3986: a URL may be escaped"),
        ("a data: URL without base64", "data:image/png," + "".join(f"%{byte:02x}" for byte in PNG), "RFC 2397: percent form is the other one"),
        ("bare base64", TEXT, "promptfoo and the images calls send it so"),
        ("bare base64 in lines", base64.encodebytes(PNG).decode(), "promptfoo and the images calls send it so"),
        ("bare base64 for URLs", base64.urlsafe_b64encode(PNG).decode(), "promptfoo and the images calls send it so"),
        ("a list of one URL", ["data:image/png;base64," + TEXT], "aggregators send lists"),
        ("an object with a nested URL", {"image_url": {"url": "data:image/png;base64," + TEXT}}, "the chat calls write it so"),
        ("a list of one object", [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + TEXT}}], "aggregators send lists"),
    ]],
]


def dotnet():
    """System.Net.Http's MultipartFormDataContent: headers in this order, names without quotes, filename* with every file."""
    boundary = b"5ef4f3d3-2a2e-4b5b-9d0f-0d4f3f6f0c11"
    body = b""
    for name, value in FIELDS.items():
        body += b"--" + boundary + f"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name={name}\r\n\r\n{value}\r\n".encode()
    body += b"--" + boundary + b"\r\nContent-Type: image/png\r\nContent-Disposition: form-data; name=input_reference; "
    body += b"filename=\"=?utf-8?B?YsOkbGwucG5n?=\"; filename*=utf-8''b%C3%A4ll.png\r\n\r\n" + PNG + b"\r\n--" + boundary + b"--\r\n"
    return request(
        "POST /v1/videos HTTP/1.1", "Authorization: Bearer local", f'Content-Type: multipart/form-data; boundary="{boundary.decode()}"',
        f"Content-Length: {len(body)}", host="Host: localhost", body=body)


def n8n():
    """n8n's HTTP Request node: axios with the form-data package."""
    boundary = b"--------------------------515890814546601021194782"
    body = b""
    for name, value in FIELDS.items():
        body += b"--" + boundary + f'\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    body += b"--" + boundary + b'\r\nContent-Disposition: form-data; name="input_reference"; filename="ball.png"\r\nContent-Type: image/png\r\n\r\n'
    body += PNG + b"\r\n--" + boundary + b"--\r\n"
    return request(
        "POST /v1/videos HTTP/1.1", "accept: application/json,text/html,application/xhtml+xml,application/xml,text/*;q=0.9, image/*;q=0.8, */*;q=0.7",
        "authorization: Bearer local", f"content-type: multipart/form-data; boundary={boundary.decode()}", "user-agent: axios/1.12.0",
        f"content-length: {len(body)}", "accept-encoding: gzip, compress, deflate, br", "Connection: keep-alive", host="Host: localhost", body=body)


def promptfoo():
    """promptfoo's video provider: JSON through fetch, the picture as bare base64."""
    body = json.dumps(FIELDS | {"model": "sorad-mini", "input_reference": TEXT}, separators=(",", ":"))
    return request(
        "POST /v1/videos HTTP/1.1", "connection: keep-alive", "Content-Type: application/json", "Authorization: Bearer local",
        "x-promptfoo-version: 0.119.0", "accept: */*", "accept-language: *", "sec-fetch-mode: cors", "user-agent: node",
        "accept-encoding: gzip, deflate", f"content-length: {len(body)}", host="host: localhost", body=body)


CLIENTS = [
    Taken(".NET's MultipartFormDataContent", dotnet(), "a client of others", 1),
    Taken("n8n", n8n(), "a client of others", 1),
    Taken("promptfoo", promptfoo(), "a client of others", 1),
]
TAKEN = LENIENT + CLIENTS
