// Tensors of safetensors files: one file, or the files of a folder. The only part of the converter that knows the format.
import SoradModelFile
package import SoradSystem

package struct SafetensorsSource: TensorSource {
    package let path: String
    /// The files that were read.
    package let files: [String]
    private let tensors: [String: SafetensorsTensor]

    /// One file.
    package init(file path: String) throws(SoradError) {
        let file = try SafetensorsFile(opening: path)
        self.path = path
        files = [path]
        // A JSON object has each key once, so no name comes twice.
        tensors = Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0) })
    }

    /// The weights of one part of a diffusers folder: one file, or several with an index.
    package init(folder path: String) throws(SoradError) {
        let folder = try SafetensorsFolder(opening: path)
        self.path = path
        files = folder.files.map(\.path)
        tensors = Dictionary(uniqueKeysWithValues: folder.files.flatMap(\.tensors).map { ($0.name, $0) })
    }

    package var names: [String] { Array(tensors.keys) }
    package func shape(of name: String) -> [Int]? { tensors[name]?.shape }
    package func location(of name: String) -> String { tensors[name]?.bytes.file.path ?? path }

    package func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] {
        guard let tensor = tensors[name] else { preconditionFailure("\(path) has no tensor \(name)") }
        return try tensor.floats(range)
    }
}
