// Parts of a checkpoint that come from files of their own: which file holds what is found by content.
import SoradModelFile
package import SoradSystem

/// Networks out of single files, under diffusers' names.
package struct ReplacedParts {
    private var weights: [CheckpointRole: any TensorSource] = [:]
    private(set) var tokenizer: TokenizerSource?
    /// Every file that was read: its name, and its path.
    private(set) var files: [(name: String, path: String)] = []
    private(set) var notices: [String] = []
    /// How clips are sampled, where a tensor proves it.
    private(set) var provenRecipe: SamplingRecipe?

    package init() {}

    /// - Parameter paths: files of weights, or indexes of several.
    /// - Throws: `.badInput` when a file holds no part that is known, or two files hold the same part.
    package init(_ paths: [String]) throws(SoradError) {
        for path in paths {
            let file = try CheckpointFile(path)
            let roles = try CheckpointRoles(file.source)
            for part in roles.parts {
                guard weights[part.role] == nil else {
                    throw SoradError(.badInput, "\(path) holds another \(part.role.rawValue): give one file for each part")
                }
                if part.role == .transformer {
                    provenRecipe = SamplingRecipe.proven(
                        by: part.source.names,
                        channels: part.source.shape(of: "patch_embedding.weight").flatMap { $0.count > 1 ? $0[1] : nil })
                }
                weights[part.role] = try part.role.renamed(part.source, notice: { notices.append($0) })
                notices.append("the \(part.role.rawValue) is that of \(path)")
            }
            if tokenizer == nil { tokenizer = Self.tokenizer(file.stored) }
            files += file.files.map { (CheckpointParts.lastComponent(of: $0), $0) }
            notices += roles.notices
        }
        files.sort { ($0.name, $0.path) < ($1.name, $1.path) }
    }

    func holds(_ role: CheckpointRole) -> Bool { weights[role] != nil }

    /// One part with its configuration: that of a file, or what its shapes say. nil when no file holds it.
    func network(_ role: CheckpointRole, config: ConfigFile? = nil) throws(SoradError) -> CheckpointParts.Network? {
        guard let weights = weights[role] else { return nil }
        if let config { return CheckpointParts.Network(config: config, weights: weights) }
        let config =
            switch role {
            case .transformer: try WanShapes.transformer(weights)
            case .textEncoder: try WanShapes.textEncoder(weights)
            case .autoencoder: try WanShapes.autoencoder(weights)
            }
        return CheckpointParts.Network(config: config, weights: weights)
    }

    /// Reads the shapes of one part, if it is there.
    package func checkConfiguration(_ role: CheckpointRole) throws(SoradError) { _ = try network(role) }

    func holds(file path: String) -> Bool { files.contains { $0.path == path } }

    /// The tokenizer that a file carries.
    private static func tokenizer(_ source: any StoredTensors) -> TokenizerSource? {
        if let gguf = source as? GGUFSource { return gguf.metadata.contains("tokenizer.ggml.tokens") ? .keys(gguf.metadata) : nil }
        guard let name = source.names.first(where: { $0.hasSuffix("spiece_model") }), source.elementType(of: name) == "U8" else {
            return nil
        }
        return source.range(of: name).map { .sentencePiece($0, place: "\(source.path): \(name)") }
    }
}

extension CheckpointRole {
    /// `source` under diffusers' names and in its shapes.
    /// - Parameter notice: gets a sentence about tensors that are left out.
    func renamed(_ source: any TensorSource, notice: (String) -> Void = { _ in }) throws(SoradError) -> any TensorSource {
        let named = try NameTable.renamed(source, by: tables)
        guard self == .transformer else { return named }
        // Of no use in text-to-video: diffusers writes it besides, and never reads it.
        let unused = ".attn2.norm_added_q.weight"
        // FastWan's sparse attention; its authors run the same weights with dense attention too.
        let gates = ".to_gate_compress."
        if named.names.contains(where: { $0.contains(gates) }) {
            notice("\(source.path): the gates of sparse attention (to_gate_compress) are left out, attention is dense")
        }
        return WanShapes.unfolded(try RenamedSource(named) { $0.contains(gates) || $0.hasSuffix(unused) ? nil : $0 })
    }
}
