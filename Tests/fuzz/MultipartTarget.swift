// The multipart target. The input is a form; its boundary is what follows the dashes of its first line, so that a form in a file is a seed.
import SoradAPI
import SoradHTTP
import SoradSystem

private let limits: MultipartLimits = {
    var limits = MultipartLimits()
    limits.parts = 6
    limits.partHeader = 200
    limits.textField = 300
    limits.fileInMemory = 400
    return limits
}()

func checkMultipart(_ bytes: [UInt8]) -> String? {
    let boundary = boundary(of: bytes)
    let whole = ParsedForm([bytes[...]], boundary: boundary, limits)
    let cut = pieces(of: bytes)
    return first(
        { whole.complaint(bytes.count) },
        { ParsedForm(cut, boundary: boundary, limits) == whole ? nil : "the parts depend on how the bytes were cut" },
        { comesBack(whole) },
        {
            let answers = [[bytes[...]], cut].map { fieldsAnswer($0, boundary: boundary) }
            if let complaint = answers.compactMap(\.complaint).first { return complaint }
            return answers[0].text == answers[1].text ? nil : "the fields depend on how the bytes were cut"
        })
}

private func boundary(of bytes: [UInt8]) -> String {
    let marks = Set("'()+_,-./:=? ".utf8)
    let line = bytes.dropFirst(2).prefix { byte in
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) && byte >= UInt8(ascii: "A")
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || marks.contains(byte)
    }
    let text = String(decoding: line, as: UTF8.self)
    return (1...70).contains(line.count) && line.last != 0x20 ? text : "b"
}

/// Everything that a parser made of a form.
private struct ParsedForm: Equatable {
    struct Part: Equatable {
        var header: PartHeader
        var bytes: [UInt8] = []
        var isComplete = false
    }

    var parts: [Part] = []
    var hasEnded = false
    var isComplete = false
    var isDisordered = false
    var failure: APIError?

    init(_ pieces: [ArraySlice<UInt8>], boundary: String, _ limits: MultipartLimits) {
        var parser = MultipartParser(boundary: boundary, limits: limits)
        do throws(APIError) {
            for piece in pieces {
                parser.append(Array(piece))
                while let event = try parser.next() { take(event) }
            }
            isComplete = parser.isComplete
        } catch { failure = error }
    }

    private mutating func take(_ event: MultipartParser.Event) {
        let isOpen = parts.last.map { !$0.isComplete } ?? false
        isDisordered = isDisordered || hasEnded
        switch event {
        case .part(let header):
            isDisordered = isDisordered || isOpen
            parts.append(Part(header: header))
        case .bytes(let bytes):
            guard isOpen, !bytes.isEmpty else { return isDisordered = true }
            parts[parts.count - 1].bytes += bytes
        case .partEnd:
            guard isOpen else { return isDisordered = true }
            parts[parts.count - 1].isComplete = true
        case .end:
            isDisordered = isDisordered || isOpen
            hasEnded = true
        }
    }

    func complaint(_ inputCount: Int) -> String? {
        if isDisordered { return "the events are out of order" }
        if isComplete && !hasEnded { return "the form is complete without an end" }
        if parts.count > limits.parts { return "it has \(parts.count) parts" }
        if parts.reduce(0, { $0 + $1.bytes.count }) > inputCount { return "the parts have more bytes than the input" }
        return failure.flatMap { errorComplaint($0) }
    }
}

/// A complete form, written in the plainest way with another boundary, is read as the same form.
private func comesBack(_ form: ParsedForm) -> String? {
    guard form.isComplete, !form.parts.isEmpty else { return nil }
    var number = 0
    func isTaken() -> Bool { form.parts.contains { part in contains(part.bytes, Array("\r\n--r\(number)".utf8)) } }
    while isTaken() { number += 1 }
    var bytes: [UInt8] = []
    for part in form.parts {
        var text = "--r\(number)\r\nContent-Disposition: form-data; name=\(quoted(part.header.name))"
        if let fileName = part.header.fileName { text += "; filename=\(quoted(fileName))" }
        if let type = part.header.contentType { text += "\r\nContent-Type: \(type)" }
        bytes += Array("\(text)\r\n\r\n".utf8) + part.bytes + [0x0D, 0x0A]
    }
    bytes += Array("--r\(number)--\r\n".utf8)
    let again = ParsedForm([bytes[...]], boundary: "r\(number)", MultipartLimits())
    return again == form ? nil : "what was written again is read as something else (\(again.failure.map { "\($0)" } ?? "no error"))"
}

private func quoted(_ text: String) -> String {
    "\"" + text.unicodeScalars.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined() + "\""
}

private func contains(_ bytes: [UInt8], _ pattern: [UInt8]) -> Bool {
    guard bytes.count >= pattern.count else { return false }
    return (0...bytes.count - pattern.count).contains { bytes[$0...].starts(with: pattern) }
}

/// What the server makes of the form as the body of a request: a digest of the fields, or the code of the refusal.
private func fieldsAnswer(_ pieces: [ArraySlice<UInt8>], boundary: String) -> (text: String, complaint: String?) {
    var settings = ServerSettings()
    settings.multipart = limits
    var parser = RequestParser(settings: settings)
    let head =
        "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-type: multipart/form-data; boundary=\(quoted(boundary))\r\n\r\n"
    parser.append(Array(head.utf8)[...])
    guard case .head(let head)? = try? parser.next() else { return ("", "the head was not read") }
    do throws(APIError) {
        var receiver = try BodyReceiver(head: head, kind: .fields, settings: settings, memory: BodyMemory(limit: 1 << 20))
        for piece in pieces { try receiver.append(Array(piece)) }
        let fields = try receiver.finish()
        return ((try? fields.fingerprint(of: "")) ?? "unreadable", fieldsComplaint(fields))
    } catch {
        return ("\(error.status.code) \(error.envelope.code ?? "no code")", errorComplaint(error))
    }
}
