// Takes the framing off a body: pieces of content come out, whatever pieces the wire delivered.

struct BodyDecoder {
    private enum State {
        case length(remaining: Int)
        case chunkSize
        case chunk(remaining: Int)
        case chunkEnd
        case trailers(HeaderSection)
        case untilClose
        case finished
    }

    enum Event: Equatable {
        case bytes([UInt8])
        case end
    }

    private var state: State
    private static let sizeLine = 1024
    /// Bytes of one piece.
    private static let piece = 256 << 10

    init(_ framing: BodyFraming) {
        switch framing {
        case .none: state = .finished
        case .length(let count): state = .length(remaining: count)
        case .chunked: state = .chunkSize
        case .untilClose: state = .untilClose
        }
    }

    /// The next piece or the end; nil when more bytes are needed. After `.end` it is not called again.
    mutating func next(from queue: inout ByteQueue) throws(WireError) -> Event? {
        while true {
            switch state {
            case .finished: return .end
            case .untilClose:
                return queue.isEmpty ? nil : .bytes(queue.take(BodyDecoder.piece))
            case .length(let remaining):
                guard !queue.isEmpty else { return nil }
                let bytes = queue.take(min(remaining, BodyDecoder.piece))
                state = bytes.count == remaining ? .finished : .length(remaining: remaining - bytes.count)
                return .bytes(bytes)
            case .chunkSize:
                guard let line = try queue.line(limit: BodyDecoder.sizeLine, tooLong: WireError("a chunk's size line is too long")) else {
                    return nil
                }
                let size = try BodyDecoder.chunkSize(line)
                state = size == 0 ? .trailers(HeaderSection(limits: .init(line: 1024, fields: 16, bytes: 4096))) : .chunk(remaining: size)
            case .chunk(let remaining):
                guard !queue.isEmpty else { return nil }
                let bytes = queue.take(min(remaining, BodyDecoder.piece))
                state = bytes.count == remaining ? .chunkEnd : .chunk(remaining: remaining - bytes.count)
                return .bytes(bytes)
            case .chunkEnd:
                let wrong = WireError("a chunk is longer than its size says")
                guard let line = try queue.line(limit: 0, tooLong: wrong) else { return nil }
                guard line.isEmpty else { throw wrong }
                state = .chunkSize
            case .trailers(var section):
                let complete = try section.read(from: &queue)
                state = complete ? .finished : .trailers(section)
                if !complete { return nil }
            }
        }
    }

    /// `chunk-size [chunk-ext]`: up to 15 hexadecimal digits; well-formed extensions are skipped, as RFC 9112 section 7.1.1 asks.
    private static func chunkSize(_ line: [UInt8]) throws(WireError) -> Int {
        let digits = line.prefix { hexDigit($0) != nil }
        guard !digits.isEmpty, digits.count <= 15 else { throw WireError("a chunk's size is not a number") }
        guard ChunkExtensions.isValid(line[digits.endIndex...]) else {
            throw WireError("a chunk's size is followed by what is no chunk extension")
        }
        return digits.reduce(0) { $0 << 4 | Int(hexDigit($1) ?? 0) }
    }
}
