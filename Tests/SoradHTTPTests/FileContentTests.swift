// Content of a file: conditions, ranges, and what an answer's head says.
import SoradHTTP
import SoradSystem
import Testing

@Suite struct FileContentTests {
    private func answer(_ headers: Headers, method: Method = .get, size: Int = 100) throws -> (Response, String) {
        try withTemporaryDirectory { directory in
            try write([UInt8](repeating: 1, count: size), to: "\(directory)/f")
            let file = try OpenFile(path: "\(directory)/f")
            let request = Request(id: "r", peer: Peer(processID: 1, userID: 2, groupID: 3), method: method, path: "/f", headers: headers)
            let response = Response.file(file, contentType: "video/mp4", entityTag: "abc", for: request)
            guard case .file(let region) = response.body else { return (response, "-") }
            return (response, "\(region.offset)+\(region.length)")
        }
    }

    @Test(
        arguments: [
            ("bytes=0-9", 206, "0+10", "bytes 0-9/100"), ("bytes=90-", 206, "90+10", "bytes 90-99/100"),
            ("bytes=-5", 206, "95+5", "bytes 95-99/100"),
            ("bytes=-500", 206, "0+100", "bytes 0-99/100"), ("bytes=99-99", 206, "99+1", "bytes 99-99/100"),
            ("bytes=50-5000", 206, "50+50", "bytes 50-99/100"),
            ("bytes=0-99999999999999999999999", 206, "0+100", "bytes 0-99/100"), ("BYTES= 1-2 ", 206, "1+2", "bytes 1-2/100"),
            ("bytes=100-", 416, "-", "bytes */100"), ("bytes=99999999999999999999-", 416, "-", "bytes */100"),
            ("bytes=-0", 416, "-", "bytes */100"),
            ("bytes=5-4", 200, "0+100", nil), ("bytes=-", 200, "0+100", nil), ("bytes=a-b", 200, "0+100", nil),
            ("bytes=0-1,3-4", 200, "0+100", nil),
            ("bytes", 200, "0+100", nil), ("items=0-1", 200, "0+100", nil), ("bytes=+1-2", 200, "0+100", nil),
            ("bytes=1--2", 200, "0+100", nil),
        ] as [(String, Int, String, String?)]) func ranges(_ range: String, _ status: Int, _ region: String, _ contentRange: String?) throws
    {
        let (response, sent) = try answer(["range": range])
        #expect(response.status.code == status)
        #expect(sent == region)
        #expect(response.headers["content-range"] == contentRange)
        if status < 400 {
            #expect(response.headers["etag"] == "\"abc\"")
            #expect(response.headers["accept-ranges"] == "bytes")
            #expect(response.headers["content-type"] == "video/mp4")
        }
    }

    @Test func conditions() throws {
        #expect(try answer(["if-none-match": "\"abc\""]).0.status == .notModified)
        #expect(try answer(["if-none-match": "\"x\", W/\"abc\""]).0.status == .notModified)
        #expect(try answer(["if-none-match": "*"]).0.status == .notModified)
        #expect(try answer(["if-none-match": "\"abcd\""]).0.status == .ok)
        #expect(try answer(["if-match": "\"abc\""]).0.status == .ok)
        #expect(try answer(["if-match": "W/\"abc\""]).0.status == .preconditionFailed)
        #expect(try answer(["if-match": "\"x\""]).0.status == .preconditionFailed)
        #expect(try answer(["if-range": "\"abc\"", "range": "bytes=0-0"]).0.status == .partialContent)
        #expect(try answer(["if-range": "\"old\"", "range": "bytes=0-0"]).0.status == .ok)
        #expect(try answer(["range": "bytes=0-0"], method: .head).0.status == .ok)
        #expect(try answer(["range": "bytes=-1"], size: 0).0.status == .rangeNotSatisfiable)
    }

    @Test func onlyRegularFilesAreOpened() throws {
        try withTemporaryDirectory { directory in
            #expect { try OpenFile(path: "\(directory)/none") } throws: { ($0 as? SoradError)?.kind == .notFound }
            #expect { try OpenFile(path: directory) } throws: { ($0 as? SoradError)?.kind == .internalFault }
            #expect(throws: SoradError.self) { try OpenFile(path: "/dev/null") }
        }
    }

    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
        (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
    ]) func dates(_ seconds: Int, _ text: String) { #expect(httpDate(seconds) == text) }

    @Test func events() {
        let event = ServerSentEvent(event: "progress", id: "7", data: "{\"a\":\r\n1}\rb\n")
        #expect(String(decoding: event.bytes, as: UTF8.self) == "event: progress\nid: 7\ndata: {\"a\":\ndata: 1}\ndata: b\ndata: \n\n")
        #expect(String(decoding: ServerSentEvent(data: "").bytes, as: UTF8.self) == "data: \n\n")
    }

    @Test func aStreamHoldsItsLimit() {
        let stream = BodyStream(limit: 10)
        #expect(stream.write([UInt8](repeating: 1, count: 10)))
        #expect(!stream.write([1]))
        #expect(stream.isClosed)
        let finished = BodyStream()
        finished.finish()
        #expect(!finished.write([1]))
        #expect(!finished.isClosed)
    }
}
