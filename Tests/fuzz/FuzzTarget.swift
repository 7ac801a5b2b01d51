// What is fuzzed, and what must hold of every input. The same checks run over the kept corpora in `make test` (CorpusTests) and under
// libFuzzer (`make fuzz`, LibFuzzerEntry).
// Invariant: a check depends on its input alone, so that a finding is reproduced by its file.

struct FuzzTarget: Sendable {
    /// Also the name of its corpus and its dictionary.
    let name: String
    /// nil when all is well, else what does not hold. A trap is a finding too.
    let check: @Sendable ([UInt8]) -> String?

    static let all = [
        FuzzTarget(name: "http", check: checkHTTP), FuzzTarget(name: "multipart", check: checkMultipart),
        FuzzTarget(name: "json", check: checkJSON), FuzzTarget(name: "gguf", check: checkGGUF),
        FuzzTarget(name: "worker", check: checkWorker), FuzzTarget(name: "checkpoint", check: checkCheckpoint),
        FuzzTarget(name: "pickle", check: checkPickle), FuzzTarget(name: "media", check: checkMedia),
        FuzzTarget(name: "tar", check: checkTar), FuzzTarget(name: "mlx", check: checkMLX), FuzzTarget(name: "lora", check: checkLora),
        FuzzTarget(name: "folder", check: checkFolder),
    ]
}

/// `bytes` in pieces whose lengths follow from the bytes themselves.
func pieces(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    // FNV-1a, then a multiplicative generator: cheap and the same everywhere.
    var state = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    let longest = [1, 3, 16, 200][Int(state >> 62)]
    var pieces: [ArraySlice<UInt8>] = []
    var start = 0
    while start < bytes.count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let end = min(bytes.count, start + 1 + Int(state >> 33) % longest)
        pieces.append(bytes[start..<end])
        start = end
    }
    return pieces
}

/// The first sentence that is not nil.
func first(_ complaints: (() -> String?)...) -> String? {
    for complaint in complaints { if let found = complaint() { return found } }
    return nil
}
