// Owns the layout of a diffusers folder: which file holds what, and which of the files are read.
import SoradModelFile
package import SoradSystem

/// All parts of a checkpoint, wherever they come from.
package struct CheckpointParts {
    /// The configuration and the weights of one network.
    package struct Network {
        let config: ConfigFile
        package var weights: any TensorSource
    }

    /// What errors call the checkpoint; its last component is the model's name if nothing else names it.
    package var path: String
    let index: ConfigFile
    let scheduler: ConfigFile
    /// `sorad.json`, if there is one.
    let own: ConfigFile?
    package var transformer: Network
    package var textEncoder: Network
    package var autoencoder: Network
    /// The transformer that takes over at low noise, of models that have two.
    package var lowNoise: Network?
    /// What turns given pictures into embeddings, and how pictures are prepared for it.
    package var imageEncoder: Network?
    var imageProcessor: ConfigFile?
    /// The maps between two sizes of a clip.
    var cascade: Network?
    /// Networks that run behind the decoder, by their names.
    var enhancers: [(name: String, network: Network)] = []
    let tokenizer: TokenizerSource
    /// A file with the words of the model's captions; nil for none.
    let words: String?
    /// How clips are sampled, if neither index nor scheduler say it.
    let recipe: SamplingRecipe?
    /// Every file that the model is made from: name within the checkpoint, and path.
    var files: [(name: String, path: String)]
    /// What the conversion leaves out, as sentences.
    var notices: [String] = []
}

extension CheckpointParts {
    /// Opens the diffusers folder at `path`.
    /// - Parameters:
    ///   - replacements: parts from files of their own, which take the place of the folder's; such a part of the folder need not be there.
    ///   - tokenizer: a SentencePiece model instead of the folder's.
    ///   - recipe: how clips are sampled, instead of what the folder says.
    /// - Throws: `.notFound`, `.permission`, `.badInput` with one sentence about the folder.
    package init(
        diffusersFolder path: String, replacements: ReplacedParts = ReplacedParts(), tokenizer: String? = nil, recipe: String? = nil
    ) throws(SoradError) {
        guard fileExists(path) else { throw SoradError(.notFound, "\(path) does not exist") }
        guard fileExists("\(path)/model_index.json") else {
            throw SoradError(
                .notFound, "\(path) is not a diffusers folder: it has no model_index.json",
                hint: "give the folder that holds model_index.json, transformer/, text_encoder/, tokenizer/, vae/ and scheduler/")
        }
        self.path = path
        index = try ConfigFile("\(path)/model_index.json")
        scheduler = try ConfigFile("\(path)/scheduler/scheduler_config.json")
        own = fileExists("\(path)/sorad.json") ? try ConfigFile("\(path)/sorad.json") : nil
        self.recipe = if let recipe { try SamplingRecipe.named(recipe) } else { replacements.provenRecipe }
        var told = replacements.notices
        if replacements.holds(.transformer), self.recipe == nil {
            told.append("clips are sampled as \(path) says, whatever the transformer was trained for; --recipe says otherwise")
        }
        var read = ["model_index.json", "scheduler/scheduler_config.json"] + (own == nil ? [] : ["sorad.json"])
        func network(_ role: CheckpointRole, _ part: String) throws(SoradError) -> Network {
            let config = "\(part)/config.json"
            if replacements.holds(role) {
                let own = fileExists("\(path)/\(config)") ? try ConfigFile("\(path)/\(config)") : nil
                if let network = try replacements.network(role, config: own) {
                    if network.config.path == own?.path { read.append(config) }
                    return network
                }
            }
            let weights = try SafetensorsSource(folder: "\(path)/\(part)")
            read += [config] + weights.files.map { String($0.dropFirst(path.count + 1)) }
            return Network(
                config: try ConfigFile("\(path)/\(config)"), weights: try role.renamed(try ScaledSource(weights)) { told.append($0) })
        }
        transformer = try network(.transformer, "transformer")
        lowNoise =
            fileExists("\(path)/transformer_2") || replacements.holds(.lowNoise) ? try network(.lowNoise, "transformer_2") : nil
        imageEncoder =
            fileExists("\(path)/image_encoder") || replacements.holds(.imageEncoder) ? try network(.imageEncoder, "image_encoder") : nil
        let processor = "image_processor/preprocessor_config.json"
        if imageEncoder != nil, fileExists("\(path)/\(processor)") {
            imageProcessor = try ConfigFile("\(path)/\(processor)")
            read.append(processor)
        }
        if fileExists("\(path)/cascade/config.json") {
            let weights = try SafetensorsSource(folder: "\(path)/cascade")
            cascade = Network(config: try ConfigFile("\(path)/cascade/config.json"), weights: weights)
            read += ["cascade/config.json"] + weights.files.map { String($0.dropFirst(path.count + 1)) }
        }
        textEncoder = try network(.textEncoder, "text_encoder")
        autoencoder = try network(.autoencoder, "vae")
        let own = "tokenizer/spiece.model"
        var files = replacements.files
        if let tokenizer {
            self.tokenizer = TokenizerSource(file: try MappedFile(tokenizer))
            files.append((Self.lastComponent(of: tokenizer), tokenizer))
        } else if let other = replacements.tokenizer, !fileExists("\(path)/\(own)") {
            self.tokenizer = other
        } else {
            self.tokenizer = TokenizerSource(file: try MappedFile("\(path)/\(own)"))
            read.append(own)
        }
        let list = "tokenizer/words.txt"
        // Another tokenizer belongs to another training.
        words = read.contains(own) && fileExists("\(path)/\(list)") ? "\(path)/\(list)" : nil
        if words != nil { read.append(list) }
        self.files = read.sorted().map { ($0, "\(path)/\($0)") } + files
        for folder in [".", "transformer", "transformer_2", "text_encoder", "image_encoder", "vae"] {
            let names = ((try? fileNames(in: "\(path)/\(folder)")) ?? []).map { folder == "." ? $0 : "\(folder)/\($0)" }
            for name in names.sorted() where Self.isWeights(name) && !read.contains(name) && !replacements.holds(file: "\(path)/\(name)") {
                told.append("\(name) is not read: it is no part of the layout that model_index.json describes")
            }
        }
        notices = told
    }

    static func lastComponent(of path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

    static func twoExperts(_ place: String) -> SoradError {
        SoradError(
            .badInput, "\(place): the model has a second transformer for a part of the steps, and only one is given",
            hint: "give the diffusers folder with transformer_2, or the files of both, the one for high noise and the one for low")
    }

    static func isWeights(_ name: String) -> Bool {
        [".safetensors", ".gguf", ".pth", ".pt", ".ckpt", ".bin"].contains(where: name.lowercased().hasSuffix)
    }
}
