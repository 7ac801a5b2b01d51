"""Rows about request lines, targets, versions, methods and header fields."""
from malformed.case import JSON, closes, keeps, request, sized

PING = "GET /healthz HTTP/1.1"


def many(*fields):
    return request(PING, *fields)


REQUEST_LINES = [
    closes("no version", request("GET /healthz"), 400),
    closes("no target", request("GET HTTP/1.1"), 400),
    closes("empty target", request("GET  HTTP/1.1"), 400),
    closes("two spaces after the method", request("GET  /healthz HTTP/1.1"), 400),
    closes("two spaces before the version", request("GET /healthz  HTTP/1.1"), 400),
    closes("space before the method", request(" GET /healthz HTTP/1.1"), 400),
    closes("space after the version", request("GET /healthz HTTP/1.1 "), 400),
    closes("tabs for spaces", request("GET\t/healthz\tHTTP/1.1"), 400),
    closes("space in the target", request("GET /health z HTTP/1.1"), 400),
    closes("form feed for a space", request("GET\f/healthz HTTP/1.1"), 400),
    closes("method with a forbidden character", request("GE(T /healthz HTTP/1.1"), 400),
    closes("method that is not ASCII", request("GÉT /healthz HTTP/1.1"), 400),
    closes("two empty lines first", b"\r\n\r\n" + request(PING), 400),
    closes("line feed alone ends the line", b"GET /healthz HTTP/1.1\nHost: x\r\n\r\n", 400),
    closes("carriage return within the line", b"GET /health\rz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    closes("carriage return alone ends the line", b"GET /healthz HTTP/1.1\rHost: x\r\n\r\n", 400, ends=True),
    closes("NUL in the line", b"GET /heal\0thz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    closes("bytes of a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x0a", 400),
    closes("bytes of nothing known", bytes(range(128, 256)) + b"\r\n", 400),
    closes("cut in the request line", b"GET /heal", 400, ends=True),
    closes("cut after the request line", b"GET /healthz HTTP/1.1\r\n", 400, ends=True),
    closes("line of 8193 bytes", b"GET /" + b"a" * 8179 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    closes("line without an end", b"GET /" + b"a" * 9000, 414),
]

VERSIONS = [
    closes("version in lower case", request("GET /healthz http/1.1"), 400),
    closes("version without a minor number", request("GET /healthz HTTP/1"), 400),
    closes("version with a minor number of two digits", request("GET /healthz HTTP/1.10"), 400),
    closes("version with a leading zero", request("GET /healthz HTTP/01.1"), 400),
    closes("version with a letter", request("GET /healthz HTTP/1.x"), 400),
    closes("version with a comma", request("GET /healthz HTTP/1,1"), 400),
    closes("negative version", request("GET /healthz HTTP/-1.1"), 400),
    closes("another protocol", request("GET /healthz SIP/2.0"), 400),
    closes("version 0.9", request("GET /healthz HTTP/0.9"), 505),
    closes("version 2.0", request("GET /healthz HTTP/2.0"), 505),
    closes("version 3.0", request("GET /healthz HTTP/3.0"), 505),
    closes("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    closes("unknown path in HTTP/1.0", request("GET /nowhere HTTP/1.0"), 404),
    closes("HTTP/1.0 that asks to be kept", request("GET /nowhere HTTP/1.0", "Connection: keep-alive"), 404),
]

TARGETS = [
    closes("target without a slash", request("GET healthz HTTP/1.1"), 400),
    closes("asterisk for GET", request("GET * HTTP/1.1"), 400),
    closes("authority form for GET", request("GET localhost:80 HTTP/1.1"), 400),
    closes("another scheme", request("GET ftp://x/healthz HTTP/1.1"), 400),
    closes("https, which is not spoken here", request("GET https://x/healthz HTTP/1.1"), 400),
    closes("absolute form without a host", request("GET http:///healthz HTTP/1.1"), 400),
    closes("absolute form with a port alone", request("GET http://:80/healthz HTTP/1.1"), 400),
    closes("absolute form with a user", request("GET http://me@x/healthz HTTP/1.1"), 400),
    closes("absolute form with a port that is no number", request("GET http://x:y/healthz HTTP/1.1"), 400),
    closes("fragment", request("GET /healthz#a HTTP/1.1"), 400),
    closes("quotation mark", request('GET /health"z HTTP/1.1'), 400),
    closes("backslash", request("GET /..\\healthz HTTP/1.1"), 400),
    closes("brace", request("GET /{healthz} HTTP/1.1"), 400),
    closes("pipe", request("GET /a|b HTTP/1.1"), 400),
    closes("UTF-8 that is not encoded", request("GET /é HTTP/1.1"), 400),
    closes("control character", b"GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    closes("DEL", b"GET /a\x7f HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    closes("percent at the end", request("GET /healthz% HTTP/1.1"), 400),
    closes("percent with one digit", request("GET /%6 HTTP/1.1"), 400),
    closes("percent with letters that are no digits", request("GET /%g1 HTTP/1.1"), 400),
    closes("percent with a sign", request("GET /%+1 HTTP/1.1"), 400),
    closes("encoded NUL", request("GET /healthz%00 HTTP/1.1"), 400),
    closes("encoded byte that is not UTF-8", request("GET /%ff HTTP/1.1"), 400),
    closes("encoded overlong slash", request("GET /%c0%af HTTP/1.1"), 400),
    closes("encoded surrogate", request("GET /%ed%a0%80 HTTP/1.1"), 400),
    keeps("nothing there", request("GET /nowhere HTTP/1.1"), 404),
    keeps("a file that is not the page's", request("GET /index.html HTTP/1.1"), 404),
    keeps("slash at the end", request("GET /healthz/ HTTP/1.1"), 404),
    keeps("two slashes", request("GET //healthz HTTP/1.1"), 404),
    keeps("dot segments", request("GET /v1/../healthz HTTP/1.1"), 404),
    keeps("encoded slash is no slash", request("GET /v1%2fvideos HTTP/1.1"), 404),
    keeps("path in capitals", request("GET /V1/videos HTTP/1.1"), 404),
    keeps("path parameter", request("GET /v1/videos;a=b HTTP/1.1"), 404),
    keeps("unknown path with a body", request("POST /nowhere HTTP/1.1", "Content-Length: 5", body="hello"), 404),
    keeps("unknown path with chunks", request("POST /nowhere HTTP/1.1", "Transfer-Encoding: chunked", body="1\r\na\r\n0\r\n\r\n"), 404),
    closes("unknown path with more than is worth reading", request("POST /nowhere HTTP/1.1", "Content-Length: 99999999"), 404),
    closes("unknown path, and the client closes", request("GET /nowhere HTTP/1.1", "Connection: close"), 404),
]

METHODS = [
    *[keeps(f"the method {method}", request(f"{method} /healthz HTTP/1.1"), 501)
      for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "BREW", "get", "Post", "GET-")],
    keeps("OPTIONS *", request("OPTIONS * HTTP/1.1"), 501),
    keeps("CONNECT", request("CONNECT example.org:80 HTTP/1.1"), 501),
    keeps("PUT with a body", request("PUT /v1/videos HTTP/1.1", JSON, "Content-Length: 2", body="{}"), 501),
    keeps("POST where one can only look", request("POST /healthz HTTP/1.1", "Content-Length: 0"), 405, allow="GET, HEAD"),
    keeps("DELETE of a list", request("DELETE /v1/videos HTTP/1.1"), 405, allow="GET, HEAD, POST"),
    keeps("POST to a video", sized("{}", path="/v1/videos/video_1"), 405, allow="GET, HEAD, DELETE"),
    keeps("GET of edits is not an id", request("GET /v1/videos/edits HTTP/1.1"), 405, allow="POST"),
    keeps("DELETE of extensions is not an id", request("DELETE /v1/videos/extensions HTTP/1.1"), 405, allow="POST"),
    keeps("GET of cancel", request("GET /v1/videos/video_1/cancel HTTP/1.1"), 405, allow="POST"),
    keeps("POST to content", sized("{}", path="/v1/videos/video_1/content"), 405, allow="GET, HEAD"),
    keeps("DELETE of models", request("DELETE /v1/models HTTP/1.1"), 405, allow="GET, HEAD"),
    keeps("HEAD of edits", request("HEAD /v1/videos/edits HTTP/1.1"), 405, allow="POST", bodyless=True),
    keeps("HEAD of nothing", request("HEAD /nowhere HTTP/1.1"), 404, bodyless=True),
]

HOSTS = [
    closes("no Host", request(PING, host=None), 400),
    closes("two Hosts", request(PING, "Host: x"), 400),
    closes("two different Hosts", request(PING, "Host: y"), 400),
    *[closes(f"Host {value!r}", request(PING, host=f"Host: {value}"), 400)
      for value in ("a b", "a/b", "me@x", "a,b:c", "x:y", "x:80:80", "x:123456", "x:-1", "[::1", "::1", "[x]", "a?b", "a#b", "a%zz", "<a>", "é", "a\\b")],
]

HEADERS = [
    closes("space before the colon", many("A : b"), 400),
    closes("tab before the colon", many("A\t: b"), 400),
    closes("folded line", many("A: b", " c"), 400),
    closes("line folded with a tab", many("A: b", "\tc"), 400),
    closes("first line begins with a space", request(PING, host=" Host: x"), 400),
    closes("line without a colon", many("nonsense"), 400),
    closes("empty name", many(": a"), 400),
    closes("name with a space", many("A B: c"), 400),
    closes("name with an at sign", many("a@b: c"), 400),
    closes("name with brackets", many("a[b]: c"), 400),
    closes("name with a slash", many("a/b: c"), 400),
    closes("name that is not ASCII", many("é: c"), 400),
    closes("name with a control character", many(b"a\x02: c"), 400),
    closes("NUL in a value", many(b"a: b\0c"), 400),
    closes("control character in a value", many(b"a: b\x01c"), 400),
    closes("DEL in a value", many(b"a: b\x7fc"), 400),
    closes("escape character in a value", many(b"a: \x1b[31m"), 400),
    closes("value that is not UTF-8", many(b"a: \xff"), 400),
    closes("line feed alone ends a field", b"GET /healthz HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
    closes("line feed alone ends the header", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\n", 400),
    closes("carriage return in a value", many(b"A: b\rc"), 400),
    closes("two carriage returns", b"GET /healthz HTTP/1.1\r\nHost: x\r\r\n\r\n", 400),
    closes("65 fields", many(*[f"a{n}: b" for n in range(64)]), 431),
    closes("a field of 8193 bytes", many("a: " + "b" * 8190), 431),
    closes("a field without an end", request(PING).rstrip() + b"\r\nA: " + b"b" * 9000, 431),
    closes("more than 16384 bytes of fields", many(*[f"a{n}: {'b' * 4000}" for n in range(5)]), 431),
    closes("cut in a field", b"GET /healthz HTTP/1.1\r\nHost: x", 400, ends=True),
    closes("cut before the empty line", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", 400, ends=True),
    closes("well-formed, then malformed", request(PING) + request("GET"), 400, before=(200,)),
    keeps("well-formed, then nothing there", request(PING) + request("GET /nowhere HTTP/1.1"), 404, before=(200,)),
]

CASES = REQUEST_LINES + VERSIONS + TARGETS + METHODS + HOSTS + HEADERS
