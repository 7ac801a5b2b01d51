// Shows the content of a model file, for people and as JSON ("sorad.model-file/1").
import SoradModelFile
import SoradSystem
import SoradTensor

struct Inspection {
    let file: ModelFile

    /// Longer arrays and texts are cut in the table; the JSON has the same cut, for a vocabulary belongs in neither.
    private static let shown = 8
    private static let textLimit = 160

    var table: String {
        var text = "\(file.path): \(file.file.size) bytes, sha256 \(file.sha256)\n\n"
        for (key, value) in file.metadata.entries { text += pad(key, 44) + " " + pad(value.typeName, 18) + " " + Self.text(value) + "\n" }
        text += "\n" + pad("TENSOR", 58) + " " + pad("TYPE", 5) + " " + pad("DIMENSIONS", 24) + " BYTES\n"
        for tensor in file.tensors {
            let dims = tensor.dims.map(String.init).joined(separator: "×")
            text += pad(tensor.name, 58) + " " + pad(tensor.type.rawValue, 5) + " " + pad(dims, 24) + " \(tensor.bytes.count)\n"
        }
        return text
    }

    var json: JSONValue {
        var metadata = JSONObject()
        for (key, value) in file.metadata.entries { metadata[key] = ["type": .string(value.typeName), "value": .string(Self.text(value))] }
        let tensors = file.tensors.map { tensor -> JSONValue in
            [
                "name": .string(tensor.name), "type": .string(tensor.type.rawValue), "dimensions": .array(tensor.dims.map { .integer($0) }),
                "offset": .integer(tensor.bytes.offset), "bytes": .integer(tensor.bytes.count),
            ]
        }
        return [
            "schema": "sorad.model-file/1", "file": .string(file.path), "bytes": .integer(file.file.size), "sha256": .string(file.sha256),
            "metadata": .object(metadata), "tensors": .array(tensors),
        ]
    }

    private static func text(_ value: MetadataValue) -> String {
        switch value {
        case .string(let text): shortened(text)
        case .bool(let value): String(value)
        case .float32(let value): String(value)
        case .float64(let value): String(value)
        case .uint8s(let values): list(values.prefix(shown).map { String($0) }, values.count)
        case .int32s(let values): list(values.prefix(shown).map { String($0) }, values.count)
        case .uint32s(let values): list(values.prefix(shown).map { String($0) }, values.count)
        case .float32s(let values): list(values.prefix(shown).map { String($0) }, values.count)
        case .bools(let values): list(values.prefix(shown).map { String($0) }, values.count)
        case .strings(let values): list(values.prefix(shown).map(shortened), values.count)
        default: value.integer.map { String($0) } ?? "?"
        }
    }

    private static func list(_ values: [String], _ count: Int) -> String {
        values.joined(separator: ", ") + (count > values.count ? ", …" : "")
    }

    /// One line: a row of the table stays one.
    private static func shortened(_ text: String) -> String {
        let start = printable(String(String.UnicodeScalarView(text.unicodeScalars.prefix(textLimit))))
        return text.unicodeScalars.count > textLimit ? start + "…" : start
    }

    private func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
}
