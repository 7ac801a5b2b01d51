// Opens a file or folder of weights by its first bytes, whatever it is called.
import SoradModelFile
package import SoradSystem

/// One source of weights on the disk, and the files that were read for it.
package struct CheckpointFile {
    /// Scales applied, names as they are.
    package let source: any TensorSource
    package let stored: any StoredTensors
    package let files: [String]

    /// - Parameter path: a safetensors file, the index of several, a GGUF file, a file of `torch.save`, or a folder of one part.
    /// - Throws: `.notFound`, `.permission`, `.badInput` with one sentence about the file.
    package init(_ path: String) throws(SoradError) {
        if path.hasSuffix(".safetensors.index.json") {
            let name = path.split(separator: "/").last.map(String.init) ?? path
            let folder = path.dropLast(name.count)
            let stem = name.dropLast(".safetensors.index.json".count)
            let source = try SafetensorsSource(folder: folder.isEmpty ? "." : String(folder.dropLast()), stems: [String(stem)])
            (stored, files) = (source, source.files)
        } else {
            stored = try Self.opened(path)
            files = [path]
        }
        source = MLXSource.isStored(stored) ? try MLXSource(stored, at: path) : try ScaledSource(stored)
    }

    private static func opened(_ path: String) throws(SoradError) -> any StoredTensors {
        let head: [UInt8]
        do {
            let file = try MappedFile(path)
            head = MappedRange(file: file, offset: 0, count: min(16, file.size)).array
        }
        if head.starts(with: Array("GGUF".utf8)) { return try GGUFSource(file: path) }
        if head.starts(with: [0x50, 0x4B, 3, 4]) { return try TorchSource(file: path) }
        if head.starts(with: [0x80, 2]) {
            throw SoradError(
                .badInput, "\(path) is a bare pickle, as torch.save wrote before version 1.6, and only its zip form is read",
                hint: "load and save it with a newer torch, or fetch the weights as safetensors")
        }
        return try SafetensorsSource(file: path)
    }
}
