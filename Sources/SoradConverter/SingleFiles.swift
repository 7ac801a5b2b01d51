// A checkpoint without a diffusers folder: a file for each part, or a folder as Wan's own release has it.
import SoradModelFile
package import SoradSystem

extension CheckpointParts {
    /// A checkpoint from anywhere.
    /// - Parameters:
    ///   - path: a diffusers folder, a folder of Wan's own release, or a file of weights.
    ///   - files: more files of weights; behind a diffusers folder they take the place of its parts.
    ///   - tokenizer: a SentencePiece model to use instead of the checkpoint's.
    ///   - recipe: how clips are sampled; without a diffusers folder nothing else may say it.
    /// - Throws: `.notFound`, `.permission`, `.badInput`, `.usage` with one sentence.
    package init(_ path: String, files: [String], tokenizer: String?, recipe: String?) throws(SoradError) {
        guard fileExists(path) else { throw SoradError(.notFound, "\(path) does not exist") }
        let isFolder = fileExists("\(path)/.")
        if isFolder, fileExists("\(path)/model_index.json") || fileExists("\(path)/transformer") {
            try self.init(diffusersFolder: path, replacements: ReplacedParts(files), tokenizer: tokenizer, recipe: recipe)
            return
        }
        var (weights, ownTokenizer) = ([path], String?.none)
        if isFolder { (weights, ownTokenizer) = try Self.release(path) }
        try self.init(path, weights: ReplacedParts(weights + files), tokenizer: tokenizer ?? ownTokenizer, recipe: recipe)
    }

    /// The files of weights in a folder of Wan's own release, and its tokenizer.
    private static func release(_ path: String) throws(SoradError) -> (weights: [String], tokenizer: String?) {
        // Wan 2.2 A14B: either expert in a folder of its own.
        let experts = ["high_noise_model", "low_noise_model"].filter { fileExists("\(path)/\($0)") }
        if experts.count == 1 { throw twoExperts("\(path)/\(experts[0])") }
        let names = ((try? fileNames(in: path)) ?? []).sorted()
        let indexes = names.filter { $0.hasSuffix(".safetensors.index.json") }
        let weights = names.filter { name in
            // Files that an index lists are opened by it.
            let isListed = indexes.contains { name.hasPrefix($0.dropLast(".safetensors.index.json".count)) && name.contains("-of-") }
            return isWeights(name) && !isListed
        }
        var inner: [String] = []
        for expert in experts { inner += try release("\(path)/\(expert)").weights }
        guard !(indexes + weights + inner).isEmpty else {
            throw SoradError(
                .notFound, "\(path) is not a diffusers folder: it has no model_index.json, and it holds no weights either",
                hint: "give the folder that holds model_index.json, or the files of weights")
        }
        let tokenizers = ["google/umt5-xxl/spiece.model", "tokenizer/spiece.model", "spiece.model"].map { "\(path)/\($0)" }
        return (inner + (indexes + weights).map { "\(path)/\($0)" }, tokenizers.first(where: fileExists))
    }

    private init(_ path: String, weights: ReplacedParts, tokenizer: String?, recipe: String?) throws(SoradError) {
        func part(_ role: CheckpointRole) throws(SoradError) -> Network {
            guard let network = try weights.network(role) else {
                throw SoradError(
                    .usage, "no file holds the \(role.rawValue)",
                    hint: "give a file for each of transformer, text encoder and autoencoder, or a diffusers folder first")
            }
            return network
        }
        self.path = path
        index = ConfigFile([:], name: path)
        scheduler = index
        own = nil
        transformer = try part(.transformer)
        textEncoder = try part(.textEncoder)
        autoencoder = try part(.autoencoder)
        lowNoise = try weights.network(.lowNoise)
        imageEncoder = try weights.network(.imageEncoder)
        var files = weights.files
        words = nil
        if let tokenizer {
            self.tokenizer = TokenizerSource(file: try MappedFile(tokenizer))
            files.append((Self.lastComponent(of: tokenizer), tokenizer))
        } else if let tokenizer = weights.tokenizer {
            self.tokenizer = tokenizer
        } else {
            throw SoradError(
                .usage, "no file holds the tokenizer", hint: "give --tokenizer FILE, the spiece.model of the text encoder (google/umt5-xxl)"
            )
        }
        self.files = files
        let chosen: SamplingRecipe? = if let recipe { try SamplingRecipe.named(recipe) } else { weights.provenRecipe }
        guard let chosen else {
            throw SoradError(
                .usage,
                "\(path) does not say how its clips are sampled: the weights of a model and of what was distilled from it look alike",
                hint: "give --recipe NAME: \(SamplingRecipe.all.map { "\($0.name) (\($0.summary))" }.joined(separator: ", "))")
        }
        self.recipe = chosen
        notices = weights.notices
    }
}
