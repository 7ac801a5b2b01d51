// The table of requests that must be refused, and how: status, and whether the connection stays open.
import Testing

struct RequestCase: CustomTestStringConvertible, Sendable {
    let name: String
    let bytes: [UInt8]
    /// The statuses of all answers to `bytes`.
    let statuses: [Int]
    /// Another request on the same connection is served.
    let keeps: Bool
    /// The client ends its side after `bytes`.
    var ends = false

    var testDescription: String { name }
}

private func refused(_ name: String, _ text: String, _ status: Int, keeps: Bool = false, ends: Bool = false) -> RequestCase {
    RequestCase(name: name, bytes: Array(text.utf8), statuses: [status], keeps: keeps, ends: ends)
}

private func refused(_ name: String, bytes: [UInt8], _ status: Int) -> RequestCase {
    RequestCase(name: name, bytes: bytes, statuses: [status], keeps: false)
}

private let post = "POST /v1/videos HTTP/1.1"
private let json = "Content-Type: application/json"

private func chunked(_ body: String, _ extra: [String] = []) -> String {
    request(post, ["Host: x", json, "Transfer-Encoding: chunked"] + extra, body: body)
}

private func form(_ body: String, type: String = "multipart/form-data; boundary=b") -> String {
    request(post, ["Host: x", "Content-Type: \(type)", "Content-Length: \(body.utf8.count)"], body: body)
}

private func part(_ header: String, _ content: String = "v") -> String { "--b\r\n\(header)\r\n\r\n\(content)\r\n--b--\r\n" }

