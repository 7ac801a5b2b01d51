// Content with validators and ranges: RFC 9110 sections 13 and 14, for one file.

extension Response {
    /// The file, or the part that `request` asks for.
    /// - Parameter entityTag: an opaque text without quotes that changes with the content, e.g. its SHA-256.
    /// 304 when `If-None-Match` has the tag, 412 when `If-Match` has not, 206 with `Content-Range` for one satisfiable range, 416 for one
    /// that is not; a `Range` of several parts, of another unit, malformed, or outdated by `If-Range` gets the whole file.
    public static func file(_ file: OpenFile, contentType: String, entityTag: String, for request: Request) -> Response {
        let tag = "\"\(entityTag)\""
        var headers: Headers = ["etag": tag, "accept-ranges": "bytes"]
        if let condition = request.headers["if-match"], !matches(condition, tag, weak: false) {
            return APIError(.preconditionFailed, "the content has changed; ask for it without If-Match", code: "precondition_failed")
                .response
        }
        if let condition = request.headers["if-none-match"], matches(condition, tag, weak: true) {
            return Response(.notModified, headers: headers)
        }
        headers.append("content-type", contentType)
        let whole = Response(headers: headers, body: .file(FileRegion(file, offset: 0, length: file.size)))
        let ranges = request.headers.all("range")
        guard request.method == .get, ranges.count == 1, request.headers["if-range"].map({ $0 == tag }) ?? true else { return whole }
        switch ByteRange.parse(ranges[0], size: file.size) {
        case .ignored: return whole
        case .unsatisfiable:
            var response = APIError(
                .rangeNotSatisfiable, "the range lies outside the content, which has \(file.size) bytes", code: "range_not_satisfiable"
            ).response
            response.headers.append("content-range", "bytes */\(file.size)")
            return response
        case .range(let range):
            headers.append("content-range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(file.size)")
            return Response(.partialContent, headers: headers, body: .file(FileRegion(file, offset: range.lowerBound, length: range.count)))
        }
    }

    /// Whether the list of entity tags in a condition has `tag`. `*` matches anything; a weak tag only where `weak` says so.
    static func matches(_ condition: String, _ tag: String, weak: Bool) -> Bool {
        condition.split(separator: ",").contains { candidate in
            var candidate = trimmed(candidate)
            if candidate == "*" { return true }
            if weak && candidate.hasPrefix("W/") { candidate = candidate.dropFirst(2) }
            return candidate == tag
        }
    }
}

/// One range of bytes out of a `Range` field.
enum ByteRange: Equatable {
    case range(Range<Int>)
    case unsatisfiable
    case ignored

    /// RFC 9110 section 14.1.2: `bytes=a-b`, `bytes=a-`, `bytes=-n`.
    static func parse(_ value: String, size: Int) -> ByteRange {
        let text = value.lowercased()
        guard text.hasPrefix("bytes=") else { return .ignored }
        let parts = trimmed(text.dropFirst(6)).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return .ignored }
        guard let first = position(parts[0]), let last = position(parts[1]) else { return .ignored }
        switch (first, last) {
        case (nil, nil): return .ignored
        case (nil, let length?): return length == 0 || size == 0 ? .unsatisfiable : .range(max(0, size - length)..<size)
        case (let start?, nil): return start < size ? .range(start..<size) : .unsatisfiable
        case (let start?, let end?):
            guard start <= end else { return .ignored }
            return start < size ? .range(start..<min(size - 1, end) + 1) : .unsatisfiable
        }
    }

    /// Digits, `.some(nil)` for an empty text, nil for anything else; saturates at the largest Int.
    private static func position(_ text: Substring) -> Int?? {
        if text.isEmpty { return .some(nil) }
        guard text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else { return nil }
        return .some(Int(text) ?? Int.max)
    }
}
