// The account of a conversion, tensor by tensor: a table for people, and JSON to compare with.
package import SoradModel
public import SoradSystem
public import SoradTensor

/// The account of one conversion.
public struct ConversionReport: Sendable {
    /// One tensor of the checkpoint.
    public struct Row: Sendable {
        /// In the model file.
        public let name: String
        /// PyTorch order, slowest first.
        public let shape: [Int]
        /// As stored.
        public internal(set) var type: ElementType
        public internal(set) var decision: String
        /// Relative L2 error of the stored weights; nil for those that were not rounded to int8.
        public internal(set) var weightError: Double?
        /// Relative L2 error of the layer's output for each form that was tried, in order; rotation nil is none.
        public internal(set) var attempts: [(rotation: Int?, error: Double)] = []
        /// Of the weights as they came, and of the inputs on which the errors are; nil for what is no linear layer.
        public internal(set) var spread: (weights: LayerSpread, inputs: LayerSpread)?
        /// Whether the errors are on captured inputs rather than synthetic ones.
        public internal(set) var captured = false

        /// Bits of a quantized weight, 8 or 10; nil for what is not quantized.
        public internal(set) var bits: Int?

        /// Groups in which the stored weights are rotated; nil for none.
        public internal(set) var rotation: Int?

        init(name: String, shape: [Int], type: ElementType, decision: String) {
            self.name = name
            self.shape = shape
            self.type = type
            self.decision = decision
        }
    }

    public internal(set) var rows: [Row] = []
    /// What the conversion left out or changed, as sentences.
    public internal(set) var notices: [String] = []
    /// How far the text encoder's output is from the checkpoint's, where that was measured.
    package internal(set) var textEncoder: EncoderDeviations?
    /// What int8 costs the video decoder's frames, where that was tried.
    public internal(set) var decoder: DecoderDeviation?
    /// Where the file is, its size in bytes and its checksum.
    public internal(set) var path = ""
    public internal(set) var size = 0
    public internal(set) var sha256 = ""

    /// The head of the table; `line(_:)` gives its rows.
    public static let head = columns("TENSOR", "SHAPE", "TYPE", "WEIGHTS", "OUTPUT", "DECISION")

    public static func line(_ row: Row) -> String {
        columns(
            row.name, row.shape.map(String.init).joined(separator: "×"), row.type.rawValue, row.weightError.map(percent) ?? "-",
            row.attempts.isEmpty ? "-" : row.attempts.map { percent($0.error) }.joined(separator: " → "), row.decision)
    }

    /// One sentence at the end.
    public var summary: String {
        let linear = rows.filter { !$0.attempts.isEmpty }
        let int8 = linear.filter { $0.bits == 8 }
        let deep = linear.filter { $0.bits == 10 }
        let rotated = int8.filter { $0.rotation != nil }
        let worst = int8.compactMap(\.attempts.last?.error).max()
        let account =
            linear.isEmpty
            ? "everything is float"
            : "\(int8.count) of \(linear.count) layers are int8 (\(rotated.count) rotated)\(worst.map { ", the worst at \(Self.percent($0))" } ?? "")"
                + (deep.isEmpty ? "" : ", \(deep.count) have 10 bits")
        let text = textEncoder.map {
            ", the text encoder's output is \(Self.percent($0.stored.relative)) from float (bfloat16: \(Self.percent($0.bfloat16.relative)))"
        }
        return "\(path): \(size) bytes, \(account)\(text ?? ""), sha256 \(sha256)"
    }

    /// What is to be said of a text encoder that is less exact than the field's own.
    var textEncoderNotice: String? {
        guard let textEncoder, textEncoder.stored.relative > textEncoder.bfloat16.relative else { return nil }
        let (own, other) = (Self.percent(textEncoder.stored.relative), Self.percent(textEncoder.bfloat16.relative))
        return "the text encoder's output is \(own) from float, further than bfloat16's \(other)"
    }

    /// `sorad.conversion/1`.
    public var json: JSONValue {
        var object: JSONObject = [
            "schema": "sorad.conversion/1", "file": .string(path), "bytes": .integer(size), "sha256": .string(sha256),
            "notices": .array(notices.map { .string($0) }), "tensors": .array(rows.map(\.json)),
        ]
        object["text_encoder"] = textEncoder.map {
            [
                "layers": .integer($0.layers), "tokens": .integer($0.tokens), "stored": Self.json($0.stored),
                "bfloat16": Self.json($0.bfloat16),
            ]
        }
        object["decoder"] = decoder.map { ["int8": .bool($0.isInt8), "decibels": .double($0.decibels)] }
        return .object(object)
    }

    private static func json(_ deviation: EncoderDeviation) -> JSONValue {
        [
            "output_error": .double(deviation.relative), "cosine": .double(deviation.cosine),
            "worst_token_error": .double(deviation.worstToken),
        ]
    }

    private static func percent(_ fraction: Double) -> String {
        let thousandths = Int((fraction * 100_000).rounded())
        let digits = String(thousandths % 1000)
        return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - digits.count) + digits + " %"
    }

    private static func columns(_ name: String, _ shape: String, _ type: String, _ weights: String, _ output: String, _ decision: String)
        -> String
    {
        func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
        return "\(pad(name, 54)) \(pad(shape, 16)) \(pad(type, 4)) \(pad(weights, 8)) \(pad(output, 18)) \(decision)"
    }
}

extension ConversionReport.Row {
    var json: JSONValue {
        var object: JSONObject = [
            "name": .string(name), "shape": .array(shape.map { .integer($0) }), "type": .string(type.rawValue),
            "decision": .string(decision),
        ]
        object["bits"] = bits.map { .integer($0) }
        object["rotation"] = rotation.map { .integer($0) }
        object["weight_error"] = weightError.map { .double($0) }
        if let spread {
            object["weight_spread"] = spread.weights.json
            object["input_spread"] = spread.inputs.json
        }
        if !attempts.isEmpty {
            object["inputs"] = captured ? "captured" : "synthetic"
            object["attempts"] = .array(
                attempts.map { ["rotation": .integer($0.rotation ?? 0), "output_error": .double($0.error)] })
        }
        return .object(object)
    }

    /// What `json` gave; nil for anything else.
    init?(json: JSONValue) {
        guard let name = json["name"]?.string, let shape = json["shape"]?.array?.compactMap(\.wholeNumber),
            let type = json["type"]?.string.flatMap(ElementType.init(rawValue:)), let decision = json["decision"]?.string
        else { return nil }
        self.init(name: name, shape: shape, type: type, decision: decision)
        bits = json["bits"]?.wholeNumber
        rotation = json["rotation"]?.wholeNumber
        weightError = json["weight_error"]?.double
        if let weights = json["weight_spread"].flatMap(LayerSpread.init(json:)),
            let inputs = json["input_spread"].flatMap(LayerSpread.init(json:))
        {
            spread = (weights, inputs)
        }
        captured = json["inputs"]?.string == "captured"
        for attempt in json["attempts"]?.array ?? [] {
            guard let rotation = attempt["rotation"]?.wholeNumber, let error = attempt["output_error"]?.double else { return nil }
            attempts.append((rotation == 0 ? nil : rotation, error))
        }
    }
}
