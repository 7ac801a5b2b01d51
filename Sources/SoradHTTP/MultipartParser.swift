// multipart/form-data (RFC 7578 on RFC 2046) as a state machine without I/O: `append` bytes, call `next` until it gives nil.
// Taken as RFC 2046 (5.1.1) asks of receivers: text before the first and after the last boundary, and white space behind a boundary.
// Stricter where nobody needs more: lines end in CR LF, and no multipart lies within.
import SoradSystem

/// A part's header.
package struct PartHeader: Equatable, Sendable {
    package var name: String
    /// Set for a file; only ever shown, never a path.
    package var fileName: String?
    package var contentType: String?
}

package struct MultipartParser {
    package enum Event: Equatable, Sendable {
        case part(PartHeader)
        case bytes([UInt8])
        case partEnd
        case end
    }

    private enum State {
        case firstBoundary
        /// Text before the first boundary.
        case preamble
        case header(HeaderSection)
        case content
        /// After a boundary: "--" for the end, else white space and CR LF for another part.
        case afterBoundary
        case padding
        /// After the last boundary: white space, and CR LF before any text.
        case lastPadding
        case epilogue
    }

    private var buffer: [UInt8] = []
    private var start = 0
    private var state = State.firstBoundary
    private var parts = 0
    /// CR LF "--" boundary.
    private let delimiter: [UInt8]
    private let limits: MultipartLimits
    private var skipped = 0
    private var hasPreamble = false
    /// Bytes of a preamble, or of white space behind a boundary.
    private static let skippedLimit = 4096

    /// `boundary`: 1…70 characters, see `boundary(of:)`.
    package init(boundary: String, limits: MultipartLimits) {
        delimiter = Array("\r\n--\(boundary)".utf8)
        self.limits = limits
    }

    /// The boundary of a multipart/form-data type; nil when it has none or a malformed one (RFC 2046 section 5.1.1).
    static func boundary(of type: ParameterizedValue) -> String? {
        guard let boundary = type.parameters["boundary"], (1...70).contains(boundary.utf8.count), !boundary.hasSuffix(" ") else {
            return nil
        }
        let marks = Set("'()+_,-./:=? ".utf8)
        let isAllowed = boundary.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: marks.contains(byte)
            }
        }
        return isAllowed ? boundary : nil
    }

    package mutating func append(_ bytes: [UInt8]) {
        if start > 0 {
            buffer.removeFirst(start)
            start = 0
        }
        buffer += bytes
    }

    private var rest: ArraySlice<UInt8> { buffer[start...] }

    /// The form has ended properly; whatever comes before is a truncated form.
    package var isComplete: Bool {
        switch state {
        case .epilogue: true
        case .lastPadding: rest.isEmpty
        default: false
        }
    }

    package mutating func next() throws(APIError) -> Event? {
        while true {
            switch state {
            case .firstBoundary:
                // The form begins with the delimiter less its CR LF, or with a preamble.
                let opening = delimiter.dropFirst(2)
                guard rest.prefix(opening.count).elementsEqual(opening.prefix(rest.count)) else {
                    state = .preamble
                    continue
                }
                guard rest.count >= opening.count else { return nil }
                start += opening.count
                state = .afterBoundary
            case .preamble:
                guard try skipPreamble() else { return nil }
            case .afterBoundary:
                guard rest.count >= 2 else { return nil }
                skipped = 0
                guard rest.starts(with: [0x2D, 0x2D]) else {
                    state = .padding
                    continue
                }
                // What begins with other text and has no part is no form: its opening boundary is damaged.
                guard parts > 0 || !hasPreamble else { throw MultipartParser.malformed("it does not begin with its boundary") }
                start += 2
                state = .lastPadding
                return .end
            case .padding:
                try skipPadding()
                guard rest.count >= 2 else { return nil }
                guard rest.starts(with: [0x0D, 0x0A]) else { throw MultipartParser.malformed("a boundary is followed by other characters") }
                start += 2
                parts += 1
                guard parts <= limits.parts else { throw MultipartParser.tooLarge("it has more than \(limits.parts) parts") }
                state = .header(
                    HeaderSection(limits: .init(line: limits.partHeader, fields: 8, bytes: limits.partHeader), takesLatin1: true))
            case .header(var section):
                let complete = try readHeader(&section)
                state = complete ? .content : .header(section)
                return complete ? .part(try MultipartParser.partHeader(section.headers)) : nil
            case .content:
                return takeContent()
            case .lastPadding:
                try skipPadding()
                guard !rest.isEmpty else { return nil }
                guard rest.elementsEqual([0x0D, 0x0A].prefix(rest.count)) || rest.starts(with: [0x0D, 0x0A]) else {
                    throw MultipartParser.malformed("its last boundary is followed by other characters")
                }
                guard rest.count >= 2 else { return nil }
                state = .epilogue
            case .epilogue:
                start = buffer.count
                return nil
            }
        }
    }

    /// Drops text up to the first delimiter; true once that is taken.
    private mutating func skipPreamble() throws(APIError) -> Bool {
        let before = start
        var end = start
        var isFound = false
        start = buffer.count
        while let mark = buffer[end...].firstIndex(of: 0x0D) {
            let candidate = buffer[mark...].prefix(delimiter.count)
            if candidate.elementsEqual(delimiter.prefix(candidate.count)) {
                isFound = candidate.count == delimiter.count
                start = isFound ? mark + delimiter.count : mark
                break
            }
            end = mark + 1
        }
        skipped += start - before
        guard skipped <= MultipartParser.skippedLimit else { throw MultipartParser.malformed("it does not begin with its boundary") }
        if isFound { (state, hasPreamble) = (.afterBoundary, true) }
        return isFound
    }

    private mutating func skipPadding() throws(APIError) {
        while let byte = rest.first, byte == 0x20 || byte == 0x09 {
            start += 1
            skipped += 1
        }
        guard skipped <= MultipartParser.skippedLimit else { throw MultipartParser.malformed("too much white space follows a boundary") }
    }

    private mutating func readHeader(_ section: inout HeaderSection) throws(APIError) -> Bool {
        var queue = ByteQueue()
        queue.append(rest)
        let before = queue.count
        do throws(WireError) {
            let complete = try section.read(from: &queue)
            start += before - queue.count
            return complete
        } catch {
            throw error.status == .headerFieldsTooLarge
                ? MultipartParser.tooLarge("a part's header is larger than \(limits.partHeader) bytes")
                : MultipartParser.malformed("in a part's header, \(error.problem)")
        }
    }

    /// Content up to the next delimiter; keeps back bytes that may begin one.
    private mutating func takeContent() -> Event? {
        var end = start
        while let mark = buffer[end...].firstIndex(of: 0x0D) {
            let candidate = buffer[mark...].prefix(delimiter.count)
            if candidate.elementsEqual(delimiter.prefix(candidate.count)) {
                if mark > start { return takeBytes(upTo: mark) }
                guard candidate.count == delimiter.count else { return nil }
                start += delimiter.count
                state = .afterBoundary
                return .partEnd
            }
            end = mark + 1
        }
        return buffer.count > start ? takeBytes(upTo: buffer.count) : nil
    }

    private mutating func takeBytes(upTo end: Int) -> Event {
        defer { start = end }
        return .bytes(Array(buffer[start..<end]))
    }

    private static func partHeader(_ headers: Headers) throws(APIError) -> PartHeader {
        let dispositions = headers.all("content-disposition")
        guard dispositions.count == 1 else { throw malformed("a part has no Content-Disposition, or several") }
        guard let disposition = ParameterizedValue(dispositions[0]) else {
            throw malformed("a part's Content-Disposition cannot be read; write form-data; name=\"…\"; filename=\"…\"")
        }
        guard disposition.value == "form-data" else { throw malformed("a part's Content-Disposition is not form-data") }
        guard let name = disposition.parameters["name"], (1...256).contains(name.utf8.count) else {
            throw malformed("a part's name is missing, empty or longer than 256 bytes")
        }
        if let encoding = headers["content-transfer-encoding"]?.lowercased(), !["binary", "8bit", "7bit"].contains(encoding) {
            throw malformed("a part has the transfer encoding \"\(encoding.prefix(32))\"; send it as binary")
        }
        let type = headers["content-type"]
        if let type, type.lowercased().hasPrefix("multipart/") { throw malformed("a part is a multipart itself") }
        // A picture needs no name of a file to be one.
        let isMedia = ["image/", "video/"].contains { type?.lowercased().hasPrefix($0) == true }
        return PartHeader(name: name, fileName: fileName(disposition.parameters) ?? (isMedia ? "" : nil), contentType: type)
    }

    /// RFC 7578 (4.2) forbids `filename*` in forms; .NET sends it with every file, so it marks a file too, and its text counts (RFC 8187).
    /// The name is only shown: one that cannot be read is no reason to refuse the file.
    private static func fileName(_ parameters: [String: String]) -> String? {
        let plain = parameters["filename"]
        guard let extended = parameters["filename*"] else { return plain }
        let parts = extended.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let bytes = percentDecoded(Array(parts[2].utf8)) else { return plain ?? "" }
        let text = parts[0].lowercased() == "iso-8859-1" ? latin1(bytes) : String(validating: bytes, as: UTF8.self)
        guard let text, !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return plain ?? "" }
        return text
    }

    static func malformed(_ problem: String) -> APIError {
        APIError(.badRequest, "the multipart form is malformed: \(problem)", code: "malformed_form")
    }

    private static func tooLarge(_ problem: String) -> APIError {
        APIError(.contentTooLarge, "the multipart form is too large: \(problem)", code: "form_too_large")
    }
}
