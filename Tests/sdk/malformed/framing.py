"""Rows about the length of a body: Content-Length, Transfer-Encoding, chunks, trailers, Expect, bodies cut short or too long."""
from malformed.case import JSON, chunked, closes, keeps, post, request, sized

LENGTHS = [
    *[closes(f"Content-Length {value!r}", post(JSON, f"Content-Length: {value}", body="{}"), 400)
      for value in ("-2", "+2", "0x2", "2.0", "2e0", "2,2", "2, 2", "2;a", "2 2", "", "two", "²", "2_0", "\t2\x0b", "'2'")],
    closes("two equal lengths", post(JSON, "Content-Length: 2", "Content-Length: 2", body="{}"), 400),
    closes("two different lengths", post(JSON, "Content-Length: 2", "Content-Length: 3", body="{}"), 400),
    closes("two lengths in two cases", post(JSON, "content-length: 2", "CONTENT-LENGTH: 2", body="{}"), 400),
    closes("length beyond 64 bits", post(JSON, "Content-Length: 99999999999999999999"), 413),
    closes("length of 2⁶³", post(JSON, "Content-Length: 9223372036854775808"), 413),
    closes("length of 2⁶³−1", post(JSON, "Content-Length: 9223372036854775807"), 413),
    closes("one byte more than JSON may have", post(JSON, f"Content-Length: {(24 << 20) + 1}"), 413),
    closes("one byte more than a form may have",
           post("Content-Type: multipart/form-data; boundary=b", f"Content-Length: {(256 << 20) + 1}"), 413),
    closes("more than is worth reading, where no body is taken", request("DELETE /v1/videos/video_1 HTTP/1.1", "Content-Length: 1048577"), 413),
    closes("length that is no number, where no body is wanted", request("GET /healthz HTTP/1.1", "Content-Length: x"), 400),
    keeps("no length", post(JSON), 411),
    keeps("length with leading zeros is a length", sized("{}").replace(b"Content-Length: 2", b"Content-Length: 0002"), 400, param="prompt"),
    keeps("length of nothing", post(JSON, "Content-Length: 0"), 400, param="prompt"),
    closes("length shorter than the body", request("GET /healthz HTTP/1.1", "Content-Length: 2", body="abGARBAGE\r\n"), 400, before=(200,)),
    closes("length longer than the body", post(JSON, "Content-Length: 20", body="{}"), 400, ends=True),
    closes("length longer than the form", post("Content-Type: multipart/form-data; boundary=b", "Content-Length: 99", body="--b--\r\n"), 400, ends=True),
]

