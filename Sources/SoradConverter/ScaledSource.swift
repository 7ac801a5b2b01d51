// Weights that a checkpoint stores in 8 bits with scales next to them, as floats: every spelling of the scales becomes one multiplication.
//
//   X.weight          F8_E4M3 or F8_E5M2 without any scale in the file: a plain cast
//   X.scale_weight    with `X.weight`: one number (ComfyUI's older files, marked by a tensor `scaled_fp8`)
//   X.weight_scale    with `X.weight`: one number, or one per row [N] or [N, 1] (ComfyUI's newer files, LightX2V)
//   X.scale           with `X.int8_weight`: one per 128×128 block [⌈N/128⌉, ⌈K/128⌉] (TurboDiffusion)
//   X.comfy_quant     a JSON text that names the format; with "convrot" the rows of an int8 weight went through our own Hadamard transform
//
// Invariant: no 8-bit weight is read without its scale, in a file that has any; and all that is hidden here has been understood.
import SoradModelFile
package import SoradSystem

package struct ScaledSource: TensorSource {
    private let source: any StoredTensors
    /// Tensors by their names here; a weight that is not scaled has no scale.
    private let tensors: [String: Weight]

    private struct Weight {
        /// Name in the source.
        let name: String
        let scale: Scale?
        /// Group of the Hadamard transform that its rows went through.
        var rotation: Int?
    }

    private struct Scale {
        let name: String
        let form: Form
        enum Form { case one, rows, blocks }
    }

    /// Elements along a side of a block with one scale.
    private static let blockSide = 128
    private static let float8 = ["F8_E4M3", "F8_E5M2"]
    /// What stands next to weights and is no weight: scales of activations, which sorad computes itself, and descriptions.
    private static let besides = [".scale_input", ".input_scale", ".comfy_quant", ".weight_scale", ".scale_weight"]
    private static let marker = "scaled_fp8"

    /// - Throws: `.badInput` when a scale fits no weight, a weight lacks its scale, or the format is not read.
    package init(_ source: any StoredTensors) throws(SoradError) {
        self.source = source
        let names = Set(source.names)
        let formats = try QuantizedFormats(source)
        let hasScales = names.contains { name in
            name == Self.marker || name.hasSuffix("." + Self.marker) || Self.besides.suffix(2).contains(where: name.hasSuffix)
        }
        var tensors: [String: Weight] = [:]
        for name in names.sorted() where !Self.isBeside(name, names) {
            let layer = name.hasSuffix("weight") ? String(name.dropLast("weight".count)) : nil
            let format = layer.flatMap { formats[String($0.dropLast())] }
            guard let layer, let weight = try Self.scaled(source, name, layer, names, format) else {
                let type = source.elementType(of: name)
                guard !(hasScales && Self.float8.contains(type)), type != "I8", type != "U8" || name.hasSuffix("spiece_model"),
                    format == nil
                else {
                    throw Self.bad(source, name, "is \(type) and has no scale that is known here", "")
                }
                tensors[name] = Weight(name: name, scale: nil, rotation: nil)
                continue
            }
            let plain = name.hasSuffix(".int8_weight") ? String(name.dropLast("int8_weight".count)) + "weight" : name
            guard tensors.updateValue(weight, forKey: plain) == nil else { throw Self.bad(source, name, "is there twice", "") }
        }
        self.tensors = tensors
    }

    private static func isBeside(_ name: String, _ names: Set<String>) -> Bool {
        if name == marker || name.hasSuffix("." + marker) { return true }
        if let suffix = besides.first(where: name.hasSuffix) {
            let layer = name.dropLast(suffix.count)
            return names.contains(layer + ".weight") || names.contains(layer + ".int8_weight")
        }
        return name.hasSuffix(".scale") && names.contains(name.dropLast("scale".count) + "int8_weight")
    }

    /// The weight `name` = `layer` + "weight" with its scale; nil where there is none.
    private static func scaled(
        _ source: any StoredTensors, _ name: String, _ layer: String, _ names: Set<String>, _ format: QuantizedFormats.Format?
    ) throws(SoradError) -> Weight? {
        let type = source.elementType(of: name)
        if let format, !format.isRead {
            throw bad(source, name, "is of the format \(format.name)", "use a checkpoint in fp8, int8, bf16 or GGUF")
        }
        let isBlocks = layer.hasSuffix(".int8_")
        let candidates = isBlocks ? [layer.dropLast("int8_".count) + "scale"] : ["\(layer)weight_scale", "\(layer)scale_weight"]
        let present = candidates.filter { names.contains($0) }
        guard let scale = present.first else { return nil }
        guard present.count == 1 else { throw bad(source, name, "has two scales", "") }
        guard float8.contains(type) || type == "I8", let shape = source.shape(of: name), let scaleShape = source.shape(of: scale),
            let count = checkedProduct(scaleShape)
        else { throw bad(source, name, "is \(type) and has a scale", "use a checkpoint in fp8, int8, bf16 or GGUF") }
        let form: Scale.Form
        if isBlocks {
            guard shape.count == 2, scaleShape == shape.map({ ($0 + blockSide - 1) / blockSide }) else {
                throw bad(source, name, "of shape \(shape) has scales of shape \(scaleShape), not one for each block of 128×128", "")
            }
            form = .blocks
        } else if count == 1 {
            form = .one
        } else {
            guard count == shape.first, scaleShape.first == count else {
                throw bad(source, name, "of shape \(shape) has scales of shape \(scaleShape), not one or one per row", "")
            }
            form = .rows
        }
        var weight = Weight(name: name, scale: Scale(name: scale, form: form), rotation: nil)
        if let group = format?.rotation {
            guard type == "I8", shape.count == 2, shape[1] % group == 0, isHadamardGroup(group) else {
                throw bad(source, name, "of shape \(shape) cannot be rotated in groups of \(group)", "")
            }
            weight.rotation = group
        }
        return weight
    }

    private static func isHadamardGroup(_ group: Int) -> Bool { [4, 16, 64, 256, 1024].contains(group) }

    package var path: String { source.path }
    package var names: [String] { Array(tensors.keys) }
    package func shape(of name: String) -> [Int]? { tensors[name].flatMap { source.shape(of: $0.name) } }
    package func location(of name: String) -> String { tensors[name].map { source.location(of: $0.name) } ?? path }
    package func range(of name: String) -> MappedRange? { tensors[name].flatMap { source.range(of: $0.name) } }

    package func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] {
        guard let weight = tensors[name] else { preconditionFailure("\(path) has no tensor \(name)") }
        guard let scale = weight.scale, !range.isEmpty, let shape = source.shape(of: weight.name) else {
            return try source.floats(of: weight.name, in: range)
        }
        // A rotation needs whole groups, which never cross rows.
        let group = weight.rotation ?? 1
        let wide = range.lowerBound / group * group..<(range.upperBound + group - 1) / group * group
        var values = try source.floats(of: weight.name, in: wide)
        let scales = try source.floats(of: scale.name, in: 0..<(source.shape(of: scale.name) ?? []).reduce(1, *))
        switch scale.form {
        case .one: for i in values.indices { values[i] *= scales[0] }
        case .rows:
            let width = shape.dropFirst().reduce(1, *)
            var i = 0
            while i < values.count {
                let row = (wide.lowerBound + i) / width
                let end = min(values.count, (row + 1) * width - wide.lowerBound)
                while i < end {
                    values[i] *= scales[row]
                    i += 1
                }
            }
        case .blocks:
            let (width, blocks) = (shape[1], (shape[1] + Self.blockSide - 1) / Self.blockSide)
            for i in values.indices {
                let (row, column) = ((wide.lowerBound + i) / width, (wide.lowerBound + i) % width)
                values[i] *= scales[row / Self.blockSide * blocks + column / Self.blockSide]
            }
        }
        if let rotation = weight.rotation { rotateHadamard(&values, group: rotation) }
        return wide == range ? values : Array(values[(range.lowerBound - wide.lowerBound)...].prefix(range.count))
    }

    package func int8Rows(of name: String) throws(SoradError) -> Int8Rows? {
        guard let weight = tensors[name], let scale = weight.scale, scale.form != .blocks, source.elementType(of: weight.name) == "I8",
            let shape = source.shape(of: weight.name), shape.count == 2, let count = source.shape(of: scale.name)?.reduce(1, *)
        else { return nil }
        let scales = try source.floats(of: scale.name, in: 0..<count)
        return Int8Rows(
            source: source, name: weight.name, scales: scale.form == .one ? Array(repeating: scales[0], count: shape[0]) : scales,
            rotation: weight.rotation)
    }

    private static func bad(_ source: any StoredTensors, _ name: String, _ what: String, _ hint: String) -> SoradError {
        SoradError(.badInput, "\(source.location(of: name)): the tensor \(name) \(what)", hint: hint.isEmpty ? nil : hint)
    }
}

