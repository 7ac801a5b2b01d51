// Parts of a form to fields: `name`, `list[]` or `list[0]`, `object[a][b]`; text stays in memory, a long file goes to disk.
import SoradSystem

struct FormBuilder {
    private enum Step {
        case key(String)
        case element
    }

    private struct OpenPart {
        let header: PartHeader
        var bytes: [UInt8] = []
        var file: TemporaryFile?
        var size = 0
    }

    private(set) var members: [String: Fields.Value] = [:]
    private var part: OpenPart?
    private let limits: MultipartLimits
    private let directory: String?
    private let space: UploadSpace?
    private let user: UInt32
    private static let depth = 4

    /// - Parameters:
    ///   - uploadSpace: that files on disk are held to.
    ///   - user: whose form it is.
    init(limits: MultipartLimits, uploadDirectory: String?, uploadSpace: UploadSpace? = nil, user: UInt32 = 0) {
        self.limits = limits
        directory = uploadDirectory
        space = uploadSpace
        self.user = user
    }

    /// Bytes that were ever put into memory; those of a file that went to disk later stay counted, so that the number never falls.
    private(set) var bytesInMemory = 0

    mutating func take(_ event: MultipartParser.Event) throws(APIError) {
        switch event {
        case .part(let header): part = OpenPart(header: header)
        case .bytes(let bytes): try append(bytes)
        case .partEnd: try closePart()
        case .end: break
        }
    }

    private mutating func append(_ bytes: [UInt8]) throws(APIError) {
        guard var open = part else { preconditionFailure("content outside a part") }
        part = nil
        open.size += bytes.count
        if open.header.fileName == nil {
            guard open.size <= limits.textField else {
                throw APIError(
                    .contentTooLarge, "the field \"\(open.header.name)\" has more than \(limits.textField) bytes", param: open.header.name,
                    code: "field_too_large")
            }
            open.bytes += bytes
            bytesInMemory += bytes.count
        } else {
            try store(bytes, in: &open)
        }
        part = open
    }

    private mutating func store(_ bytes: [UInt8], in open: inout OpenPart) throws(APIError) {
        do throws(SoradError) {
            if let file = open.file {
                try file.append(bytes)
                return
            }
            open.bytes += bytes
            bytesInMemory += min(bytes.count, limits.fileInMemory)
            guard open.size > limits.fileInMemory else { return }
            guard let directory else {
                throw SoradError(.badInput, "a file here may have at most \(limits.fileInMemory) bytes", param: open.header.name)
            }
            let file = try TemporaryFile(directory: directory, share: try space?.share(of: user))
            try file.append(open.bytes)
            open.file = file
            open.bytes = []
        } catch {
            guard error.kind == .badInput else { throw APIError(error) }
            throw APIError(.contentTooLarge, error.message, param: error.param, code: "file_too_large")
        }
    }

    private mutating func closePart() throws(APIError) {
        guard let open = part else { preconditionFailure("the end of no part") }
        part = nil
        let value: Fields.Value
        if let fileName = open.header.fileName {
            // What a browser sends for a field in which no file was chosen.
            if fileName.isEmpty && open.size == 0 { return }
            let storage: Upload.Storage = open.file.map { .file($0) } ?? .memory(open.bytes)
            value = .file(
                Upload(clientFileName: fileName, claimedContentType: open.header.contentType, size: open.size, storage: storage))
        } else {
            value = .text(try FormBuilder.text(open))
        }
        let (name, steps) = try FormBuilder.steps(open.header.name)
        try FormBuilder.insert(value, at: name, steps[...], into: &members, fullName: open.header.name)
    }

    /// The part's text in the charset that it names, which is UTF-8 if it names none (RFC 7578, 4.4 and 5.1.2).
    private static func text(_ part: OpenPart) throws(APIError) -> String {
        let charset = part.header.contentType.flatMap { ParameterizedValue($0)?.parameters["charset"]?.lowercased() } ?? "utf-8"
        let text: String?
        switch charset {
        case "utf-8", "utf8", "us-ascii": text = String(validating: part.bytes, as: UTF8.self)
        case "iso-8859-1", "latin1": text = latin1(part.bytes)
        default: text = nil
        }
        if let text { return text }
        throw APIError(
            .badRequest, "the field \"\(part.header.name)\" is not valid UTF-8; send text in UTF-8, or a file with a file name",
            param: part.header.name, code: "invalid_value")
    }

    /// "a[b][]" is a, then the member b, then a new element; so is "a[b][0]".
    private static func steps(_ name: String) throws(APIError) -> (String, [Step]) {
        let malformed = APIError(
            .badRequest, "the field name \"\(name.prefix(64))\" is malformed; write name, name[] or name[member]",
            param: String(name.prefix(64)),
            code: "invalid_name")
        let head = name.prefix { $0 != "[" }
        var rest = name[head.endIndex...]
        guard !head.isEmpty, !head.contains("]") else { throw malformed }
        var steps: [Step] = []
        while !rest.isEmpty {
            guard rest.first == "[", let end = rest.firstIndex(of: "]"), steps.count < depth else { throw malformed }
            let key = rest[rest.index(after: rest.startIndex)..<end]
            guard !key.contains("[") else { throw malformed }
            steps.append(key.utf8.allSatisfy { (0x30...0x39).contains($0) } ? .element : .key(String(key)))
            rest = rest[rest.index(after: end)...]
        }
        // An element's own members could not be told apart: `a[][b]` is refused.
        guard !steps.dropLast().contains(where: { if case .element = $0 { true } else { false } }) else { throw malformed }
        return (String(head), steps)
    }

    private static func insert(
        _ value: Fields.Value, at name: String, _ steps: ArraySlice<Step>, into members: inout [String: Fields.Value], fullName: String
    ) throws(APIError) {
        let clash = APIError(
            .badRequest, "the field \"\(fullName)\" appears twice or in two shapes; for a list write \"\(name)[]\"", param: fullName,
            code: "duplicate_field")
        switch (steps.first, members[name]) {
        case (nil, nil): members[name] = value
        case (.element?, nil): members[name] = .list([value])
        case (.element?, .list(let elements)?): members[name] = .list(elements + [value])
        case (.key(let key)?, nil):
            var inner: [String: Fields.Value] = [:]
            try insert(value, at: key, steps.dropFirst(), into: &inner, fullName: fullName)
            members[name] = .object(inner)
        case (.key(let key)?, .object(var inner)?):
            try insert(value, at: key, steps.dropFirst(), into: &inner, fullName: fullName)
            members[name] = .object(inner)
        default: throw clash
        }
    }
}

extension Fields {
    /// The items of a query string, under the same naming rules as a form's parts.
    package init(query: [RequestTarget.QueryItem]) throws(APIError) {
        let limits = MultipartLimits()
        guard query.count <= limits.parts else {
            throw APIError(
                .badRequest, "the query string has \(query.count) fields; at most \(limits.parts) are taken", code: "invalid_value")
        }
        var builder = FormBuilder(limits: limits, uploadDirectory: nil)
        for item in query where !item.name.isEmpty {
            try builder.take(.part(PartHeader(name: item.name)))
            try builder.take(.bytes(Array(item.value.utf8)))
            try builder.take(.partEnd)
        }
        self.init(members: builder.members)
    }
}
