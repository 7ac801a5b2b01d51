// The event log that HTCondor keeps of each job, in its classic form. Pure: bytes in, events out.
// Invariant: the events depend on the bytes alone, not on how they were cut; an event counts once its last line, "...", has come.

/// What HTCondor wrote about a job.
package enum PoolEvent: Sendable, Equatable {
    case submitted
    /// The name of the box, or its address where the log has no name.
    case executing(box: String)
    /// Its box wanted it no more; it waits for another.
    case evicted
    case exited(Int32)
    case killed(signal: Int32)
    /// Taken out of the queue, with HTCondor's reason.
    case removed(String)
    case held(String)
    case released
    /// The box is out of reach; the job may still be made there.
    case disconnected
    case reconnected
    /// The box does not come back; the job waits for another.
    case lost(String)
    /// The job's files have come back: a checkpoint, after which its box starts it again, or the result.
    case transferred
}

package struct EventLogReader: Sendable {
    private var lines = LineReader(limit: 16 << 10)
    private var block: [String] = []

    /// Lines of an event; the rest of a longer one is left out.
    private static let blockLimit = 200

    package init() {}

    package mutating func append(_ bytes: [UInt8]) -> [PoolEvent] {
        var events: [PoolEvent] = []
        for line in lines.append(bytes) {
            let line = String(decoding: line, as: UTF8.self)
            guard line == "..." else {
                if block.count < EventLogReader.blockLimit { block.append(line) }
                continue
            }
            if let event = PoolEvent(block: block) { events.append(event) }
            block = []
        }
        return events
    }
}

extension PoolEvent {
    /// nil for an event that changes nothing here.
    fileprivate init?(block: [String]) {
        guard let head = block.first, let number = Int(head.prefix(3)) else { return nil }
        let reason = block.count > 1 ? short(trimmed(block[1])) : ""
        switch number {
        case 0: self = .submitted
        case 1: self = .executing(box: boxName(block))
        case 4: self = .evicted
        case 5:
            if let status = integer(after: "return value ", in: block) {
                self = .exited(status)
            } else {
                self = .killed(signal: integer(after: "signal ", in: block) ?? 0)
            }
        // A fault of the job's keeper on this side, or a lease that has ended.
        case 7, 24: self = .lost(reason)
        case 9: self = .removed(reason)
        case 12: self = .held(reason)
        case 13: self = .released
        case 22: self = .disconnected
        case 23: self = .reconnected
        case 40 where head.hasSuffix("Finished transferring output files"): self = .transferred
        default: return nil
        }
    }
}

/// "boxa" of "SlotName: slot1@boxa", else of "alias=boxa" in the address, else the address.
private func boxName(_ block: [String]) -> String {
    for line in block.dropFirst() {
        if let slot = text(after: "SlotName: ", in: line) { return short(String(slot.split(separator: "@").last ?? slot), 128) }
    }
    let head = block[0]
    if let rest = text(after: "alias=", in: head) { return short(String(rest.prefix { $0 != "&" && $0 != ">" }), 128) }
    return text(after: "host: ", in: head).map { short(String($0), 128) } ?? "?"
}

private func integer(after words: String, in block: [String]) -> Int32? {
    for line in block {
        if let rest = text(after: words, in: line) { return Int32(rest.prefix { $0.isNumber }) }
    }
    return nil
}

/// What follows the first `words` in `line`.
private func text(after words: String, in line: String) -> Substring? { line.firstRange(of: words).map { line[$0.upperBound...] } }

private func trimmed(_ line: String) -> String {
    var rest = line[...]
    while rest.first?.isWhitespace ?? false { rest.removeFirst() }
    while rest.last?.isWhitespace ?? false { rest.removeLast() }
    return String(rest)
}
