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
    /// A SentencePiece model.
    let tokenizer: MappedFile
    /// Every file that the model is made from: name within the checkpoint, and path.
    let files: [(name: String, path: String)]
    /// What the conversion leaves out, as sentences.
    var notices: [String] = []
}

extension CheckpointParts {
    /// Opens the diffusers folder at `path`.
    /// - Throws: `.notFound`, `.permission`, `.badInput` with one sentence about the folder.
    package init(diffusersFolder path: String) throws(SoradError) {
        guard fileExists(path) else { throw SoradError(.notFound, "\(path) does not exist") }
        guard fileExists("\(path)/model_index.json") else {
            throw SoradError(
                .notFound, "\(path) is not a diffusers folder: it has no model_index.json",
                hint: "give the folder that holds model_index.json, transformer/, text_encoder/, tokenizer/, vae/ and scheduler/")
        }
        // A second expert is a half of the model, see ModelCard for the one that the index names.
        guard !fileExists("\(path)/transformer_2") else { throw Self.twoExperts("\(path)/transformer_2") }
        self.path = path
        index = try ConfigFile("\(path)/model_index.json")
        scheduler = try ConfigFile("\(path)/scheduler/scheduler_config.json")
        own = fileExists("\(path)/sorad.json") ? try ConfigFile("\(path)/sorad.json") : nil
        let parts = ["transformer", "text_encoder", "vae"]
        let tables: [[NameTable]] = [[.wanTransformer], [.wanTextEncoder], []]
        var weights: [SafetensorsSource] = []
        for part in parts { weights.append(try SafetensorsSource(folder: "\(path)/\(part)")) }
        func network(_ index: Int) throws(SoradError) -> Network {
            Network(
                config: try ConfigFile("\(path)/\(parts[index])/config.json"),
                weights: try NameTable.renamed(weights[index], by: tables[index]))
        }
        transformer = try network(0)
        textEncoder = try network(1)
        autoencoder = try network(2)
        tokenizer = try MappedFile("\(path)/tokenizer/spiece.model")

        let read =
            ["model_index.json", "scheduler/scheduler_config.json", "tokenizer/spiece.model"] + (own == nil ? [] : ["sorad.json"])
            + parts.map { "\($0)/config.json" } + weights.flatMap(\.files).map { String($0.dropFirst(path.count + 1)) }
        files = read.sorted().map { ($0, "\(path)/\($0)") }
        for folder in ["."] + parts {
            let names = ((try? fileNames(in: "\(path)/\(folder)")) ?? []).map { folder == "." ? $0 : "\(folder)/\($0)" }
            for name in names.sorted() where Self.isWeights(name) && !read.contains(name) {
                notices.append("\(name) is not read: it is no part of the layout that model_index.json describes")
            }
        }
    }

    static func twoExperts(_ place: String) -> SoradError {
        SoradError(
            .badInput, "\(place): the model has a second transformer for a part of the steps, and only models with one can be converted",
            hint: "use a checkpoint with one transformer, such as Wan 2.1 T2V or Wan 2.2 TI2V 5B")
    }

    private static func isWeights(_ name: String) -> Bool {
        [".safetensors", ".gguf", ".pth", ".pt", ".ckpt", ".bin"].contains(where: name.lowercased().hasSuffix)
    }
}
