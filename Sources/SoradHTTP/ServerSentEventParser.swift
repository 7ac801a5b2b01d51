// Takes a stream of server-sent events apart (HTML Living Standard, section 9.2.6). Pure: bytes go in as they come, events come out.
// Invariant: memory is bounded by `limit`, whatever comes.
public import SoradSystem

public struct ServerSentEventParser: Sendable {
    private var line: [UInt8] = []
    private var event: String?
    private var id: String?
    private var data: [String] = []
    private var size = 0
    /// The last line ended with CR, so a LF that follows belongs to it.
    private var endedWithReturn = false
    /// Bytes of one event.
    private let limit: Int

    public init(limit: Int = 4 << 20) { self.limit = limit }

    /// The events that are complete now; comments and fields that are unknown are passed over.
    /// - Throws: `.internalFault` for an event beyond the limit.
    public mutating func append(_ bytes: some Sequence<UInt8>) throws(SoradError) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes {
            if byte == 0x0A, endedWithReturn {
                endedWithReturn = false
                continue
            }
            endedWithReturn = byte == 0x0D
            if byte == 0x0A || byte == 0x0D {
                if let event = endLine() { events.append(event) }
            } else {
                size += 1
                guard size <= limit else { throw SoradError(.internalFault, "an event of the daemon has more than \(limit) bytes") }
                line.append(byte)
            }
        }
        return events
    }

    private mutating func endLine() -> ServerSentEvent? {
        defer { line = [] }
        if line.isEmpty { return dispatch() }
        let text = String(decoding: line, as: UTF8.self)
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        var value = parts.count == 2 ? parts[1] : ""
        if value.hasPrefix(" ") { value.removeFirst() }
        switch parts[0] {
        case "event": event = String(value)
        case "id": if !value.utf8.contains(0) { id = String(value) }
        case "data": data.append(String(value))
        default: break
        }
        return nil
    }

    /// An event without data is none.
    private mutating func dispatch() -> ServerSentEvent? {
        defer {
            event = nil
            id = nil
            data = []
            size = 0
        }
        return data.isEmpty ? nil : ServerSentEvent(event: event, id: id, data: data.joined(separator: "\n"))
    }
}