CODINGS = [
    *[closes(f"Transfer-Encoding {value!r}", post(JSON, f"Transfer-Encoding: {value}", body="2\r\n{}\r\n0\r\n\r\n"), status)
      for value, status in (("gzip", 501), ("gzip, chunked", 501), ("chunked, gzip", 501), ("identity", 501), ("xchunked", 501),
                            ("chunked;a=b", 501), ('"chunked"', 501), ("chunked chunked", 501), ("chunked, identity", 501), ("cow", 501),
                            ("chunked, chunked", 400), ("", 400), (",", 400), ("chunked\x0b", 400), ("\x0cchunked", 400))],
    closes("chunked in two fields", post(JSON, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    closes("chunked and another coding in two fields", post(JSON, "Transfer-Encoding: chunked", "Transfer-encoding: cow", body="0\r\n\r\n"), 501),
    closes("chunked in HTTP/1.0", request("POST /v1/videos HTTP/1.0", JSON, "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    closes("length and chunks", post(JSON, "Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    closes("chunks and length", post(JSON, "Transfer-Encoding: chunked", "Content-Length: 5", body="0\r\n\r\n"), 400),
    closes("length 0 and chunks", post(JSON, "Content-Length: 0", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    closes("length and chunks on a GET", request("GET /healthz HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    closes("length and unknown coding", post(JSON, "Content-Length: 2", "Transfer-Encoding: gzip", body="{}"), 400),
    closes("coding hidden behind a space", post(JSON, "Transfer-Encoding : chunked", body="0\r\n\r\n"), 400),
    closes("coding hidden on a folded line", post(JSON, "A: b", " Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    closes("coding hidden behind a line feed", post(JSON, "A: b\nTransfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    closes("coding hidden behind a carriage return", post(JSON, "A: b\rTransfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    closes("name of the coding over two lines", post(JSON, "Transfer-Encoding\n: chunked", body="0\r\n\r\n"), 400),
    closes("request hidden behind the last chunk", request("GET /healthz HTTP/1.1", "Transfer-Encoding: chunked",
           body="0\r\n\r\nGET /v1/videos HTTP/1.1\r\nBad : x\r\n\r\n"), 400, before=(200,)),
]

CHUNKS = [
    *[closes(f"chunk size {line!r}", chunked(f"{line}\r\n{{}}\r\n0\r\n\r\n"), 400)
      for line in ("", " ", "x", "g", "-2", "+2", "0x2", "2 ", " 2", "2\t", "2_", "2.0", "2h", "²", "2;", "2;;", "2; ", "2;=b", "2;a=", "2;a b",
                   '2;a="b', '2;a="b"c', "2;a=b c", "2;a@b", "2;a\x01", "2;a=\x7f", '2;a="\x01"', "2 a", "10000000000000000",
                   "ffffffffffffffff", "0000000000000002", "2,2")],
    closes("chunk size larger than what comes", chunked("7fffffffffffff\r\n{}"), 400, ends=True),
    closes("chunk size with a line feed alone", chunked("2\n{}\r\n0\r\n\r\n"), 400),
    closes("chunk size with a carriage return alone", chunked("2\r{}\r\n0\r\n\r\n"), 400),
    closes("NUL in the size line", chunked(b"2;\0\r\n{}\r\n0\r\n\r\n"), 400),
    closes("size line without an end", chunked("2;" + "a" * 2000), 400),
    closes("chunk longer than its size", chunked("1\r\n{}\r\n0\r\n\r\n"), 400),
    closes("chunk shorter than its size", chunked("3\r\n{}\r\n0\r\n\r\n"), 400),
    closes("no line end after a chunk", chunked("2\r\n{}0\r\n\r\n"), 400),
    closes("line feed alone after a chunk", chunked("2\r\n{}\n0\r\n\r\n"), 400),
    closes("cut in a size line", chunked("2"), 400, ends=True),
    closes("cut in a chunk", chunked("5\r\nab"), 400, ends=True),
    closes("cut after a chunk", chunked("2\r\n{}\r\n"), 400, ends=True),
    closes("cut before the end of the trailers", chunked("2\r\n{}\r\n0\r\n"), 400, ends=True),
    closes("trailer without a colon", chunked("2\r\n{}\r\n0\r\nnonsense\r\n\r\n"), 400),
    closes("folded trailer", chunked("2\r\n{}\r\n0\r\na: b\r\n c\r\n\r\n"), 400),
    closes("trailer with a space before the colon", chunked("2\r\n{}\r\n0\r\na : b\r\n\r\n"), 400),
    closes("17 trailers", chunked("2\r\n{}\r\n0\r\n" + "a: b\r\n" * 17 + "\r\n"), 431),
    closes("long trailer", chunked("2\r\n{}\r\n0\r\na: " + "b" * 2000 + "\r\n\r\n"), 431),
    closes("more chunks than JSON may have bytes", chunked(b"180001\r\n" + b" " * 0x180001 + b"\r\n" + (b"180000\r\n" + b" " * 0x180000 + b"\r\n") * 15), 413),
    keeps("no byte in the chunks", chunked("0\r\n\r\n"), 400),
    keeps("a trailer cannot change the request", chunked("2\r\n{}\r\n0\r\nContent-Type: text/plain\r\n\r\n"), 400, param="prompt"),
    keeps("sizes in both cases and well-formed extensions", chunked('A;a ; b=c;d="e;\\"f"\r\n{"x":"y"} \r\n0;last\r\n\r\n'), 400, param="prompt"),
]

EXPECTATIONS = [
    keeps("unknown expectation", request("GET /healthz HTTP/1.1", "Expect: 200-ok"), 417),
    keeps("two expectations", request("GET /healthz HTTP/1.1", "Expect: 100-continue, magic"), 417),
    closes("unknown expectation before a body", post(JSON, "Content-Length: 2", "Expect: magic"), 417),
    closes("the client waits, and the type is wrong", post("Content-Type: text/plain", "Content-Length: 2", "Expect: 100-continue"), 415),
    closes("the client waits, and the body would be too large", post(JSON, "Content-Length: 99999999", "Expect: 100-continue"), 413),
    closes("the client waits, and nothing is there", request("POST /nowhere HTTP/1.1", "Content-Length: 2", "Expect: 100-continue"), 404),
]

CASES = LENGTHS + CODINGS + CHUNKS + EXPECTATIONS
