// Turns a request's body into fields while it arrives, and holds it to its limits. The only part of the receiving side that touches
// the disk (long uploads).
import SoradAPI
import SoradSystem
import Synchronization

/// Bytes of bodies in memory over all connections of a server.
package final class BodyMemory: Sendable {
    private let used = Atomic<Int>(0)
    package let limit: Int

    package init(limit: Int) { self.limit = limit }

    /// A share that is given back with its last reference.
    package final class Share: Sendable {
        private let memory: BodyMemory
        private let bytes = Atomic<Int>(0)

        init(of memory: BodyMemory) { self.memory = memory }

        /// False, and nothing is reserved, when the limit would be passed.
        func grow(by count: Int) -> Bool {
            let total = memory.used.wrappingAdd(count, ordering: .relaxed).newValue
            guard total <= memory.limit else {
                memory.used.wrappingSubtract(count, ordering: .relaxed)
                return false
            }
            bytes.wrappingAdd(count, ordering: .relaxed)
            return true
        }

        deinit { memory.used.wrappingSubtract(bytes.load(ordering: .relaxed), ordering: .relaxed) }
    }
}

/// Bytes as they came, in pieces that are never moved: one long array would be copied as it grows, and lie in memory twice meanwhile.
private struct Pieces: Sendable {
    private var full: [[UInt8]] = []
    private var last: [UInt8] = []
    private static let size = 256 << 10

    mutating func append(_ bytes: [UInt8]) {
        last += bytes
        guard last.count >= Pieces.size else { return }
        full.append(last)
        last = []
    }

    var joined: [UInt8] {
        guard !full.isEmpty else { return last }
        var all: [UInt8] = []
        all.reserveCapacity(full.reduce(last.count) { $0 + $1.count })
        for piece in full { all += piece }
        all += last
        return all
    }
}

