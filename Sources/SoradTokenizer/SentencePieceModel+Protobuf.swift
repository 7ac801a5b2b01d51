// Reads `spiece.model`, the protobuf message `ModelProto` of `sentencepiece_model.proto`, into the plain values.
// Unknown fields are skipped, as protobuf wants; what would change the tokens and is not supported is refused by name.

extension SentencePieceModel {
    /// Reads and checks a serialized `ModelProto` from untrusted bytes.
    /// - Throws: `TokenizerError` if the bytes are not such a model, or if it is not a unigram model of the supported kind.
    public init(spieceModel bytes: [UInt8]) throws(TokenizerError) {
        guard !bytes.isEmpty else { throw TokenizerError("the SentencePiece model is empty") }
        guard bytes.count <= Limit.fileBytes else {
            throw TokenizerError("the SentencePiece model is \(bytes.count) bytes long; at most \(Limit.fileBytes) are supported")
        }
        var fields = ModelFields()
        try fields.read(ProtobufReader(bytes))
        try fields.trainer.checkSupported()
        try self.init(
            pieces: fields.pieces, scores: fields.scores, types: fields.types,
            precompiledCharsmap: fields.normalizer.precompiledCharsmap,
            addDummyPrefix: fields.normalizer.addDummyPrefix,
            removeExtraWhitespaces: fields.normalizer.removeExtraWhitespaces,
            escapeWhitespaces: fields.normalizer.escapeWhitespaces,
            unknownID: try fields.requiredID(of: .unknown, named: fields.trainer.unknownPiece),
            eosID: try fields.requiredID(of: .control, named: fields.trainer.eosPiece),
            padID: fields.id(of: .control, named: fields.trainer.padPiece))
        guard byteFallback == fields.trainer.byteFallback else {
            throw TokenizerError(
                byteFallback
                    ? "the SentencePiece model has byte pieces although its byte_fallback is off"
                    : "the SentencePiece model has no byte pieces although its byte_fallback is on")
        }
    }
}

/// `ModelProto` as it comes from the wire. Field numbers: `sentencepiece_model.proto`.
private struct ModelFields {
    var pieces: [String] = []
    var scores: [Float] = []
    var types: [Int32] = []
    var trainer = TrainerFields()
    var normalizer = NormalizerFields()

    mutating func read(_ message: ProtobufReader) throws(TokenizerError) {
        var reader = message
        while let (number, value) = try reader.nextField() {
            switch number {
            case 1: try readPiece(ProtobufReader(reader, range: try value.range(of: "pieces")))
            case 2: try trainer.read(ProtobufReader(reader, range: try value.range(of: "trainer_spec")))
            case 3: try normalizer.read(ProtobufReader(reader, range: try value.range(of: "normalizer_spec")))
            default: break
            }
        }
        guard !pieces.isEmpty else { throw TokenizerError("the file is not a SentencePiece model: it has no pieces") }
    }

    private mutating func readPiece(_ message: ProtobufReader) throws(TokenizerError) {
        guard pieces.count < SentencePieceModel.Limit.pieces else {
            throw TokenizerError("the SentencePiece model has more than \(SentencePieceModel.Limit.pieces) pieces")
        }
        var reader = message
        var piece = ""
        var score: Float = 0
        var type = SentencePieceModel.PieceType.normal.rawValue
        while let (number, value) = try reader.nextField() {
            switch number {
            case 1: piece = try value.string(of: "piece \(pieces.count)", in: reader)
            case 2: score = try value.float(of: "score of piece \(pieces.count)")
            case 3: type = Int32(truncatingIfNeeded: try value.integer(of: "type of piece \(pieces.count)"))
            default: break
            }
        }
        pieces.append(piece)
        scores.append(score)
        types.append(type)
    }

    func id(of type: SentencePieceModel.PieceType, named name: String) -> Int32? {
        pieces.indices.first(where: { types[$0] == type.rawValue && pieces[$0].utf8.elementsEqual(name.utf8) }).map(Int32.init)
    }

