// Parts of a checkpoint that come from files of their own: which file holds what is found by content.
import SoradModelFile
package import SoradSystem

/// Networks out of single files, under diffusers' names.
package struct ReplacedParts {
    private var weights: [CheckpointRole: any TensorSource] = [:]
    private(set) var tokenizer: TokenizerSource?
    /// Every file that was read: its name, and its path.
    private(set) var files: [(name: String, path: String)] = []
    package private(set) var notices: [String] = []
    /// How clips are sampled, where a tensor proves it.
    private(set) var provenRecipe: SamplingRecipe?

    package init() {}

    /// - Parameter paths: files of weights, or indexes of several.
    /// - Throws: `.badInput` when a file holds no part that is known, or two files hold the same part.
    package init(_ paths: [String]) throws(SoradError) {
        var experts: (path: String, isSaid: Bool)?
        for path in paths {
            let file = try CheckpointFile(path)
            let roles = try CheckpointRoles(file.source)
            for part in roles.parts {
                let role = part.role == .transformer ? Self.expert(file.stored, path) ?? .transformer : part.role
                guard weights[role] == nil else {
                    throw SoradError(
                        .badInput, "\(path) holds another \(role.rawValue): give one file for each part",
                        hint: role == .transformer ? "files of two experts are told apart by high_noise and low_noise in their names" : nil)
                }
                if role == .transformer {
                    provenRecipe = SamplingRecipe.proven(
                        by: part.source.names,
                        channels: part.source.shape(of: "patch_embedding.weight").flatMap { $0.count > 1 ? $0[1] : nil })
                }
                if role == .transformer { experts = Self.likeness(part.source, file.stored, path) }
                if role == .autoencoder, WanShapes.takesScaledLatents(path) {
                    notices.append("\(path): lighttae's latents are those of the full autoencoder, and not the transformer's")
                }
                weights[role] = try role.renamed(part.source, notice: { notices.append($0) })
                notices.append("the \(role.rawValue) is that of \(path)")
            }
            if tokenizer == nil { tokenizer = Self.tokenizer(file.stored) }
            files += file.files.map { (CheckpointParts.lastComponent(of: $0), $0) }
            notices += roles.notices
        }
        if weights[.lowNoise] != nil, weights[.transformer] == nil { throw CheckpointParts.twoExperts(paths[0]) }
        if weights[.lowNoise] == nil, let experts {
            if experts.isSaid { throw CheckpointParts.twoExperts(experts.path) }
            notices.append(
                "\(experts.path) has the shapes of Wan 2.1 14B and of either expert of Wan 2.2 A14B, and nothing tells them apart; one expert "
                    + "alone makes bad clips")
        }
        files.sort { ($0.name, $0.path) < ($1.name, $1.path) }
    }

    /// What a file says of itself, and is called.
    private static func words(_ stored: any StoredTensors, _ path: String) -> String {
        [path.split(separator: "/").suffix(2).joined(separator: " "), stored.properties["model_type"] ?? ""].joined(separator: " ")
            .lowercased()
    }

    /// The expert that a transformer says it is; nil for one that does not say it.
    private static func expert(_ stored: any StoredTensors, _ path: String) -> CheckpointRole? {
        let words = words(stored, path)
        return ["low_noise", "low-noise", "lownoise", "a14b-low", "a14b_low"].contains(where: words.contains) ? .lowNoise : nil
    }

    /// A transformer with the shapes of Wan 2.1 T2V 14B, which either expert of Wan 2.2 A14B has too; alone, an expert makes half of a clip's
    /// steps. What a file says of itself, or is called, is all that tells them apart.
    /// - Returns: the file, and whether it says that it is an expert; nil for another transformer.
    private static func likeness(_ source: any TensorSource, _ stored: any StoredTensors, _ path: String) -> (path: String, isSaid: Bool)? {
        let modulation = source.shape(of: "head.modulation") ?? source.shape(of: "scale_shift_table")
        guard modulation?.last == 5120, source.shape(of: "patch_embedding.weight").map({ $0.count < 2 || $0[1] != 48 }) ?? true else {
            return nil
        }
        let words = words(stored, path)
        let marks = ["a14b", "high_noise", "low_noise", "high-noise", "low-noise", "highnoise", "lownoise", "wan22", "wan2.2", "wan2_2"]
        return (path, marks.contains(where: words.contains))
    }

    func holds(_ role: CheckpointRole) -> Bool { weights[role] != nil }

    /// One part with its configuration: that of a file, or what its shapes say where there is none, or one of the other kind of autoencoder.
    /// nil when no file holds it.
    func network(_ role: CheckpointRole, config: ConfigFile? = nil) throws(SoradError) -> CheckpointParts.Network? {
        guard let weights = weights[role] else { return nil }
        if let config, try config.string("_class_name", default: "") != Self.otherAutoencoder(than: weights) {
            return CheckpointParts.Network(config: config, weights: weights)
        }
        let config =
            switch role {
            case .transformer, .lowNoise: try WanShapes.transformer(weights)
            case .imageEncoder: try WanShapes.imageEncoder(weights)
            case .textEncoder: try WanShapes.textEncoder(weights)
            case .autoencoder: try WanShapes.autoencoder(weights)
            }
        return CheckpointParts.Network(config: config, weights: weights)
    }

    private static func otherAutoencoder(than weights: any TensorSource) -> String {
        WanShapes.isTinyAutoencoder(weights) ? "AutoencoderKLWan" : "AutoencoderTAEHV"
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
    private static func isOfImages(_ name: String) -> Bool { !CheckpointRoles.isBesideImageEncoder(name) }

    /// `source` under diffusers' names and in its shapes.
    /// - Parameter notice: gets a sentence about tensors that are left out.
    func renamed(_ source: any TensorSource, notice: (String) -> Void = { _ in }) throws(SoradError) -> any TensorSource {
        let named = try NameTable.renamed(source, by: tables)
        if self == .imageEncoder { return try SplitSource(WanShapes.plainCLIP(RenamedSource(named) { Self.isOfImages($0) ? $0 : nil })) }
        guard self == .transformer || self == .lowNoise else { return named }
        // diffusers writes it, and never reads it.
        let unused = ".attn2.norm_added_q.weight"
        // FastWan's sparse attention; its authors run the same weights with dense attention too.
        let gates = ".to_gate_compress."
        if named.names.contains(where: { $0.contains(gates) }) {
            notice("\(source.path): the gates of sparse attention (to_gate_compress) are left out, attention is dense")
        }
        return WanShapes.unfolded(try RenamedSource(named) { $0.contains(gates) || $0.hasSuffix(unused) ? nil : $0 })
    }
}
