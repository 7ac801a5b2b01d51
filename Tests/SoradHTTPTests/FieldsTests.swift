// Fields: the same answers whether they came as JSON, as a form or in a query, and one plain sentence for each misuse.
import SoradAPI
import SoradHTTP
import SoradSystem
import Testing

/// Fields as a server would get them from a JSON body.
private func json(_ text: String) throws -> Fields {
    guard let object = try JSONValue(parsing: Array(text.utf8)).object else { preconditionFailure(text) }
    return Fields(json: object)
}

/// Fields as a server would get them from a multipart body.
private func form(_ parts: [(String, String)]) throws -> Fields {
    let body = parts.map { "--b\r\nContent-Disposition: form-data; name=\"\($0.0)\"\r\n\r\n\($0.1)\r\n" }.joined() + "--b--\r\n"
    var conversation = Conversation()
    conversation.send(
        request(
            "POST /v1/videos HTTP/1.1", ["Host: x", "Content-Type: multipart/form-data; boundary=b", "Content-Length: \(body.utf8.count)"],
            body: body))
    return try #require(conversation.received.first)
}

private func message(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch let error as APIError {
        #expect(error.status == .badRequest)
        return "\(error.envelope.param ?? "-"): \(error.envelope.message)"
    } catch { return "another error: \(error)" }
}

@Suite struct FieldsTests {
    @Test func bothEncodingsReadAlike() throws {
        let both = [
            try json(
                "{\"prompt\":\"a\",\"seconds\":4,\"seed\":18446744073709551615,\"scale\":2.5,\"loop\":true,\"loras\":[\"x\",\"y\"],\"video\":{\"id\":\"v\"},\"none\":null}"
            ),
            try form([
                ("prompt", "a"), ("seconds", "4"), ("seed", "18446744073709551615"), ("scale", "2.5"), ("loop", "true"), ("loras[]", "x"),
                ("loras[]", "y"),
                ("video[id]", "v"),
            ]),
        ]
        for fields in both {
            #expect(try fields.requiredText("prompt") == "a")
            #expect(try fields.integer("seconds", in: 1...20) == 4)
            #expect(try fields.integer("seed", in: 0...UInt64.max) == .max)
            #expect(try fields.number("scale", in: 0...20) == 2.5)
            #expect(try fields.bool("loop") == true)
            #expect(try fields.list("loras").map { try $0.text("value") } == ["x", "y"])
            #expect(try fields.object("video")?.text("id") == "v")
            #expect(try fields.text("none") == nil)
            #expect(!fields.has("none"))
            #expect(try fields.file("video2") == nil)
        }
    }

    @Test func textThatIsANumberCountsAsOneInJSONToo() throws {
        let fields = try json("{\"seconds\":\"4\",\"whole\":17.0}")
        #expect(try fields.integer("seconds", in: 1...20) == 4)
        #expect(try fields.integer("whole", in: 1...20) == 17)
    }

    @Test(arguments: [
        ("17.5", "must be a whole number from 1 to 20, not 17.5"), ("-1", "must be a whole number from 1 to 20, not -1"),
        ("99999999999999999999", "must be a whole number from 1 to 20, not 99999999999999999999"),
        ("21", "must be a whole number from 1 to 20, not 21"),
        ("true", "must be a whole number, not true"), ("[1]", "must be a whole number, not a list"),
        ("{}", "must be a whole number, not an object"),
        ("\"four\"", "must be a whole number from 1 to 20, not \"four\""), ("\"\"", "must be a whole number from 1 to 20, not \"\""),
        ("\" 4\"", "must be a whole number from 1 to 20, not \" 4\""), ("\"+4\"", "must be a whole number from 1 to 20, not \"+4\""),
        ("\"4.0\"", "must be a whole number from 1 to 20, not \"4.0\""), ("\"٤\"", "must be a whole number from 1 to 20, not \"٤\""),
    ]) func wrongIntegers(_ value: String, _ problem: String) throws {
        let fields = try json("{\"n\":\(value)}")
        #expect(message { _ = try fields.integer("n", in: 1...20) } == "n: the field \"n\" \(problem)")
    }

