// Tensors of safetensors files: one file, or the files of a folder. The only part of the converter that knows the format.
import SoradModelFile
package import SoradSystem

package struct SafetensorsSource: StoredTensors {
    package let path: String
    /// The files that were read.
    package let files: [String]
    /// `__metadata__` of all files.
    package let properties: [String: String]
    private let tensors: [String: SafetensorsTensor]

    /// One file.
    package init(file path: String) throws(SoradError) {
        let file = try SafetensorsFile(opening: path)
        self.path = path
        files = [path]
        properties = file.properties
        // A JSON object has each key once, so no name comes twice.
        tensors = Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0) })
    }

    /// The weights of one part of a diffusers folder: one file, or several with an index.
    /// - Parameter stems: what the file may be called, without its ending.
    package init(folder path: String, stems: [String] = SafetensorsFolder.stems) throws(SoradError) {
        let folder = try SafetensorsFolder(opening: path, stems: stems)
        self.path = path
        files = folder.files.map(\.path)
        properties = folder.files.reduce(into: [:]) { $0.merge($1.properties) { first, _ in first } }
        tensors = Dictionary(uniqueKeysWithValues: folder.files.flatMap(\.tensors).map { ($0.name, $0) })
    }

    package var names: [String] { Array(tensors.keys) }
    package func shape(of name: String) -> [Int]? { tensors[name]?.shape }
    package func location(of name: String) -> String { tensors[name]?.bytes.file.path ?? path }

    package func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] {
        guard let tensor = tensors[name] else { preconditionFailure("\(path) has no tensor \(name)") }
        let elementSize = SafetensorsFile.dtypes[tensor.dtype] ?? 0
        let bytes = MappedRange(
            file: tensor.bytes.file, offset: tensor.bytes.offset + range.lowerBound * elementSize, count: range.count * elementSize)
        return try StoredNumbers.floats(bytes, type: tensor.dtype, place: "\(tensor.bytes.file.path): the tensor \(name)")
    }

    package func elementType(of name: String) -> String { tensors[name]?.dtype ?? "" }
    package func range(of name: String) -> MappedRange? { tensors[name]?.bytes }
}