/// What ComfyUI's files say about the formats of their layers: a JSON text next to each weight, or one for all in the file's properties.
private struct QuantizedFormats {
    struct Format {
        let name: String
        /// Group of the Hadamard transform, for the rotated forms.
        let rotation: Int?

        var isRead: Bool { ["float8_e4m3fn", "float8_e5m2", "int8_tensorwise"].contains(name) }
    }

    private let layers: [String: Format]
    private static let textLimit = 4096

    init(_ source: any StoredTensors) throws(SoradError) {
        var layers: [String: Format] = [:]
        let suffix = ".comfy_quant"
        for name in source.names where name.hasSuffix(suffix) {
            guard source.elementType(of: name) == "U8", let text = source.range(of: name), text.count <= Self.textLimit else {
                throw SoradError(.badInput, "\(source.location(of: name)): the tensor \(name) is no text")
            }
            layers[String(name.dropLast(suffix.count))] = try Self.format(
                JSONValue(parsing: text.array, name: "\(source.location(of: name)): the tensor \(name)"),
                "\(source.location(of: name)): the tensor \(name)")
        }
        if let text = source.properties["_quantization_metadata"] {
            let json = try JSONValue(parsing: Array(text.utf8), name: "\(source.path): _quantization_metadata")
            let names = Set(source.names)
            for member in json["layers"]?.object?.members ?? [] {
                // These names may lack the prefix that the tensors have.
                let layer = names.contains(member.key + ".weight") ? member.key : "model.diffusion_model." + member.key
                layers[layer] = try Self.format(member.value, "\(source.path): _quantization_metadata of \(member.key)")
            }
        }
        self.layers = layers
    }

    subscript(layer: String) -> Format? { layers[layer] }

    private static func format(_ json: JSONValue, _ name: String) throws(SoradError) -> Format {
        guard let format = json["format"]?.string else { throw SoradError(.badInput, "\(name) names no format") }
        guard json["convrot"]?.bool == true else { return Format(name: format, rotation: nil) }
        guard let group = (json["convrot_groupsize"] ?? .integer(256)).wholeNumber, group > 0 else {
            throw SoradError(.badInput, "\(name) has no usable convrot_groupsize")
        }
        return Format(name: format, rotation: group)
    }
}
