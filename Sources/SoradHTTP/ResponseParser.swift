// Bytes to answers, for the client: as strict as the server's side.

package struct ResponseHead: Equatable {
    package var status: Int
    package var minorVersion: Int
    package var headers: Headers
    package var framing: BodyFraming

    /// Whether the connection can serve another request after this answer.
    package var keepAlive: Bool {
        minorVersion >= 1 && framing != .untilClose && !headers.tokens("connection").contains("close")
    }
}

package struct ResponseParser {
    package enum Event: Equatable {
        case head(ResponseHead)
        case body([UInt8])
        case end
    }

    private enum State {
        case statusLine
        case headers(status: Int, minorVersion: Int, HeaderSection)
        case body(BodyDecoder)
    }

    private var queue = ByteQueue()
    private var state = State.statusLine
    private var readsUntilClose = false
    /// Of the request that is being answered: an answer to HEAD has no body.
    private let method: Method

    package init(answersTo method: Method) { self.method = method }

    package mutating func append(_ bytes: ArraySlice<UInt8>) { queue.append(bytes) }

    /// Whether the end of the connection is the proper end of the answer.
    package var endsWithConnection: Bool { readsUntilClose }
    package var hasInput: Bool { !queue.isEmpty }

    /// Interim answers (1xx) are skipped.
    package mutating func next() throws(WireError) -> Event? {
        while true {
            switch state {
            case .statusLine:
                guard let line = try queue.line(limit: 8 << 10, tooLong: WireError("the status line is too long")) else { return nil }
                let (status, minorVersion) = try ResponseParser.statusLine(line)
                state = .headers(
                    status: status, minorVersion: minorVersion, HeaderSection(limits: .init(line: 16 << 10, fields: 128, bytes: 64 << 10)))
            case .headers(let status, let minorVersion, var section):
                guard try section.read(from: &queue) else {
                    state = .headers(status: status, minorVersion: minorVersion, section)
                    return nil
                }
                if status < 200 {
                    state = .statusLine
                    continue
                }
                var framing = BodyFraming.none
                if method != .head && status != 204 && status != 304 {
                    framing = try BodyFraming(headers: section.headers, minorVersion: minorVersion) ?? .untilClose
                }
                readsUntilClose = framing == .untilClose
                state = .body(BodyDecoder(framing))
                return .head(ResponseHead(status: status, minorVersion: minorVersion, headers: section.headers, framing: framing))
            case .body(var decoder):
                let event = try decoder.next(from: &queue)
                state = .body(decoder)
                switch event {
                case nil: return nil
                case .bytes(let bytes): return .body(bytes)
                case .end: return .end
                }
            }
        }
    }

    /// A parser for the answer to a following, pipelined request with the same method; takes what has arrived of it along.
    package consuming func following() -> ResponseParser {
        var next = ResponseParser(answersTo: method)
        next.queue = queue
        return next
    }

    /// `HTTP/1.x SP 3DIGIT SP [reason]`.
    private static func statusLine(_ line: [UInt8]) throws(WireError) -> (status: Int, minorVersion: Int) {
        let parts = line.split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count >= 2, parts[0].count == 8, parts[0].starts(with: "HTTP/1.".utf8), let minor = hexDigit(parts[0].last ?? 0),
            minor < 10,
            parts[1].count == 3, let status = Int(String(decoding: parts[1], as: UTF8.self)), (100...599).contains(status)
        else { throw WireError("its first line is not \"HTTP/1.1 status reason\"") }
        return (status, Int(minor))
    }
}