package struct BodyReceiver {
    private enum Sink {
        case ignored
        case json(Pieces)
        case form(MultipartParser, FormBuilder)
        /// No body and no type: no fields.
        case empty
    }

    private var sink: Sink
    private var received = 0
    private let limit: Int
    private let settings: ServerSettings
    /// Goes with the request.
    package let share: BodyMemory.Share

    /// Refuses bodies that the route cannot take, by the header alone: 411, 413, 415.
    /// - Parameter user: whose request it is.
    package init(head: RequestHead, kind: BodyKind, settings: ServerSettings, memory: BodyMemory, user: UInt32 = 0) throws(APIError) {
        self.settings = settings
        share = BodyMemory.Share(of: memory)
        switch kind {
        case .none:
            sink = .ignored
            limit = settings.discardedBody
        case .fields:
            sink = try BodyReceiver.sink(for: head, settings: settings, user: user)
            if case .form = sink { limit = settings.formBody } else { limit = settings.jsonBody }
        }
        if case .length(let length) = head.framing, length > limit { throw tooLarge }
    }

    private static func sink(for head: RequestHead, settings: ServerSettings, user: UInt32) throws(APIError) -> Sink {
        if head.framing == .none {
            guard head.headers["content-length"] != nil else {
                throw APIError(
                    .lengthRequired, "the request needs a body with Content-Length or chunked Transfer-Encoding", code: "length_required")
            }
            return .empty
        }
        let accepted = "send application/json or multipart/form-data"
        let coding = head.headers.tokens("content-encoding").filter { $0 != "identity" }
        guard coding.isEmpty else { throw unsupported("the body has a content coding; send it as it is") }
        let types = head.headers.all("content-type")
        guard types.count == 1, let type = ParameterizedValue(types[0]) else {
            throw unsupported("the body has no valid Content-Type; \(accepted)")
        }
        switch type.value {
        case "application/json":
            guard ["utf-8", "utf8", "us-ascii"].contains(type.parameters["charset"]?.lowercased() ?? "utf-8") else {
                throw unsupported("the JSON body's charset must be UTF-8")
            }
            return .json(Pieces())
        case "multipart/form-data":
            guard let boundary = MultipartParser.boundary(of: type) else {
                throw MultipartParser.malformed("its Content-Type has no valid boundary")
            }
            return .form(
                MultipartParser(boundary: boundary, limits: settings.multipart),
                FormBuilder(
                    limits: settings.multipart, uploadDirectory: settings.uploadDirectory, uploadSpace: settings.uploadSpace, user: user))
        default: throw unsupported("a body of type \(type.value.prefix(64)) is not accepted; \(accepted)")
        }
    }

    private static func unsupported(_ message: String) -> APIError {
        APIError(.unsupportedMediaType, message, code: "unsupported_media_type")
    }

    private var tooLarge: APIError {
        APIError(.contentTooLarge, "the body is larger than the limit of \(limit) bytes", code: "content_too_large")
    }

    package mutating func append(_ bytes: [UInt8]) throws(APIError) {
        received += bytes.count
        guard received <= limit else { throw tooLarge }
        switch sink {
        case .ignored: break
        case .empty: preconditionFailure("\(bytes.count) bytes of an empty body")
        case .json(var buffer):
            guard share.grow(by: bytes.count) else { throw BodyReceiver.overloaded(settings) }
            sink = .ignored
            buffer.append(bytes)
            sink = .json(buffer)
        case .form(var parser, var builder):
            sink = .ignored
            parser.append(bytes)
            while let event = try parser.next() {
                let before = builder.bytesInMemory
                try builder.take(event)
                guard share.grow(by: builder.bytesInMemory - before) else { throw BodyReceiver.overloaded(settings) }
            }
            sink = .form(parser, builder)
        }
    }

    /// After the last byte: the body, which is yet to be read.
    package consuming func whole() -> WholeBody {
        switch sink {
        case .ignored, .empty: WholeBody(content: .none, count: received, limit: limit, share: share)
        case .json(let pieces): WholeBody(content: .json(pieces), count: received, limit: limit, share: share)
        case .form(let parser, let builder):
            WholeBody(
                content: .form(builder.members, isComplete: parser.isComplete), count: received, limit: limit, share: share)
        }
    }

    /// After the last byte: all of it at once.
    package consuming func finish() throws(APIError) -> Fields { try whole().fields() }

    static func overloaded(_ settings: ServerSettings) -> APIError {
        .unavailable(
            "the server has too much to do; try again in \(settings.retryAfter) s", code: "overloaded", retryAfter: settings.retryAfter)
    }
}

/// A body that has come whole. To read a long JSON text takes a while, so that is done where the handler runs.
/// Invariant: while this lives its bytes count as held in memory, whatever becomes of the connection.
package struct WholeBody: Sendable {
    fileprivate enum Content {
        case none
        case json(Pieces)
        case form([String: Fields.Value], isComplete: Bool)
    }

    fileprivate let content: Content
    /// Bytes that came.
    package let count: Int
    fileprivate let limit: Int
    private let share: BodyMemory.Share

    fileprivate init(content: Content, count: Int, limit: Int, share: BodyMemory.Share) {
        self.content = content
        self.count = count
        self.limit = limit
        self.share = share
    }

    package func fields() throws(APIError) -> Fields {
        switch content {
        case .none: return Fields()
        case .json(let pieces):
            let value: JSONValue
            do throws(JSONError) {
                var limits = JSONLimits()
                limits.bytes = limit
                // RFC 8259 (8.1) lets a parser ignore a byte order mark, which some .NET and Windows programs send.
                let bytes = pieces.joined
                let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
                value = try JSONValue(parsing: bytes.starts(with: mark) ? Array(bytes.dropFirst(3)) : bytes, limits: limits)
            } catch {
                throw APIError(.badRequest, "the body is not valid JSON: \(error)", code: "malformed_json")
            }
            guard case .object(let object) = value else {
                throw APIError(.badRequest, "the body must be a JSON object", code: "malformed_json")
            }
            return Fields(json: object)
        case .form(let members, let isComplete):
            guard isComplete else { throw MultipartParser.malformed("it ends before its last boundary") }
            return Fields(members: members)
        }
    }
}
