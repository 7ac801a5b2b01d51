// JSON of a checkpoint: configuration files and safetensors headers. They come from outside, so they are read by the strict parser,
// but they may be larger than what goes over a socket.
public import SoradSystem

extension JSONValue {
    /// Values of any kind in one file.
    private static let fileValueLimit = 10_000_000

    /// Parses the whole of `text`; `name` stands in messages for where it came from.
    /// - Throws: `.badInput` with the name and the byte at fault.
    public init(parsing text: [UInt8], name: String) throws(SoradError) {
        var limits = JSONLimits()
        limits.bytes = text.count
        limits.values = JSONValue.fileValueLimit
        do throws(JSONError) { try self.init(parsing: text, limits: limits) } catch {
            throw SoradError(.badInput, "\(name) is not valid JSON: \(error)")
        }
    }

    /// Parses a file of at most `limit` bytes.
    public init(file path: String, limit: Int = 16 << 20) throws(SoradError) {
        let file = try MappedFile(path)
        guard file.size <= limit else { throw SoradError(.badInput, "\(path) has \(file.size) bytes; at most \(limit) are read") }
        try self.init(parsing: file.bytes.array, name: path)
    }
}
