// How a request names pictures and clips: a file of the form, a `data:` URL, base64, or a finished job. The daemon fetches nothing.
import SoradAPI
import SoradHTTP
import SoradSystem

/// A clip that a request names.
enum VideoReference {
    case upload(Upload)
    case job(String)
}

extension Fields {
    private static let pictureLimit = 32 << 20
    private static let urlLimit = 48 << 20
    /// Characters of base64 alone; the smallest pictures have more.
    private static let bareLength = 60

    /// A picture under `name`: a file, or `{"image_url": "data:…"}`, or the URL or its base64 alone, or a list of one of these. nil when
    /// there is none.
    func picture(_ name: String) throws(APIError) -> Upload? {
        guard has(name) else { return nil }
        if let upload = try picture(name, of: self, name) { return upload }
        let elements = try list(name)
        guard elements.count == 1, let upload = try elements[0].picture("value", of: self, name) else {
            throw invalid(name, "must be one picture", code: "invalid_type")
        }
        return upload
    }

    /// The pictures under `name`, each as `picture` takes one: a list of them, or one.
    /// - Returns: with the name of each, for refusals.
    func pictures(_ name: String) throws(APIError) -> [(name: String, upload: Upload)] {
        guard has(name) else { return [] }
        let elements = try list(name)
        guard elements.count <= ReferenceFile.references.count else {
            throw invalid(name, "has \(elements.count) pictures; \(ReferenceFile.references.count) are the limit")
        }
        return try elements.enumerated().map { index, element throws(APIError) in
            let place = elements.count == 1 ? name : "\(name)[\(index)]"
            guard let upload = try element.picture("value", of: self, place) else {
                throw invalid(place, "must be a picture", code: "invalid_type")
            }
            return (place, upload)
        }
    }

    /// The picture under `key`; refusals are about the field `name` of `owner`. nil for a list and for what can be no picture.
    private func picture(_ key: String, of owner: Fields, _ name: String) throws(APIError) -> Upload? {
        if isFile(key) { return try owner.limited(file(key), name) }
        if let object = try? object(key) {
            guard !object.has("file_id") else {
                throw owner.invalid(
                    name, "has a file_id, and sorad keeps no files; send the picture itself or a data: URL", code: "unsupported_parameter")
            }
            // The chat calls of the hosted API nest the URL once more.
            let nested = (try? object.object("image_url")) ?? nil
            let place = nested == nil ? "image_url" : "url"
            guard let url = try (nested ?? object).text(place, maxBytes: Fields.urlLimit) else { throw object.missing("image_url") }
            return try owner.limited(owner.picture(url: url, name), name)
        }
        guard let url = try? text(key, maxBytes: Fields.urlLimit) else { return nil }
        return try owner.limited(owner.picture(url: url, name), name)
    }

    /// A clip under `name`: a file, a `data:` URL, or `{"id": "video_…"}`, or the id alone. nil when there is none.
    func video(_ name: String) throws(APIError) -> VideoReference? {
        guard has(name) else { return nil }
        if isFile(name), let upload = try file(name) { return .upload(upload) }
        if let text = try? text(name, maxBytes: Fields.urlLimit) {
            if let bytes = fileContent(text) { return .upload(Upload(bytes: bytes)) }
            guard text.utf8.count <= 1024 else { throw invalid(name, "is neither the id of a video nor a file in base64") }
            return .job(text)
        }
        guard let object = try object(name) else { return nil }
        return .job(try object.requiredText("id", maxBytes: 1024))
    }

    /// The file that a text is: a `data:` URL, or base64 alone where it is longer than any id or address by mistake.
    func fileContent(_ text: String) -> [UInt8]? {
        if let bytes = dataURLContent(text) { return bytes }
        return text.utf8.count >= Fields.bareLength ? percentDecoded(Array(text.utf8)).flatMap { base64Decoded($0) } : nil
    }

    private func picture(url: String, _ name: String) throws(APIError) -> Upload {
        if let bytes = fileContent(url) { return Upload(bytes: bytes) }
        let head = url.prefix(8).lowercased()
        if head.hasPrefix("http:") || head.hasPrefix("https:") {
            throw invalid(
                name, "is a web address, and sorad makes no outgoing connections; send the picture itself or a data: URL",
                code: "unsupported_parameter")
        }
        throw invalid(name, "must be a picture, or a URL of the form data:image/png;base64,…, or the base64 alone")
    }

    private func limited(_ upload: Upload?, _ name: String) throws(APIError) -> Upload {
        guard let upload, upload.size > 0 else { throw invalid(name, "is empty; give a picture") }
        guard upload.size <= Fields.pictureLimit else {
            throw APIError(
                .contentTooLarge, "the field \"\(name)\" has \(upload.size) bytes, and a picture may have \(Fields.pictureLimit)",
                param: name, code: "file_too_large")
        }
        return upload
    }
}
