// The HTTP target: bytes of a client to requests, and to what a connection does with them.
import SoradHTTP
import SoradSystem

/// Small limits, so that short inputs reach them.
private let settings: ServerSettings = {
    var settings = ServerSettings()
    settings.requestLine = 256
    settings.headerLine = 256
    settings.headerFields = 12
    settings.headerBytes = 700
    settings.multipart.parts = 6
    settings.multipart.partHeader = 200
    settings.multipart.textField = 300
    settings.multipart.fileInMemory = 400
    return settings
}()

/// For what was written again: percent-encoding makes targets longer.
private let wideSettings: ServerSettings = {
    var settings = ServerSettings()
    settings.requestLine = 4096
    return settings
}()

func checkHTTP(_ bytes: [UInt8]) -> String? {
    let whole = ParsedStream([bytes[...]], settings)
    let cut = pieces(of: bytes)
    return first(
        { whole.complaint(bytes.count) },
        { ParsedStream(cut, settings) == whole ? nil : "the requests depend on how the bytes were cut" },
        { comesBack(whole) },
        { ConnectionReplay([bytes[...]], settings).compare(ConnectionReplay(cut, settings)) },
        {
            ConnectionReplay([bytes[...]], settings, door: ConnectionReplay.guarded).compare(
                ConnectionReplay(cut, settings, door: ConnectionReplay.guarded))
        })
}

/// Everything that a parser made of a stream of bytes.
private struct ParsedStream: Equatable {
    struct Message: Equatable {
        var head: RequestHead
        var body: [UInt8] = []
        var isComplete = false
    }

    var messages: [Message] = []
    var failure: WireError?
    /// The events came in an order that no message has.
    var isDisordered = false

    init(_ pieces: [ArraySlice<UInt8>], _ settings: ServerSettings) {
        var parser = RequestParser(settings: settings)
        do throws(WireError) {
            for piece in pieces {
                parser.append(piece)
                while let event = try parser.next() { take(event) }
            }
        } catch {
            failure = error
            do throws(WireError) {
                parser.append([0x0D, 0x0A])
                _ = try parser.next()
                isDisordered = true
            } catch { isDisordered = isDisordered || error != failure }
        }
    }

    private mutating func take(_ event: RequestParser.Event) {
        let isOpen = messages.last.map { !$0.isComplete } ?? false
        switch event {
        case .head(let head):
            isDisordered = isDisordered || isOpen
            messages.append(Message(head: head))
        case .body(let bytes):
            guard isOpen, !bytes.isEmpty else { return isDisordered = true }
            messages[messages.count - 1].body += bytes
        case .end:
            guard isOpen else { return isDisordered = true }
            messages[messages.count - 1].isComplete = true
        }
    }

    func complaint(_ inputCount: Int) -> String? {
        if isDisordered { return "the events are out of order, or continue after an error" }
        if messages.reduce(0, { $0 + $1.body.count }) > inputCount { return "the bodies have more bytes than the input" }
        for message in messages {
            guard case .length(let length) = message.head.framing else { continue }
            if message.isComplete ? message.body.count != length : message.body.count >= length {
                return "a body of \(message.body.count) bytes has the Content-Length \(length)"
            }
        }
        return nil
    }
}

/// Complete requests, written in the plainest way, are read as the same requests.
private func comesBack(_ stream: ParsedStream) -> String? {
    let complete = stream.messages.filter(\.isComplete)
    guard !complete.isEmpty else { return nil }
    let bytes = complete.flatMap { written($0) }
    let again = ParsedStream([bytes[...]], wideSettings)
    if again.messages == complete && again.failure == nil { return nil }
    return "what was written again is read as something else (\(again.failure?.problem ?? "no error"))"
}

private func written(_ message: ParsedStream.Message) -> [UInt8] {
    let head = message.head
    let path = "/" + head.target.segments.map { percentEncoded($0) }.joined(separator: "/")
    let query = head.target.query.map { "\(percentEncoded($0.name))=\(percentEncoded($0.value))" }.joined(separator: "&")
    let authority = head.target.authority.map { "http://\($0)" } ?? ""
    var text = "\(head.methodName) \(authority)\(path)\(query.isEmpty ? "" : "?" + query) HTTP/1.\(head.minorVersion)\r\n"
    for field in head.headers.fields { text += "\(field.name): \(field.value)\r\n" }
    var bytes = Array("\(text)\r\n".utf8)
    guard head.framing == .chunked else { return bytes + message.body }
    for start in stride(from: 0, to: message.body.count, by: 100) {
        let chunk = message.body[start..<min(start + 100, message.body.count)]
        bytes += Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + [0x0D, 0x0A]
    }
    return bytes + Array("0\r\n\r\n".utf8)
}
