// Forms as the OpenAI SDK really sends them (Tests/Fixtures/http, made by capture_sdk.py with openai 3.54.0 and httpx2 2.16.2), and
// files that go to disk.
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

@Suite struct MultipartTests {
    /// The bytes of one captured request.
    private func captured(_ name: String) throws -> [UInt8] { try fixture("http/\(name).request") }

    private func play(_ bytes: [UInt8], pieces: Int, settings: ServerSettings = ServerSettings()) -> Conversation {
        var conversation = Conversation(settings: settings)
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            conversation.send(Array(bytes[start..<min(bytes.count, start + pieces)]))
        }
        return conversation
    }

    @Test(arguments: [1, 3, 100, 64 << 10]) func createAsTheSDKSendsIt(pieces: Int) throws {
        let conversation = play(try captured("create"), pieces: pieces)
        #expect(conversation.statuses == [200])
        let fields = try #require(conversation.received.first)
        #expect(try fields.text("prompt") == "a red ball rolls “left”, 红球")
        #expect(try fields.text("model") == "sorad-mini")
        #expect(try fields.integer("seconds", in: 1...20) == 4)
        #expect(try fields.text("size") == "1280x720")
        #expect(try fields.integer("seed", in: 0...UInt64.max) == 42)
        #expect(try fields.integer("num_inference_steps", in: 1...100) == 8)
        #expect(try fields.number("guidance_scale", in: 0...20) == 2.5)
        #expect(try fields.bool("loop") == true)
        #expect(try fields.list("loras").map { try $0.text("value") } == ["a", "b"])
    }

    @Test(arguments: [1, 2, 64 << 10]) func pictureAsTheSDKSendsIt(pieces: Int) throws {
        let conversation = play(try captured("create_with_picture"), pieces: pieces)
        let fields = try #require(conversation.received.first)
        #expect(fields.isFile("input_reference"))
        let upload = try #require(try fields.file("input_reference"))
        #expect(try upload.bytes(limit: 1000) == [0x89, 0x50, 0x4E, 0x47, 13, 10, 0x1A, 10, 0x2D, 0x2D, 13, 10, 0, 0xFF])
        #expect(upload.clientFileName == "a %22quoted%22 name.png")
        #expect(upload.claimedContentType == "image/png")
        #expect(throws: SoradError.self) { try upload.bytes(limit: 13) }
        #expect(throws: APIError.self) { try fields.text("input_reference") }
    }

    @Test func otherCallsOfTheSDK() throws {
        let edit = try #require(play(try captured("edit"), pieces: 5).received.first)
        #expect(try edit.object("input_reference")?.text("image_url") == "data:image/png;base64,AA==")
        #expect(try edit.file("video")?.prefix(8) == [0, 0, 0, 0x18] + Array("ftyp".utf8))
        #expect(play(try captured("delete"), pieces: 9).statuses == [200])
        let list = play(try captured("list"), pieces: 64)
        #expect(list.heads.first?.target.query.map { "\($0.name)=\($0.value)" } == ["after=video_1", "limit=2", "order=asc"])
        // The harness has no remix route: its JSON body is read away and the connection kept.
        let remix = play(try captured("remix"), pieces: 64)
        #expect(remix.statuses == [404])
        #expect(!remix.isOver)
    }

    @Test func curlQuotesWithBackslashes() throws {
        var parser = MultipartParser(boundary: "b", limits: MultipartLimits())
        parser.append(Array("--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"x\\\"\\\\y\"\r\n\r\n\r\n--b--".utf8))
        guard case .part(let header)? = try parser.next() else { return #expect(Bool(false), "no part") }
        #expect(header.fileName == "x\"\\y")
        #expect(try parser.next() == .partEnd)
        #expect(try parser.next() == .end)
        #expect(parser.isComplete)
    }

    /// Headers of a file's part, and the name that is shown.
    @Test(arguments: [
        ("filename=a.png; filename*=utf-8''b.png", "b.png"), ("filename*=UTF-8''%E7%90%83.png", "球.png"),
        ("filename*=ISO-8859-1''caf%E9.png", "café.png"), ("filename=\"a\"; filename*=utf-8''%zz", "a"), ("filename*=utf-8''%FF", ""),
        ("filename*=utf-8''a%0Ab", ""), ("filename=\"a\"; filename*=a", "a"), ("filename=\"C:\\temp\\new.png\"", "C:\\temp\\new.png"),
        ("filename=\"a\\\"", "a\\"), ("filename=\"a \\\"red\\\" ball\"", "a \"red\" ball"),
    ])
    func namesOfFiles(parameters: String, name: String) throws {
        var parser = MultipartParser(boundary: "b", limits: MultipartLimits())
        parser.append(Array("--b\r\nContent-Disposition: form-data; name=a; \(parameters)\r\n\r\n\r\n--b--".utf8))
        guard case .part(let header)? = try parser.next() else { return #expect(Bool(false), "no part") }
        #expect(header.fileName == name)
    }

    @Test func aNameInLatin1() throws {
        var parser = MultipartParser(boundary: "b", limits: MultipartLimits())
        parser.append(
            Array("--b\r\nContent-Disposition: form-data; name=a; filename=\"caf".utf8) + [0xE9] + Array("\"\r\n\r\n\r\n--b--".utf8))
        guard case .part(let header)? = try parser.next() else { return #expect(Bool(false), "no part") }
        #expect(header.fileName == "café")
    }

    /// Text around a form, and white space behind its boundaries (RFC 2046, 5.1.1), however it is cut.
    @Test(arguments: [
        ("", ""), ("hello\r\n", ""), ("\r\n", "\r\n"), ("--c\r\n--\r\n", "\r\n--b\r\n"), ("\r\r\n", " \t\r\nbye"),
        ("a\r\n--\r\n-\r\n", "\r\nand\r\n--b--"),
    ])
    func textAroundAForm(before: String, after: String) throws {
        let content =
            "--boundary \t\r\nContent-Disposition: form-data; name=a\r\n\r\nv\r\n--boundary\r\nContent-Disposition: form-data; name=b\r\n\r\nw\r\n--boundary--"
        let bytes = Array((before + content + after).utf8)
        for pieces in 1...bytes.count {
            var parser = MultipartParser(boundary: "boundary", limits: MultipartLimits())
            var text = ""
            for start in stride(from: 0, to: bytes.count, by: pieces) {
                parser.append(Array(bytes[start..<min(bytes.count, start + pieces)]))
                while let event = try parser.next() {
                    switch event {
                    case .part(let header): text += header.name + "="
                    case .bytes(let bytes): text += String(decoding: bytes, as: UTF8.self)
                    case .partEnd: text += ";"
                    case .end: text += "."
                    }
                }
            }
            #expect(text == "a=v;b=w;." && parser.isComplete, "in pieces of \(pieces): \(text)")
        }
    }

    @Test func contentThatLooksLikeABoundary() throws {
        let content = "\r\n--\r\n--boundar\r\n--boundarX\r\r\n-\r\n"
        for pieces in 1...40 {
            var parser = MultipartParser(boundary: "boundary", limits: MultipartLimits())
            let bytes = Array("--boundary\r\nContent-Disposition: form-data; name=a\r\n\r\n\(content)\r\n--boundary--\r\n".utf8)
            var collected: [UInt8] = []
            for start in stride(from: 0, to: bytes.count, by: pieces) {
                parser.append(Array(bytes[start..<min(bytes.count, start + pieces)]))
                while let event = try parser.next() { if case .bytes(let bytes) = event { collected += bytes } }
            }
            #expect(String(decoding: collected, as: UTF8.self) == content)
            #expect(parser.isComplete)
        }
    }

    @Test func longFilesGoToDiskAndLeaveWithTheirRequest() throws {
        try withTemporaryDirectory { directory in
            var settings = ServerSettings()
            settings.uploadDirectory = directory
            let content = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            let form = fileForm(content)
            var conversation: Conversation? = play(form, pieces: 10_000, settings: settings)
            #expect(conversation?.statuses == [200])
            var upload = try conversation?.received.first?.file("video")
            #expect(upload?.size == 300_000)
            #expect(try upload?.prefix(100) == Array(content.prefix(100)))
            #expect(try fileNames(in: directory).count == 1)
            try upload?.move(to: "\(directory)/kept")
            #expect(try fileNames(in: directory) == ["kept"])
            #expect(throws: SoradError.self) { try Upload(bytes: [1]).move(to: "\(directory)/kept") }
            upload = nil
            conversation = play(form, pieces: 50_000, settings: settings)
            #expect(try fileNames(in: directory).count == 2)
            conversation = nil
            #expect(try fileNames(in: directory) == ["kept"])
            #expect(try FileDescriptor(openingForReading: "\(directory)/kept").read(at: 0, count: 1 << 20) == content)
            // A form that breaks off leaves nothing.
            conversation = play(Array(form.dropLast(1000)), pieces: 50_000, settings: settings)
            #expect(try fileNames(in: directory).count == 2)
            conversation?.end()
            conversation = nil
            #expect(try fileNames(in: directory) == ["kept"])
        }
    }

    @Test func withoutADirectoryLongFilesAreRefused() {
        let conversation = play(fileForm([UInt8](repeating: 7, count: 70_000)), pieces: 10_000)
        #expect(conversation.statuses == [413])
        #expect(conversation.errors.first?.envelope.param == "video")
        #expect(!conversation.isOver)
    }

    @Test func longTextIsRefused() {
        var settings = ServerSettings()
        settings.multipart.textField = 10
        let body = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n12345678901\r\n--b--\r\n"
        let bytes = Array(
            request(
                "POST /v1/videos HTTP/1.1",
                ["Host: x", "Content-Type: multipart/form-data; boundary=b", "Content-Length: \(body.utf8.count)"], body: body
            ).utf8)
        #expect(play(bytes, pieces: 1000, settings: settings).statuses == [413])
    }

    @Test func theMemoryOfAllBodiesIsLimited() {
        var settings = ServerSettings()
        settings.bodyMemory = 1000
        let body = "{\"a\":\"\(String(repeating: "b", count: 2000))\"}"
        let bytes = Array(
            request(
                "POST /v1/videos HTTP/1.1", ["Host: x", "Content-Type: application/json", "Content-Length: \(body.utf8.count)"], body: body
            ).utf8)
        let conversation = play(bytes, pieces: 500, settings: settings)
        #expect(conversation.statuses == [503])
        #expect(conversation.errors.first?.headers["retry-after"] == "1")
    }

    private func fileForm(_ content: [UInt8]) -> [UInt8] {
        let opening = Array("--b\r\nContent-Disposition: form-data; name=\"video\"; filename=\"../../etc/passwd\"\r\n\r\n".utf8)
        let body = opening + content + Array("\r\n--b--\r\n".utf8)
        let head = request(
            "POST /v1/videos HTTP/1.1", ["Host: x", "Content-Type: multipart/form-data; boundary=b", "Content-Length: \(body.count)"])
        return Array(head.utf8) + body
    }
}
