// What the model tests share: the committed checkpoints, converted once per precision, and their reference tensors.
// The fixtures are written by quantization/reference/write_fixtures.py; recipe.json next to them has command, seed and versions.
import Glibc
import SoradCPU
import SoradConverter
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport

enum Precision: String, CaseIterable, Sendable {
    case float
    /// The text encoder too.
    case int8
    /// The transformer int8, the text encoder of 10 bits: what the converter makes without options.
    case usual
}

struct Fixture {
    let name: String
    let reference: [String: SafetensorsTensor]

    init(_ name: String) throws {
        self.name = name
        let file = try SafetensorsFile(opening: Self.folder + "/\(name)/reference.safetensors")
        reference = Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0) })
    }

    static let names = ["tiny", "tiny-outliers"]
    static let folder =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(separator: "/") + "/Fixtures/models"

    /// A reference tensor.
    func tensor(_ name: String) throws -> Tensor {
        guard let found = reference[name] else { throw SoradError(.notFound, "no reference tensor \(name)") }
        let values = try found.floats()
        let s = found.shape
        switch s.count {
        case 1: return Tensor(Shape(s[0]), values)
        case 2: return Tensor(Shape(s[0], s[1]), values)
        case 3: return Tensor(Shape(s[0], s[1], s[2]), values)
        case 4: return Tensor(Shape(s[0], s[1], s[2], s[3]), values)
        default: throw SoradError(.badInput, "\(name) has \(s.count) axes")
        }
    }

    /// What a linear layer read in the reference forward, [32, K]. Keys and values read what the layer stored in their place reads.
    func linearInput(_ layer: String) throws -> Tensor {
        let parts = layer.split(separator: ".")
        let block = parts.prefix(3).joined(separator: ".")
        switch parts.suffix(2).joined(separator: ".") {
        case "attn1.to_k", "attn1.to_v": return try tensor("linear.\(block).to_q.input")
        case "attn2.to_v": return try tensor("linear.\(block).to_k.input")
        default: return try tensor("linear.\(layer).input")
        }
    }

    /// The converted checkpoint. The int8 one is made with the captured layer inputs, so that the converter knows the outliers.
    func modelFile(_ precision: Precision, int8Decoder: Bool = false, attentionProbs16: Bool = false) throws -> ModelFile {
        let folder = try temporaryFolder()
        var options = ConversionOptions()
        options.created = 0
        options.float = precision == .float
        options.int8TextEncoder = precision == .int8
        options.int8Decoder = int8Decoder
        options.attentionProbs16 = attentionProbs16
        if precision == .int8 {
            var writer = SafetensorsWriter()
            for name in reference.keys.sorted() where name.hasPrefix("linear.") && name.hasSuffix(".output") {
                let layer = String(name.dropFirst("linear.".count).dropLast(".output".count))
                let input = try linearInput(layer)
                writer.add("dit." + layer, shape: [input.shape[0], input.shape[1]], input.elements)
            }
            options.calibration = folder + "/\(name)-calibration.safetensors"
            try writer.write(to: options.calibration!)
        }
        let path = folder + "/\(name)-\(precision.rawValue).gguf"
        _ = try Converter.convert(Self.folder + "/" + name, to: path, options: options)
        let file = try ModelFile(opening: path)
        for name in [options.calibration, path].compactMap({ $0 }) { unsafe unlink(name) }
        unsafe rmdir(folder)
        return file
    }

    func model(_ precision: Precision = .float, backend: (any ComputeBackend)? = nil) throws -> VideoModel {
        try VideoModel(file: modelFile(precision), backend: backend ?? CPUBackend(threads: 2))
    }
}

/// A folder of this test's own.
func temporaryFolder() throws -> String {
    var template = Array("/tmp/sorad-model-tests-XXXXXX".utf8CString)
    guard unsafe template.withUnsafeMutableBufferPointer({ unsafe mkdtemp($0.baseAddress!) != nil }) else {
        throw SoradError(.unavailable, "cannot make a folder in /tmp")
    }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

func cosine(_ a: [Float], _ b: [Float]) -> Double {
    var ab = 0.0
    var aa = 0.0
    var bb = 0.0
    for (x, y) in zip(a, b) {
        ab += Double(x) * Double(y)
        aa += Double(x) * Double(x)
        bb += Double(y) * Double(y)
    }
    return ab / (aa * bb).squareRoot()
}

/// A backend for every instruction set of this machine, for the best of them also with 2 and 3 threads, and one of a device.
func everyBackend() throws -> [any ComputeBackend] {
    let factories =
        InstructionSet.available.map { BackendFactory.cpu(threads: 1, instructionSet: $0) }
        + [2, 3].map { BackendFactory.cpu(threads: $0) }
        + [DeferredBackend.factory]
    return try factories.map { try $0.make() }
}

extension VideoModel {
    /// The network of a model of the Wan family.
    var wan: WanTransformer { network as! WanTransformer }
}
