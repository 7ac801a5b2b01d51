// A checkpoint, checked: every part is of a kind that can be converted, every expected tensor is there in its shape, and there is none
// that nothing is known about (a tensor left behind would be a model that is subtly another).
import SoradModelFile
import SoradSystem

struct Checkpoint {
    typealias Matched = (rule: TensorRule, tensor: CheckpointTensor)

    let card: ModelCard
    let network: any NetworkLayout
    let textEncoder: any TextEncoderLayout
    let autoencoder: any AutoencoderLayout
    private let imageEncoder: CLIPLayout?
    let tokenizer: [(key: String, value: MetadataValue)]
    private let cascade: CascadeLayout?
    private let enhancers: [EnhancerLayout]
    /// What becomes of every tensor, in the order of the model file, with the tensor itself.
    let tensors: [Matched]
    /// What the conversion leaves out or changes, as sentences.
    let notices: [String]

    /// - Parameter name: the model's public name, if not the checkpoint's own.
    init(_ parts: CheckpointParts, name: String?, _ registry: CheckpointRegistry) throws(SoradError) {
        let family = try registry.family(parts.transformer.config)
        let recipe: SamplingRecipe? = if let named = parts.recipe { named } else { try SamplingRecipe.proven(by: parts) }
        card = try ModelCard(family, parts, recipe, name: name)
        // Half a model is none, whatever the recipe.
        for key in ["transformer_2", "boundary_ratio"] where parts.lowNoise == nil && parts.index.isSet(key) {
            throw CheckpointParts.twoExperts("\(parts.index.path): \(key) is set")
        }
        // A recipe stands above what the checkpoint says of given frames too.
        let index = recipe.map { $0.index(parts.index.path) } ?? parts.index
        network = try family.network(
            parts.transformer.config, lowNoise: parts.lowNoise?.config, index: index, own: recipe == nil ? parts.own : nil)
        textEncoder = try registry.textEncoder(parts.textEncoder.config, parts.textEncoder.weights)
        autoencoder = try registry.autoencoder(parts.autoencoder.config)
        imageEncoder =
            if let part = parts.imageEncoder { try CLIPLayout(part.config, processor: parts.imageProcessor) } else { nil }
        try Self.checkFit(network, textEncoder, autoencoder, parts.path)
        try Self.checkControl(network, autoencoder, parts.path)
        try Self.checkPictures(network, imageEncoder, parts.path)
        tokenizer =
            try TokenizerMetadata.read(parts.tokenizer, vocabulary: textEncoder.vocabulary)
            + (parts.words.map { path throws(SoradError) in try TokenizerMetadata.captionWords(path) } ?? [])
        var enhancers: [EnhancerLayout] = []
        var behind: [(rule: TensorRule, tensor: CheckpointTensor)] = []
        for (name, network) in parts.enhancers {
            let layout = try EnhancerLayout(name, network.config)
            enhancers.append(layout)
            behind += try Self.matched(layout.tensors, network, besides: [])
        }
        self.enhancers = enhancers
        var between: [Matched] = []
        if let part = parts.cascade {
            guard network.inChannels == network.outChannels, network.controlMask == 0 else {
                throw SoradError(.badInput, "\(parts.path): a cascade goes with no transformer that reads a clip next to the latents")
            }
            let layout = try CascadeLayout(part.config, latentChannels: autoencoder.latentChannels)
            between = try Self.matched(layout.tensors, part, besides: [])
            cascade = layout
        } else {
            cascade = nil
        }
        let second = if let low = parts.lowNoise { try Self.matched(network.lowNoiseTensors, low, besides: []) } else { [] as [Matched] }
        tensors =
            try Self.matched(network.tensors, parts.transformer, besides: [])
            + second
            + Self.matched(textEncoder.tensors, parts.textEncoder, besides: textEncoder.duplicates)
            + Self.matched(autoencoder.tensors, parts.autoencoder, besides: [])
            + Self.matched(imageEncoder, parts.imageEncoder) + between + behind
        notices = card.notices + parts.notices
    }

