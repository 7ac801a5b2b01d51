// The target of a request: RFC 9112 section 3.2 and RFC 3986, decoded exactly once.

package struct RequestTarget: Sendable, Equatable {
    /// Decoded segments; "/a/b" is ["a", "b"]. A decoded "/" stays inside its segment, where no route matches it.
    package var segments: [String]
    /// Decoded names and values in order.
    package var query: [QueryItem]
    /// The host and port of a target in absolute form, which then count and not those of Host; nil in origin form.
    package var authority: String?

    package struct QueryItem: Sendable, Equatable {
        package var name: String
        package var value: String
    }

    static let root = RequestTarget(segments: [""], query: [])

    private init(segments: [String], query: [QueryItem]) {
        self.segments = segments
        self.query = query
    }

    /// Origin form, or absolute form with the scheme http, which a server must take too.
    init(_ bytes: ArraySlice<UInt8>) throws(WireError) {
        guard bytes.allSatisfy(RequestTarget.isAllowed) else { throw WireError("its target has a character that must be percent-encoded") }
        var rest = bytes
        if rest.first != UInt8(ascii: "/") {
            let parts = try RequestTarget.splitAbsoluteForm(rest)
            authority = parts.authority
            rest = parts.path
        }
        let mark = rest.firstIndex(of: UInt8(ascii: "?"))
        let path = rest[..<(mark ?? rest.endIndex)]
        segments = []
        for part in path.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            segments.append(try RequestTarget.decode(part, plusIsSpace: false))
        }
        query = []
        guard let mark else { return }
        for part in rest[(mark + 1)...].split(separator: UInt8(ascii: "&")) {
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            query.append(
                QueryItem(
                    name: try RequestTarget.decode(part[..<equals], plusIsSpace: true),
                    value: try RequestTarget.decode(part[equals...].dropFirst(), plusIsSpace: true)))
        }
    }

    package var path: String { "/" + segments.joined(separator: "/") }

    private static func splitAbsoluteForm(
        _ bytes: ArraySlice<UInt8>
    ) throws(WireError) -> (authority: String, path: ArraySlice<UInt8>) {
        let scheme = Array("http://".utf8)
        let start = bytes.prefix(scheme.count).map { $0 | ($0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") ? 0x20 : 0) }
        guard start == scheme else { throw WireError("its target must begin with \"/\"") }
        let rest = bytes.dropFirst(scheme.count)
        let end = rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        guard Authority.isValid(rest[..<end]), Authority.hasHost(rest[..<end]) else { throw WireError("its target names no valid host") }
        let path = rest[end...]
        return (String(decoding: rest[..<end], as: UTF8.self), path.first == UInt8(ascii: "/") ? path : [UInt8(ascii: "/")] + path)
    }

    /// unreserved, sub-delims, ":", "@", "/", "?", "%", and brackets for hosts and field names.
    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "#"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\\"), UInt8(ascii: "^"),
            UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
            false
        default: byte > 0x20 && byte < 0x7F
        }
    }

    private static func decode(_ bytes: ArraySlice<UInt8>, plusIsSpace: Bool) throws(WireError) -> String {
        var decoded: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            switch bytes[index] {
            case UInt8(ascii: "%"):
                guard index + 2 < bytes.endIndex, let high = hexDigit(bytes[index + 1]), let low = hexDigit(bytes[index + 2]) else {
                    throw WireError("its target has a broken percent-encoding")
                }
                decoded.append(high << 4 | low)
                index += 3
            case UInt8(ascii: "+") where plusIsSpace:
                decoded.append(0x20)
                index += 1
            case let byte:
                decoded.append(byte)
                index += 1
            }
        }
        guard !decoded.contains(0) else { throw WireError("its target has an encoded NUL") }
        guard let text = String(validating: decoded, as: UTF8.self) else { throw WireError("its target is not valid UTF-8 once decoded") }
        return text
    }
}

/// For building targets: every byte outside `A-Z a-z 0-9 - . _ ~` encoded.
public func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var encoded: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
            encoded.append(byte)
        default: encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: encoded, as: UTF8.self)
}
