// Owns the record of a conversion that can be continued: next to FILE.partial, a line for every tensor that is in it, with its form, its row
// of the report and the SHA-256 of its data. Nothing is synced: what a line says is believed only when the data have that hash, so that a
// kill, a full disk or a power cut costs the tensors at the end and nothing else.
import SoradModelFile
import SoradSystem
import SoradTensor

struct ConversionRecord {
    private let path: String

    /// A tensor of the checkpoint that is in the file.
    struct Entry {
        let tensors: [TensorDescription]
        /// Rotations.
        let metadata: [(key: String, value: MetadataValue)]
        let row: ConversionReport.Row
        let sha256: String
    }

    init(besides partial: String) { path = partial + ".log" }

    /// All that decides about the bytes of the file.
    static func identity(_ checkpoint: Checkpoint, _ files: [(name: String, path: String)], _ options: ConversionOptions) -> String {
        var text = "\(Converter.version) \(options.description)\n"
        let others = [options.calibration].compactMap { $0 } + options.loras.map(\.path)
        for path in files.map(\.path) + others {
            let state = (try? FileIdentity(path)).map { "\($0)" } ?? "nothing"
            text += "\(path) \(state)\n"
        }
        for (rule, _) in checkpoint.tensors { text += "\(rule.name) \(rule.shape)\n" }
        return SHA256.hexadecimal(SHA256.hash(Array(text.utf8)))
    }

    /// What is recorded of a conversion with this identity; a line that is damaged ends it.
    func entries(of identity: String) -> [Entry] {
        guard let file = try? MappedFile(path) else { return [] }
        let lines = file.bytes.array.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { Array($0) }
        guard let head = lines.first, let value = try? JSONValue(parsing: head), value["schema"]?.string == Self.schema,
            value["identity"]?.string == identity
        else { return [] }
        var entries: [Entry] = []
        for line in lines.dropFirst() {
            guard let value = try? JSONValue(parsing: line), let entry = Entry(json: value) else { break }
            entries.append(entry)
        }
        return entries
    }

    /// Begins the record with these entries, whatever was in it.
    func begin(_ entries: [Entry], of identity: String) throws(SoradError) {
        let head: JSONValue = ["schema": .string(Self.schema), "identity": .string(identity)]
        let lines = [head.text()] + entries.map { $0.json.text() }
        try write(lines.map { $0 + "\n" }.joined(), replacing: true)
    }

    func append(_ entry: Entry) throws(SoradError) { try write(entry.json.text() + "\n", replacing: false) }

    func remove() { removeFile(path) }

    private static let schema = "sorad.partial-conversion/1"

    private func write(_ text: String, replacing: Bool) throws(SoradError) {
        do throws(Errno) { try appendToFile(path, Array(text.utf8), replacing: replacing) } catch {
            throw error.isOutOfSpace
                ? SoradError(.storageFull, "cannot write \(path): the disk is full", hint: "free some space and try again")
                : SoradError(.cannotWrite, "cannot write \(path): \(error.reason)")
        }
    }
}

extension ConversionRecord.Entry {
    init?(json: JSONValue) {
        guard let row = json["row"].flatMap(ConversionReport.Row.init(json:)), let sha256 = json["sha256"]?.string,
            let tensors = json["tensors"]?.array
        else { return nil }
        self.row = row
        self.sha256 = sha256
        var descriptions: [TensorDescription] = []
        for tensor in tensors {
            guard let name = tensor["name"]?.string, let type = tensor["type"]?.string.flatMap(ElementType.init(rawValue:)),
                let dims = tensor["dims"]?.array?.compactMap(\.wholeNumber), dims.allSatisfy({ $0 > 0 }), checkedProduct(dims + [8]) != nil
            else { return nil }
            descriptions.append(TensorDescription(name: name, type: type, dims: dims))
        }
        self.tensors = descriptions
        var metadata: [(key: String, value: MetadataValue)] = []
        for member in json["rotations"]?.object?.members ?? [] {
            guard let group = member.value.wholeNumber, (1...4096).contains(group) else { return nil }
            metadata.append((member.key, .uint32(UInt32(group))))
        }
        self.metadata = metadata
    }

    var json: JSONValue {
        var rotations = JSONObject()
        for (key, value) in metadata { rotations[key] = .optional(value.integer) }
        return [
            "sha256": .string(sha256),
            "tensors": .array(
                tensors.map { ["name": .string($0.name), "type": .string($0.type.rawValue), "dims": .array($0.dims.map { .integer($0) })] }),
            "rotations": .object(rotations), "row": row.json,
        ]
    }
}
