// Writes small safetensors files: reference tensors, captured activations, fixtures. Everything is in memory; all tensors are F32.
public import SoradSystem

/// Tensors to write, in the order of the data.
public struct SafetensorsWriter {
    private var members = JSONObject()
    private var data: [[Float]] = []
    private var offset = 0

    public init() {}

    /// Adds a tensor; `shape` is slowest first and must multiply to the number of values.
    public mutating func add(_ name: String, shape: [Int], _ values: [Float]) {
        precondition(members[name] == nil, "\(name) twice")
        precondition(checkedProduct(shape) == values.count, "\(name): \(values.count) values for the shape \(shape)")
        let end = offset + values.count * 4
        members[name] = [
            "dtype": "F32", "shape": .array(shape.map { .integer($0) }), "data_offsets": [.integer(offset), .integer(end)],
        ]
        data.append(values)
        offset = end
    }

    /// Writes the file at `path`, over what was there.
    public func write(to path: String) throws(SoradError) {
        var header = Array(JSONValue.object(members).text().utf8)
        while header.count % 8 != 0 { header.append(0x20) }
        var file = try AtomicFile(path)
        var length: [UInt8] = []
        for shift in stride(from: 0, to: 64, by: 8) { length.append(UInt8(truncatingIfNeeded: header.count >> shift)) }
        try file.write(length)
        try file.write(header)
        for values in data { try unsafe file.write(values.span.bytes) }
        try file.commit()
    }
}