let startLineCases: [RequestCase] = [
    refused("no version", request("GET /ping"), 400),
    refused("two spaces after the method", request("GET  /ping HTTP/1.1"), 400),
    refused("two spaces before the version", request("GET /ping  HTTP/1.1"), 400),
    refused("space at the end", request("GET /ping HTTP/1.1 "), 400),
    refused("space at the beginning", request(" GET /ping HTTP/1.1"), 400),
    refused("tab instead of space", request("GET\t/ping HTTP/1.1"), 400),
    refused("method with a forbidden character", request("GE(T /ping HTTP/1.1"), 400),
    refused("empty target", request("GET  HTTP/1.1"), 400),
    refused("version in lower case", request("GET /ping http/1.1"), 400),
    refused("version without a minor", request("GET /ping HTTP/1"), 400),
    refused("version with two digits", request("GET /ping HTTP/1.10"), 400),
    refused("version with a letter", request("GET /ping HTTP/1.x"), 400),
    refused("another protocol", request("GET /ping FTTP/1.1"), 400),
    refused("HTTP/2.0", request("GET /ping HTTP/2.0"), 505),
    refused("HTTP/0.9 in three parts", request("GET /ping HTTP/0.9"), 505),
    refused("preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    refused("TLS hello", bytes: [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3, 0x0A], 400),
    refused("two empty lines first", "\r\n\r\n" + request("GET /ping HTTP/1.1"), 400),
    refused("bare line feed after the start line", "GET /ping HTTP/1.1\nHost: x\r\n\r\n", 400),
    refused("bare carriage return in the start line", "GET /ping\r HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    refused("NUL in the start line", "GET /pi\0ng HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    refused("ends in the start line", "GET /pi", 400, ends: true),
    refused("start line too long", request("GET /\(String(repeating: "a", count: 9000)) HTTP/1.1"), 414),
    refused("endless start line", String(repeating: "a", count: 9000), 414),
    refused("unknown method", request("BREW /ping HTTP/1.1"), 501, keeps: true),
    refused("OPTIONS *", request("OPTIONS * HTTP/1.1"), 501, keeps: true),
    refused("OPTIONS", request("OPTIONS /ping HTTP/1.1"), 501, keeps: true),
    refused("CONNECT", request("CONNECT example.org:80 HTTP/1.1"), 501, keeps: true),
    refused("PUT with a body", request("PUT /ping HTTP/1.1", ["Host: x", "Content-Length: 2"], body: "hi"), 501, keeps: true),
    refused("method in lower case", request("get /ping HTTP/1.1"), 501, keeps: true),
]

let targetCases: [RequestCase] = [
    refused("relative target", request("GET ping HTTP/1.1"), 400),
    refused("other scheme", request("GET ftp://x/ping HTTP/1.1"), 400),
    refused("absolute form without host", request("GET http:///ping HTTP/1.1"), 400),
    refused("absolute form with user", request("GET http://a@x/ping HTTP/1.1"), 400),
    refused("fragment", request("GET /ping#a HTTP/1.1"), 400),
    refused("raw quote", request("GET /\"ping HTTP/1.1"), 400),
    refused("raw backslash", request("GET /..\\ping HTTP/1.1"), 400),
    refused("raw UTF-8", request("GET /é HTTP/1.1"), 400),
    refused("percent alone", request("GET /% HTTP/1.1"), 400),
    refused("percent with one digit", request("GET /%4 HTTP/1.1"), 400),
    refused("percent with letters", request("GET /%zz HTTP/1.1"), 400),
    refused("encoded NUL", request("GET /v1/videos/a%00b HTTP/1.1"), 400),
    refused("encoded bytes that are not UTF-8", request("GET /v1/videos/%ff HTTP/1.1"), 400),
    refused("broken encoding in the query", request("GET /v1/videos?after=%g1 HTTP/1.1"), 400),
    refused("encoded slash in an id", request("GET /v1/videos/..%2f..%2fetc HTTP/1.1"), 404, keeps: true),
    refused("double encoding is not decoded twice", request("GET /v1/videos/%252e%252e HTTP/1.1"), 404, keeps: true),
    refused("dot segments", request("GET /v1/videos/../../ping HTTP/1.1"), 404, keeps: true),
    refused("double slash", request("GET //ping HTTP/1.1"), 404, keeps: true),
    refused("slash at the end", request("GET /ping/ HTTP/1.1"), 404, keeps: true),
    refused("id of 129 characters", request("GET /v1/videos/\(String(repeating: "a", count: 129)) HTTP/1.1"), 404, keeps: true),
    refused(
        "unknown path with a body", request("POST /nowhere HTTP/1.1", ["Host: x", "Content-Length: 5"], body: "hello"), 404, keeps: true),
    refused(
        "unknown path with a chunked body",
        request("POST /no HTTP/1.1", ["Host: x", "Transfer-Encoding: chunked"], body: "1\r\na\r\n0\r\n\r\n"), 404, keeps: true),
    refused("unknown path with a long body", request("POST /no HTTP/1.1", ["Host: x", "Content-Length: 99999999"]), 404),
    refused("method that the path does not take", request("DELETE /ping HTTP/1.1"), 405, keeps: true),
    refused("GET on a path for POST alone", request("GET /v1/videos/edits HTTP/1.1"), 405, keeps: true),
]

let headerCases: [RequestCase] = [
    refused("no Host", request("GET /ping HTTP/1.1", []), 400),
    refused("two Hosts", request("GET /ping HTTP/1.1", ["Host: x", "Host: x"]), 400),
    refused("Host with a space", request("GET /ping HTTP/1.1", ["Host: a b"]), 400),
    refused("Host with a slash", request("GET /ping HTTP/1.1", ["Host: a/b"]), 400),
    refused("Host with a user", request("GET /ping HTTP/1.1", ["Host: me@x"]), 400),
    refused("space before the colon", request("GET /ping HTTP/1.1", ["Host : x"]), 400),
    refused("folded line", request("GET /ping HTTP/1.1", ["Host: x", "A: b", " c"]), 400),
    refused("folded first line", request("GET /ping HTTP/1.1", [" Host: x"]), 400),
    refused("line without a colon", request("GET /ping HTTP/1.1", ["Host: x", "nonsense"]), 400),
    refused("empty name", request("GET /ping HTTP/1.1", ["Host: x", ": a"]), 400),
    refused("forbidden character in a name", request("GET /ping HTTP/1.1", ["Host: x", "a@b: c"]), 400),
    refused("UTF-8 in a name", request("GET /ping HTTP/1.1", ["Host: x", "é: c"]), 400),
    refused("NUL in a value", request("GET /ping HTTP/1.1", ["Host: x", "a: b\0c"]), 400),
    refused("control character in a value", request("GET /ping HTTP/1.1", ["Host: x", "a: b\u{1}c"]), 400),
    refused("DEL in a value", request("GET /ping HTTP/1.1", ["Host: x", "a: b\u{7F}c"]), 400),
    refused("value that is not UTF-8", bytes: Array("GET /ping HTTP/1.1\r\nHost: x\r\na: ".utf8) + [0xFF, 13, 10, 13, 10], 400),
    refused("bare line feed in the header", "GET /ping HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
    refused("bare line feed at the end", "GET /ping HTTP/1.1\r\nHost: x\r\n\n", 400),
    refused("bare carriage return in a value", "GET /ping HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
    refused("two carriage returns", "GET /ping HTTP/1.1\r\nHost: x\r\r\n\r\n", 400),
    refused("line too long", request("GET /ping HTTP/1.1", ["Host: x", "a: \(String(repeating: "b", count: 9000))"]), 431),
    refused("65 fields", request("GET /ping HTTP/1.1", ["Host: x"] + (0..<64).map { "a\($0): b" }), 431),
    refused(
        "header too large in all",
        request("GET /ping HTTP/1.1", ["Host: x"] + (0..<5).map { "a\($0): \(String(repeating: "b", count: 4000))" }), 431),
    refused("ends in the header", "GET /ping HTTP/1.1\r\nHost: x\r\n", 400, ends: true),
    refused("unknown expectation", request("GET /ping HTTP/1.1", ["Host: x", "Expect: 200-ok"]), 417, keeps: true),
    refused("unknown expectation with a body", request(post, ["Host: x", json, "Content-Length: 2", "Expect: magic"]), 417),
]

let framingCases: [RequestCase] = [
    refused("both lengths", request(post, ["Host: x", json, "Content-Length: 2", "Transfer-Encoding: chunked"], body: "0\r\n\r\n"), 400),
    refused("two equal lengths", request(post, ["Host: x", json, "Content-Length: 2", "Content-Length: 2"], body: "{}"), 400),
    refused("two different lengths", request(post, ["Host: x", json, "Content-Length: 2", "Content-Length: 3"], body: "{}"), 400),
    refused("list of lengths", request(post, ["Host: x", json, "Content-Length: 2, 2"], body: "{}"), 400),
    refused("negative length", request(post, ["Host: x", json, "Content-Length: -2"], body: "{}"), 400),
    refused("length with plus", request(post, ["Host: x", json, "Content-Length: +2"], body: "{}"), 400),
    refused("length in hexadecimal", request(post, ["Host: x", json, "Content-Length: 0x2"], body: "{}"), 400),
    refused("empty length", request(post, ["Host: x", json, "Content-Length: "], body: "{}"), 400),
    refused("length beyond 64 bits", request(post, ["Host: x", json, "Content-Length: 99999999999999999999"]), 413),
    refused("length beyond the limit", request(post, ["Host: x", json, "Content-Length: 99999999"]), 413),
    refused("no length", request(post, ["Host: x", json]), 411, keeps: true),
    refused("unknown coding", request(post, ["Host: x", json, "Transfer-Encoding: gzip"]), 501),
    refused("two codings", request(post, ["Host: x", json, "Transfer-Encoding: gzip, chunked"]), 501),
    refused("chunked twice", request(post, ["Host: x", json, "Transfer-Encoding: chunked, chunked"]), 400),
    refused("chunked in two fields", request(post, ["Host: x", json, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]), 400),
    refused("identity", request(post, ["Host: x", json, "Transfer-Encoding: identity"]), 501),
    refused("chunked in HTTP/1.0", request("POST /v1/videos HTTP/1.0", [json, "Transfer-Encoding: chunked"]), 400),
    refused("chunk size is no number", chunked("x\r\n"), 400),
    refused("empty chunk size", chunked("\r\n"), 400),
    refused("negative chunk size", chunked("-1\r\n"), 400),
    refused("chunk size with 0x", chunked("0x2\r\n{}\r\n0\r\n\r\n"), 400),
    refused("chunk size with a space after it", chunked("2 \r\n{}\r\n0\r\n\r\n"), 400),
    refused("chunk size of 16 digits", chunked("1000000000000000\r\n"), 400),
    refused("chunk size beyond the limit", chunked("fffffff\r\n" + String(repeating: " ", count: 100)), 400, ends: true),
    refused("chunk size with a bare line feed", chunked("2\n{}\r\n0\r\n\r\n"), 400),
    refused("chunk longer than its size", chunked("1\r\n{}\r\n0\r\n\r\n"), 400),
    refused("chunk with a bare line feed after it", chunked("2\r\n{}\n0\r\n\r\n"), 400),
    refused("endless chunk extension", chunked("2;" + String(repeating: "a", count: 2000)), 400),
    refused("control character in a chunk extension", chunked("2;a\u{1}\r\n"), 400),
    refused("malformed trailer", chunked("2\r\n{}\r\n0\r\nbad trailer\r\n\r\n"), 400),
    refused("endless trailers", chunked("2\r\n{}\r\n0\r\n" + String(repeating: "a: b\r\n", count: 20) + "\r\n"), 431),
    refused("ends in the body", request(post, ["Host: x", json, "Content-Length: 20"], body: "{}"), 400, ends: true),
    refused("ends in a chunk", chunked("5\r\nab"), 400, ends: true),
]

let bodyCases: [RequestCase] = [
    refused("no type", request(post, ["Host: x", "Content-Length: 2"], body: "{}"), 415, keeps: true),
    refused("two types", request(post, ["Host: x", json, json, "Content-Length: 2"], body: "{}"), 415, keeps: true),
    refused(
        "malformed type", request(post, ["Host: x", "Content-Type: application/json; charset", "Content-Length: 2"], body: "{}"), 415,
        keeps: true),
    refused(
        "urlencoded form", request(post, ["Host: x", "Content-Type: application/x-www-form-urlencoded", "Content-Length: 3"], body: "a=b"),
        415, keeps: true),
    refused("plain text", request(post, ["Host: x", "Content-Type: text/plain", "Content-Length: 2"], body: "{}"), 415, keeps: true),
    refused(
        "JSON in UTF-16", request(post, ["Host: x", "Content-Type: application/json; charset=utf-16", "Content-Length: 2"], body: "{}"),
        415, keeps: true),
    refused("gzip content", request(post, ["Host: x", json, "Content-Encoding: gzip", "Content-Length: 2"], body: "{}"), 415, keeps: true),
    refused(
        "wrong type while the client waits",
        request(post, ["Host: x", "Content-Type: text/plain", "Content-Length: 2", "Expect: 100-continue"]), 415),
    refused("malformed JSON", request(post, ["Host: x", json, "Content-Length: 2"], body: "{]"), 400, keeps: true),
    refused("empty JSON by chunks", chunked("0\r\n\r\n"), 400, keeps: true),
    refused("JSON that is no object", request(post, ["Host: x", json, "Content-Length: 2"], body: "[]"), 400, keeps: true),
    refused(
        "length that is no number, without need for a body", request("GET /v1/videos/video_1 HTTP/1.1", ["Host: x", "Content-Length: x"]),
        400),
    refused("form without boundary", form(part("Content-Disposition: form-data; name=a"), type: "multipart/form-data"), 400, keeps: true),
    refused(
        "form with a boundary of 71", form("x", type: "multipart/form-data; boundary=\(String(repeating: "b", count: 71))"), 400,
        keeps: true),
    refused("multipart/mixed", form("x", type: "multipart/mixed; boundary=b"), 415, keeps: true),
    refused("form with a preamble without a line end", form("hello" + part("Content-Disposition: form-data; name=a")), 400, keeps: true),
    refused(
        "form with a long preamble", form(String(repeating: "h", count: 5000) + "\r\n" + part("Content-Disposition: form-data; name=a")),
        400,
        keeps: true),
    refused(
        "form with text behind its last boundary", form(String(part("Content-Disposition: form-data; name=a").dropLast()) + "bye"), 400,
        keeps: true),
    refused("form cut short", form("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nv"), 400, keeps: true),
    refused("form without its last boundary", form("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--b\r\n"), 400, keeps: true),
    refused("boundary followed by text", form("--bX\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--b--\r\n"), 400, keeps: true),
    refused("part without a disposition", form(part("A: b")), 400, keeps: true),
    refused(
        "part with two dispositions", form(part("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=a")), 400,
        keeps: true),
    refused("part that is an attachment", form(part("Content-Disposition: attachment; name=a")), 400, keeps: true),
    refused("part without a name", form(part("Content-Disposition: form-data; filename=a")), 400, keeps: true),
    refused("part with an empty name", form(part("Content-Disposition: form-data; name=\"\"")), 400, keeps: true),
    refused("part with an open quote", form(part("Content-Disposition: form-data; name=\"a")), 400, keeps: true),
    refused("part with two names", form(part("Content-Disposition: form-data; name=a; name=b")), 400, keeps: true),
    refused(
        "part with two filename*", form(part("Content-Disposition: form-data; name=a; filename*=UTF-8''x; filename*=UTF-8''y")), 400,
        keeps: true),
    refused("part in base64", form(part("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64")), 400, keeps: true),
    refused(
        "multipart within", form(part("Content-Disposition: form-data; name=a\r\nContent-Type: multipart/mixed; boundary=c")), 400,
        keeps: true),
    refused(
        "part header with a bare line feed", form("--b\r\nContent-Disposition: form-data; name=a\n\r\n\r\nv\r\n--b--\r\n"), 400, keeps: true
    ),
    refused("part header too large", form(part("A: \(String(repeating: "b", count: 5000))")), 413, keeps: true),
    refused(
        "field twice", form("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" + part("Content-Disposition: form-data; name=a")),
        400, keeps: true),
    refused(
        "field as text and as object",
        form("--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" + part("Content-Disposition: form-data; name=\"a[b]\"")), 400,
        keeps: true),
    refused("name nested too deeply", form(part("Content-Disposition: form-data; name=\"a[b][c][d][e][f]\"")), 400, keeps: true),
    refused("name with an open bracket", form(part("Content-Disposition: form-data; name=\"a[b\"")), 400, keeps: true),
    refused("list of objects", form(part("Content-Disposition: form-data; name=\"a[][b]\"")), 400, keeps: true),
    refused(
        "65 parts", form((0..<65).map { "--b\r\nContent-Disposition: form-data; name=\"a\($0)\"\r\n\r\n1\r\n" }.joined() + "--b--\r\n"),
        413, keeps: true),
    refused(
        "too much for a route without a body", request("POST /v1/videos/v/cancel HTTP/1.1", ["Host: x", "Content-Length: 2000000"]), 413),
]

let allRequestCases = startLineCases + targetCases + headerCases + framingCases + bodyCases