    func requiredID(of type: SentencePieceModel.PieceType, named name: String) throws(TokenizerError) -> Int32 {
        guard let id = id(of: type, named: name) else {
            throw TokenizerError("the SentencePiece model has no piece `\(name)` of type \(type), which a T5 tokenizer needs")
        }
        return id
    }
}

/// `TrainerSpec`: what of the training settings decides how text is split.
private struct TrainerFields {
    var modelType: UInt64 = 1
    var treatWhitespaceAsSuffix = false
    var byteFallback = false
    var unknownPiece = "<unk>"
    var eosPiece = "</s>"
    var padPiece = "<pad>"

    mutating func read(_ message: ProtobufReader) throws(TokenizerError) {
        var reader = message
        while let (number, value) = try reader.nextField() {
            switch number {
            case 3: modelType = try value.integer(of: "model_type")
            case 24: treatWhitespaceAsSuffix = try value.integer(of: "treat_whitespace_as_suffix") != 0
            case 35: byteFallback = try value.integer(of: "byte_fallback") != 0
            // An empty name means the default one, as in the library.
            case 45: unknownPiece = try value.string(of: "unk_piece", in: reader, default: "<unk>")
            case 47: eosPiece = try value.string(of: "eos_piece", in: reader, default: "</s>")
            case 48: padPiece = try value.string(of: "pad_piece", in: reader, default: "<pad>")
            default: break
            }
        }
    }

    func checkSupported() throws(TokenizerError) {
        let names: [UInt64: String] = [2: "BPE", 3: "WORD", 4: "CHAR"]
        guard modelType == 1 else {
            throw TokenizerError("the SentencePiece model is of type \(names[modelType] ?? String(modelType)); only UNIGRAM is supported")
        }
        guard !treatWhitespaceAsSuffix else {
            throw TokenizerError("the SentencePiece model was trained with treat_whitespace_as_suffix, which is not supported")
        }
    }
}

/// `NormalizerSpec`.
private struct NormalizerFields {
    var precompiledCharsmap: [UInt8] = []
    var addDummyPrefix = true
    var removeExtraWhitespaces = true
    var escapeWhitespaces = true

    mutating func read(_ message: ProtobufReader) throws(TokenizerError) {
        var reader = message
        while let (number, value) = try reader.nextField() {
            switch number {
            case 2: precompiledCharsmap = Array(reader.bytes[try value.range(of: "precompiled_charsmap")])
            case 3: addDummyPrefix = try value.integer(of: "add_dummy_prefix") != 0
            case 4: removeExtraWhitespaces = try value.integer(of: "remove_extra_whitespaces") != 0
            case 5: escapeWhitespaces = try value.integer(of: "escape_whitespaces") != 0
            default: break
            }
        }
    }
}

extension ProtobufReader.Value {
    fileprivate func range(of field: String) throws(TokenizerError) -> Range<Int> {
        guard case .bytes(let range) = self else { throw wrongType(field) }
        return range
    }

    fileprivate func integer(of field: String) throws(TokenizerError) -> UInt64 {
        guard case .varint(let value) = self else { throw wrongType(field) }
        return value
    }

    fileprivate func float(of field: String) throws(TokenizerError) -> Float {
        guard case .fixed32(let bits) = self else { throw wrongType(field) }
        return Float(bitPattern: bits)
    }

    fileprivate func string(of field: String, in reader: ProtobufReader, default fallback: String = "") throws(TokenizerError) -> String {
        let bytes = reader.bytes[try range(of: field)]
        guard !bytes.isEmpty else { return fallback }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw TokenizerError("the SentencePiece model is damaged: \(field) is not valid UTF-8")
        }
        return text
    }

    private func wrongType(_ field: String) -> TokenizerError {
        TokenizerError("the SentencePiece model is damaged: \(field) has the wrong wire type")
    }
}
