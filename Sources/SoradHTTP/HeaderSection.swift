// Header lines and the framing of the body that they declare: RFC 9112 sections 5 and 6, for requests, answers, trailers and form parts.

/// Collects field lines up to the empty one.
struct HeaderSection {
    struct Limits {
        var line: Int
        var fields: Int
        var bytes: Int
    }

    private(set) var headers = Headers()
    private var bytes = 0
    let limits: Limits
    /// A value that is not UTF-8 is read as ISO 8859-1: old programs write file names of forms in it.
    let takesLatin1: Bool

    init(limits: Limits, takesLatin1: Bool = false) {
        self.limits = limits
        self.takesLatin1 = takesLatin1
    }

    /// Takes lines from `queue`; true once the empty line that ends the section has been taken.
    mutating func read(from queue: inout ByteQueue) throws(WireError) -> Bool {
        while let line = try queue.line(
            limit: limits.line,
            tooLong: WireError("a header line is longer than \(limits.line) bytes", status: .headerFieldsTooLarge))
        {
            if line.isEmpty { return true }
            bytes += line.count + 2
            guard bytes <= limits.bytes else {
                throw WireError("its header fields are larger than \(limits.bytes) bytes", status: .headerFieldsTooLarge)
            }
            guard headers.fields.count < limits.fields else {
                throw WireError("it has more than \(limits.fields) header fields", status: .headerFieldsTooLarge)
            }
            try append(line)
        }
        return false
    }

    private mutating func append(_ line: [UInt8]) throws(WireError) {
        guard line[0] != 0x20 && line[0] != 0x09 else { throw WireError("a header line begins with white space") }
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { throw WireError("a header line has no colon") }
        let name = line[..<colon]
        guard !name.isEmpty, name.allSatisfy(isTokenByte) else {
            throw WireError("a header field's name is empty or has a forbidden character")
        }
        let value = line[(colon + 1)...]
        guard value.allSatisfy({ $0 == 0x09 || ($0 >= 0x20 && $0 != 0x7F) }) else {
            throw WireError("a header field's value has a control character")
        }
        guard let text = String(validating: value, as: UTF8.self) ?? (takesLatin1 ? latin1(Array(value)) : nil) else {
            throw WireError("a header field's value is not valid UTF-8")
        }
        headers.append(String(decoding: name, as: UTF8.self), String(trimmed(text[...])))
    }
}

/// ISO 8859-1, whose bytes are the first 256 code points.
func latin1(_ bytes: [UInt8]) -> String { String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) })) }

/// How the end of a body is found.
package enum BodyFraming: Sendable, Equatable {
    case none
    /// Bytes.
    case length(Int)
    case chunked
    /// Only in answers: up to the end of the connection.
    case untilClose

    /// RFC 9112 section 6.3 without its leniencies: nil when neither field is there.
    init?(headers: Headers, minorVersion: Int) throws(WireError) {
        let codings = headers.all("transfer-encoding")
        let lengths = headers.all("content-length")
        if !codings.isEmpty {
            guard lengths.isEmpty else { throw WireError("it has both Content-Length and Transfer-Encoding") }
            guard minorVersion >= 1 else { throw WireError("Transfer-Encoding does not exist in HTTP/1.0") }
            let names = headers.tokens("transfer-encoding")
            guard names.allSatisfy({ $0 == "chunked" }) else {
                throw WireError("only the transfer coding \"chunked\" is known", status: .notImplemented)
            }
            guard names.count == 1 else { throw WireError("Transfer-Encoding must say \"chunked\" once") }
            self = .chunked
            return
        }
        guard let length = lengths.first else { return nil }
        guard lengths.count == 1 else { throw WireError("it has more than one Content-Length") }
        guard !length.isEmpty, length.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else {
            throw WireError("its Content-Length is not a number")
        }
        guard let count = Int(length) else { throw WireError("its Content-Length is beyond all limits", status: .contentTooLarge) }
        self = count == 0 ? .none : .length(count)
    }
}
