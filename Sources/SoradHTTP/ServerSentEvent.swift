// One server-sent event as text (HTML Living Standard, section 9.2.6).

public struct ServerSentEvent: Sendable, Equatable {
    public var event: String?
    public var id: String?
    /// May have several lines.
    public var data: String

    public init(event: String? = nil, id: String? = nil, data: String) {
        for text in [event, id] { precondition(text?.utf8.contains { $0 == 0x0A || $0 == 0x0D || $0 == 0 } != true, "line end in a field") }
        self.event = event
        self.id = id
        self.data = data
    }

    /// Ends with the empty line that dispatches the event. CR, LF and CRLF in `data` each end a line.
    public var bytes: [UInt8] {
        var text: [UInt8] = []
        if let event { text += "event: \(event)\n".utf8 }
        if let id { text += "id: \(id)\n".utf8 }
        var line: [UInt8] = []
        var afterReturn = false
        let endLine = { (text: inout [UInt8], line: inout [UInt8]) in
            text += "data: ".utf8
            text += line
            text.append(0x0A)
            line = []
        }
        for byte in data.utf8 {
            if byte == 0x0A && afterReturn {
                afterReturn = false
                continue
            }
            afterReturn = byte == 0x0D
            if byte == 0x0A || byte == 0x0D { endLine(&text, &line) } else { line.append(byte) }
        }
        endLine(&text, &line)
        text.append(0x0A)
        return text
    }

    /// Keeps a quiet connection known to be alive; clients ignore it.
    public static let keepAlive: [UInt8] = Array(": \n\n".utf8)
}