    @Test(arguments: ["\"inf\"", "\"nan\"", "\"0x1\"", "\"1e\"", "\" 1\"", "1e400", "-0.5", "false", "\"\""]) func wrongNumbers(
        _ value: String
    ) throws {
        let fields = try json("{\"n\":\(value)}")
        #expect(message { _ = try fields.number("n", in: 0...20) }.hasPrefix("n: the field \"n\" must be a number"))
    }

    @Test func otherMisuses() throws {
        let fields = try json(
            "{\"text\":5,\"bool\":\"yes\",\"object\":\"v\",\"long\":\"abcdef\",\"nul\":\"a\\u0000b\",\"nested\":{\"id\":7},\"list\":[1,\"x\"]}"
        )
        #expect(message { _ = try fields.requiredText("prompt") } == "prompt: the field \"prompt\" is missing")
        #expect(message { _ = try fields.text("text") } == "text: the field \"text\" must be text, not 5")
        #expect(message { _ = try fields.bool("bool") } == "bool: the field \"bool\" must be true or false, not \"yes\"")
        #expect(message { _ = try fields.object("object") } == "object: the field \"object\" must be an object, not \"v\"")
        #expect(message { _ = try fields.file("object") } == "object: the field \"object\" must be a file, not \"v\"")
        #expect(message { _ = try fields.text("long", maxBytes: 5) } == "long: the field \"long\" has 6 bytes and the limit is 5")
        #expect(message { _ = try fields.text("nul") } == "nul: the field \"nul\" contains a NUL character; remove it")
        #expect(message { _ = try fields.object("nested")?.text("id") } == "nested.id: the field \"nested.id\" must be text, not 7")
        #expect(
            message { _ = try fields.choice("long", of: ["asc", "desc"]) }
                == "long: the field \"long\" must be one of asc, desc, not \"abcdef\"")
        #expect(message { for element in try fields.list("list") { _ = try element.text("value") } }.hasPrefix("list[0].value: "))
        #expect(
            message { try fields.rejectUnknown(known: ["text", "bool", "object", "long", "nul", "list"]) }.hasPrefix(
                "nested: the field \"nested\" is unknown"))
        try fields.rejectUnknown(known: Set(fields.names))
    }

    @Test func theFingerprintIsThatOfTheFieldsAlone() throws {
        func print(_ text: String, _ route: String = "a") throws -> String {
            guard case .object(let object) = try JSONValue(parsing: Array(text.utf8)) else { return "" }
            return try Fields(json: object).fingerprint(of: route)
        }
        let base = try print(#"{"a":1,"b":["x",{"c":true}]}"#)
        #expect(base.count == 64)
        #expect(try print(#" { "b" : ["x",{"c":true}], "a":1}"#) == base)
        let others = [
            #"{"a":"1","b":["x",{"c":true}]}"#, #"{"a":1,"b":["x",{"c":false}]}"#, #"{"a":1,"b":["x","c",true]}"#, #"{"a":1,"b":["x"]}"#,
            #"{"a":1}"#, "{}", #"{"a":1,"b":["x",{"c":true}],"d":null}"#, #"{"a":1,"b":["x",{"c":1}]}"#,
        ]
        for other in others { #expect(try print(other) != base, "\(other)") }
        #expect(try print(#"{"a":1,"b":["x",{"c":true}]}"#, "b") != base)
    }

    @Test func errorKindsHaveTheirStatus() {
        let expected: [SoradError.Kind: Int] = [
            .badInput: 400, .usage: 400, .notFound: 404, .permission: 403, .cancelled: 409, .busy: 429, .unavailable: 503,
            .timedOut: 503, .storageFull: 507, .conflict: 409,
            .jobFailed: 500, .configuration: 500, .internalFault: 500,
        ]
        for (kind, status) in expected {
            let error = APIError(SoradError(kind, "It failed.", hint: "do this", param: "size"))
            #expect(error.status.code == status, "\(kind)")
            #expect(error.envelope.message == "It failed. (do this)")
            #expect(error.envelope.param == "size")
            #expect(error.headers["retry-after"] != nil || error.headers["x-should-retry"] == "false", "\(kind)")
        }
        struct Unknown: Error {}
        #expect(APIError(anything: Unknown()).status == .internalServerError)
    }
}
