"""One row of the table of malformed requests, and the bytes that rows are made of."""
import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    request: bytes
    status: int
    # The connection serves another request afterwards.
    keeps: bool = False
    # `param` of the error, where the row is about a field.
    param: str | None = None
    # Exact value of the Allow field.
    allow: str | None = None
    # Statuses of well-formed requests that stand before the malformed one.
    before: tuple = ()
    # The client ends its side after the request.
    ends: bool = False
    # The answer to a HEAD has no body.
    bodyless: bool = False


def closes(name, request, status, **more):
    return Case(name, as_bytes(request), status, **more)


def keeps(name, request, status, **more):
    return Case(name, as_bytes(request), status, keeps=True, **more)


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


def request(line, *fields, body=b"", host="Host: x"):
    """A request as bytes; `host` None leaves the field out."""
    lines = [as_bytes(part) for part in (line, *([host] if host else []), *fields)]
    return b"\r\n".join([*lines, b"", as_bytes(body)])


JSON = "Content-Type: application/json"


def post(*fields, body=b"", path="/v1/videos"):
    """A POST whose fields say everything about its body."""
    return request(f"POST {path} HTTP/1.1", *fields, body=body)


def sized(body, *fields, path="/v1/videos", kind=JSON):
    """A POST with a true Content-Length."""
    body = as_bytes(body)
    return post(*([kind] if kind else []), f"Content-Length: {len(body)}", *fields, body=body, path=path)


def document(path="/v1/videos", **members):
    """A POST of a JSON object."""
    return sized(json.dumps(members), path=path)


def chunked(body, *fields, path="/v1/videos"):
    """A POST with the given bytes as its chunks."""
    return post(JSON, "Transfer-Encoding: chunked", *fields, body=body, path=path)


def form(body, boundary="boundary=b", path="/v1/videos"):
    return sized(body, kind=f"Content-Type: multipart/form-data; {boundary}", path=path)


def part(*header, content="v", end="--b--\r\n"):
    """One part of a form and the form's end."""
    return b"--b\r\n" + b"\r\n".join([as_bytes(line) for line in header] + [b"", as_bytes(content)]) + b"\r\n" + as_bytes(end)


def field(name, content="v"):
    """One text part without the form's end."""
    return part(f'Content-Disposition: form-data; name="{name}"', content=content, end="")
