// The weights of one part of a checkpoint: a single safetensors file, or several with an index. Names are unique across the files, and
// file names from the index stay inside the folder.
public import SoradSystem

/// All tensors of one folder such as `transformer/`.
public struct SafetensorsFolder: Sendable {
    public let path: String
    /// The files that were read, in name order.
    public let files: [SafetensorsFile]
    private let index: [String: SafetensorsTensor]

    /// What diffusers and transformers call the files of weights.
    public static let stems = ["diffusion_pytorch_model", "model"]

    /// Opens `STEM.safetensors`, or the files that `STEM.safetensors.index.json` lists, for the first of `stems` that exists.
    public init(opening path: String, stems: [String] = SafetensorsFolder.stems) throws(SoradError) {
        var files: [SafetensorsFile]?
        for stem in stems where files == nil {
            if fileExists("\(path)/\(stem).safetensors") {
                files = [try SafetensorsFile(opening: "\(path)/\(stem).safetensors")]
            } else if fileExists("\(path)/\(stem).safetensors.index.json") {
                files = try Self.indexed(path, "\(path)/\(stem).safetensors.index.json")
            }
        }
        guard let files else {
            throw SoradError(
                .notFound,
                "\(path) holds no weights: neither \(stems.map { "\($0).safetensors" }.joined(separator: " nor ")), whole or with an index",
                hint: "only safetensors weights are read; fetch the checkpoint in that format")
        }
        var index: [String: SafetensorsTensor] = [:]
        for file in files {
            for tensor in file.tensors {
                guard index.updateValue(tensor, forKey: tensor.name) == nil else {
                    throw SoradError(.badInput, "\(path): the tensor \(tensor.name) is in two files")
                }
            }
        }
        self.path = path
        self.files = files
        self.index = index
    }

    public var names: [String] { index.keys.sorted() }
    public subscript(name: String) -> SafetensorsTensor? { index[name] }

    private static func indexed(_ path: String, _ indexPath: String) throws(SoradError) -> [SafetensorsFile] {
        guard let members = try JSONValue(file: indexPath, limit: 64 << 20)["weight_map"]?.object?.members, !members.isEmpty else {
            throw SoradError(.badInput, "\(indexPath) has no weight_map")
        }
        var names: Set<String> = []
        for member in members {
            guard let name = member.value.string, name.hasSuffix(".safetensors"), !name.contains("/"), !name.hasPrefix("."),
                !name.contains("\0")
            else {
                throw SoradError(
                    .badInput, "\(indexPath) puts the tensor \(member.key) into something that is no safetensors file of its folder")
            }
            names.insert(name)
        }
        var files: [SafetensorsFile] = []
        for name in names.sorted() { files.append(try SafetensorsFile(opening: "\(path)/\(name)")) }
        let found = Set(files.flatMap { $0.tensors.map(\.name) })
        if let missing = members.first(where: { !found.contains($0.key) }) {
            throw SoradError(
                .badInput, "\(indexPath) lists the tensor \(missing.key), and no file holds it", hint: "fetch the checkpoint again")
        }
        return files
    }
}