    /// Everything but the files' own record: card and parts.
    func metadata(created: Int, sources: [String], recipe: String) -> [(key: String, value: MetadataValue)] {
        card.metadata(created: created, sources: sources, recipe: recipe) + network.metadata
            + network.expertMetadata(trainSteps: card.trainSteps) + textEncoder.metadata + autoencoder.metadata
            + (imageEncoder?.metadata ?? []) + (cascade?.metadata ?? []) + enhancers.flatMap(\.metadata) + tokenizer
    }

    private static func checkFit(
        _ network: any NetworkLayout, _ textEncoder: any TextEncoderLayout, _ autoencoder: any AutoencoderLayout, _ folder: String
    ) throws(SoradError) {
        guard network.textWidth == textEncoder.width else {
            throw SoradError(
                .badInput,
                "\(folder): the text encoder gives \(textEncoder.width) numbers a token, and the transformer takes \(network.textWidth)")
        }
        let fits =
            network.outChannels == autoencoder.latentChannels
            && (network.maskChannels == 0
                ? network.inChannels == network.outChannels : network.maskChannels == autoencoder.timeScale)
        guard fits else {
            throw SoradError(
                .badInput,
                """
                \(folder): the autoencoder has \(autoencoder.latentChannels) latent channels, \
                and the transformer takes \(network.inChannels) and gives \(network.outChannels)
                """)
        }
    }

    /// A mask of a clip to follow has a channel per pixel.
    private static func checkControl(
        _ network: any NetworkLayout, _ autoencoder: any AutoencoderLayout, _ folder: String
    ) throws(SoradError) {
        let side = autoencoder.spatialScale
        guard network.controlMask == 0 || network.controlMask == side * side else {
            throw SoradError(
                .badInput,
                "\(folder): the transformer reads masks of \(network.controlMask) pixels, and a latent pixel has \(side) along a side")
        }
    }

    private static func checkPictures(_ network: any NetworkLayout, _ encoder: CLIPLayout?, _ folder: String) throws(SoradError) {
        let (width, positions) = network.pictures
        guard width > 0 else {
            guard encoder == nil else {
                throw SoradError(.badInput, "\(folder): there is an image encoder, and the transformer reads no embeddings of pictures")
            }
            return
        }
        guard let encoder else {
            throw SoradError(
                .badInput, "\(folder): the transformer reads embeddings of pictures, and there is no image encoder",
                hint: "give the diffusers folder with its image_encoder, or the file of its weights too")
        }
        guard encoder.width == width, positions == 0 || positions == 2 * encoder.tokens else {
            throw SoradError(
                .badInput,
                "\(folder): the image encoder gives \(encoder.tokens) embeddings of \(encoder.width) numbers, and the transformer reads others"
            )
        }
    }

    /// The image encoder's, without the layer that nothing reads.
    private static func matched(
        _ layout: CLIPLayout?, _ part: CheckpointParts.Network?
    ) throws(SoradError) -> [(rule: TensorRule, tensor: CheckpointTensor)] {
        guard let layout, let part else { return [] }
        return try matched(layout.tensors, part, besides: Set(part.weights.names.filter(layout.isUnused)))
    }

    /// Pairs rules with tensors.
    private static func matched(
        _ rules: [TensorRule], _ network: CheckpointParts.Network, besides extra: Set<String>
    ) throws(SoradError) -> [(rule: TensorRule, tensor: CheckpointTensor)] {
        let weights = network.weights
        // A configuration file, or shapes, say what must be there.
        let judge = network.config.path.hasSuffix("config.json") ? "its config.json asks" : "its other tensors ask"
        var pairs: [(rule: TensorRule, tensor: CheckpointTensor)] = []
        for rule in rules {
            guard let tensor = weights[rule.source] else {
                throw SoradError(.badInput, "\(weights.path) lacks the tensor \(rule.source), which \(judge) for")
            }
            guard tensor.shape == rule.shape else {
                throw SoradError(
                    .badInput,
                    "\(weights.path): the tensor \(rule.source) has the shape \(tensor.shape), and \(judge) for \(rule.shape)")
            }
            pairs.append((rule, tensor))
        }
        let unknown = Set(weights.names).subtracting(rules.map(\.source)).subtracting(extra).sorted()
        guard unknown.isEmpty else { throw CheckpointRoles.unaccounted(weights.path, unknown) }
        return pairs
    }
}
