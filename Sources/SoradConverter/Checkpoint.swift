// A diffusers folder, opened and checked: every part is of a kind that can be converted, every expected tensor is there in its shape, and
// there is none that nothing is known about (a tensor left behind would be a model that is subtly another).
import SoradModelFile
import SoradSystem

struct Checkpoint {
    let card: ModelCard
    let transformer: TransformerLayout
    let textEncoder: TextEncoderLayout
    let autoencoder: any AutoencoderTensors
    let tokenizer: [(key: String, value: MetadataValue)]
    /// What becomes of every tensor, in the order of the model file, with the tensor itself.
    let tensors: [(rule: SourceTensor, tensor: SafetensorsTensor)]
    /// Every file that was read: name within the folder, and path.
    let sources: [(name: String, path: String)]

    init(_ folder: String, name: String?) throws(SoradError) {
        guard fileExists(folder) else { throw SoradError(.notFound, "\(folder) does not exist") }
        guard fileExists("\(folder)/model_index.json") else {
            throw SoradError(
                .notFound, "\(folder) is not a diffusers folder: it has no model_index.json",
                hint: "give the folder that holds model_index.json, transformer/, text_encoder/, tokenizer/, vae/ and scheduler/")
        }
        var sources = [
            "model_index.json", "scheduler/scheduler_config.json", "transformer/config.json", "text_encoder/config.json",
            "vae/config.json", "tokenizer/spiece.model",
        ]
        let index = try ConfigFile("\(folder)/model_index.json")
        let scheduler = try ConfigFile("\(folder)/scheduler/scheduler_config.json")
        let own = fileExists("\(folder)/sorad.json") ? try ConfigFile("\(folder)/sorad.json") : nil
        if own != nil { sources.append("sorad.json") }
        card = try ModelCard(index: index, scheduler: scheduler, own: own, folder: folder, name: name)

        let parts = ["transformer", "text_encoder", "vae"]
        var weights: [SafetensorsFolder] = []
        for part in parts { weights.append(try SafetensorsFolder(opening: "\(folder)/\(part)")) }
        transformer = try TransformerLayout(try ConfigFile("\(folder)/transformer/config.json"))
        textEncoder = try TextEncoderLayout(try ConfigFile("\(folder)/text_encoder/config.json"), weights[1])
        autoencoder = try Self.autoencoder(try ConfigFile("\(folder)/vae/config.json"))
        try Self.checkFit(transformer, textEncoder, autoencoder, folder)
        tokenizer = try TokenizerMetadata.read(try MappedFile("\(folder)/tokenizer/spiece.model"), vocabulary: textEncoder.vocabulary)

        tensors =
            try Self.matched(transformer.tensors, weights[0], besides: [])
            + Self.matched(textEncoder.tensors, weights[1], besides: textEncoder.duplicates)
            + Self.matched(autoencoder.tensors, weights[2], besides: [])
        for (part, weights) in zip(parts, weights) {
            for file in weights.files { sources.append(part + file.path.dropFirst(weights.path.utf8.count)) }
        }
        self.sources = sources.sorted().map { ($0, "\(folder)/\($0)") }
    }

    /// Everything but the files' own record: card and parts.
    func metadata(created: Int, sources: [String], recipe: String) -> [(key: String, value: MetadataValue)] {
        card.metadata(created: created, sources: sources, recipe: recipe) + transformer.metadata + textEncoder.metadata
            + autoencoder.metadata + tokenizer
    }

    private static func checkFit(
        _ transformer: TransformerLayout, _ textEncoder: TextEncoderLayout, _ autoencoder: any AutoencoderTensors, _ folder: String
    ) throws(SoradError) {
        guard transformer.textSize == textEncoder.width else {
            throw SoradError(
                .badInput,
                "\(folder): the text encoder gives \(textEncoder.width) numbers a token, and the transformer takes \(transformer.textSize)")
        }
        guard transformer.inChannels == autoencoder.latentChannels, transformer.outChannels == autoencoder.latentChannels else {
            throw SoradError(
                .badInput,
                """
                \(folder): the autoencoder has \(autoencoder.latentChannels) latent channels, \
                and the transformer takes \(transformer.inChannels) and gives \(transformer.outChannels)
                """)
        }
    }

    private static func autoencoder(_ config: ConfigFile) throws(SoradError) -> any AutoencoderTensors {
        try config.require("_class_name", oneOf: ["AutoencoderTAEHV", "AutoencoderKLWan"])
        return try config.string("_class_name") == "AutoencoderKLWan" ? WanAutoencoderLayout(config) : AutoencoderLayout(config)
    }

    /// Pairs rules with tensors.
    private static func matched(
        _ rules: [SourceTensor], _ weights: SafetensorsFolder, besides extra: Set<String>
    ) throws(SoradError) -> [(rule: SourceTensor, tensor: SafetensorsTensor)] {
        var pairs: [(rule: SourceTensor, tensor: SafetensorsTensor)] = []
        for rule in rules {
            guard let tensor = weights[rule.source] else {
                throw SoradError(.badInput, "\(weights.path) lacks the tensor \(rule.source), which its config.json asks for")
            }
            guard tensor.shape == rule.shape else {
                throw SoradError(
                    .badInput,
                    "\(weights.path): the tensor \(rule.source) has the shape \(tensor.shape), and its config.json asks for \(rule.shape)")
            }
            pairs.append((rule, tensor))
        }
        let unknown = Set(weights.names).subtracting(rules.map(\.source)).subtracting(extra).sorted()
        guard unknown.isEmpty else {
            let rest = unknown.count > 3 ? " and \(unknown.count - 3) more" : ""
            throw SoradError(
                .badInput, "\(weights.path) has tensors that nothing is known about: \(unknown.prefix(3).joined(separator: ", "))\(rest)")
        }
        return pairs
    }
}
