// Reads a LoRA for the transformer: which of its tensors change which weights, in every spelling that trainers write.
//
//   PREFIX.LAYER.{lora_down, lora_A, lora.down}[.default].weight   A [r, K]
//   PREFIX.LAYER.{lora_up, lora_B, lora.up}[.default].weight       B [N, r]
//   PREFIX.LAYER.alpha                                             one number of any type; without it alpha is r
//   PREFIX.LAYER.diff, .diff_b, PREFIX.blocks.N.diff_m             differences of the weight, the bias, the block's modulation, as they are
//
// LAYER is spelled as Wan's release, as diffusers, or either with underscores instead of dots (`lora_unet_blocks_0_self_attn_q`).
//
// Invariant: every tensor of the file has its target of the right shape, or is named in a notice; half a layer is an error.
import SoradModelFile
package import SoradSystem

/// One change of one weight: W += factor · B·A, or W += factor · difference.
struct WeightChange {
    enum Form {
        /// Names of A [rank, K] and B [N, rank].
        case product(down: String, up: String, rank: Int)
        /// Name of a tensor of the weight's size.
        case difference(String)
    }
    let source: any TensorSource
    let form: Form
    let factor: Float
}

package struct LoraFile {
    package let path: String
    /// By the weight's name in the checkpoint.
    let changes: [String: WeightChange]
    private(set) var notices: [String] = []

    private static let prefixes = [
        "base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.", "model.", "lora_unet__", "lora_unet_",
    ]
    private static let suffixes: [(suffix: String, piece: Piece)] = [
        (".lora_down.weight", .down), (".lora_A.weight", .down), (".lora_A.default.weight", .down), (".lora_down.default.weight", .down),
        (".lora.down.weight", .down), (".lora_up.weight", .up), (".lora_B.weight", .up), (".lora_B.default.weight", .up),
        (".lora_up.default.weight", .up), (".lora.up.weight", .up), (".alpha", .alpha), (".diff_b", .bias), (".diff_m", .modulation),
        (".diff", .weight),
    ]
    /// Layers of Wan 2.1's image conditioning; other models are used with such LoRAs too.
    private static let imageLayers = ["k_img", "v_img", "img_emb", "add_k_proj", "add_v_proj", "norm_added_k", "image_embedder"]
    private static let otherForms = [".dora_scale", ".hada_w", ".lokr_w", ".lora_mid.", ".oft_", ".glora", ".on_input"]

    private enum Piece { case down, up, alpha, weight, bias, modulation }

    /// - Parameters:
    ///   - scale: what the change is multiplied by.
    ///   - weights: the transformer under diffusers' names.
    /// - Throws: `.badInput` naming the tensor that has no target, no other half, or another shape.
    package init(_ path: String, scale: Float, for weights: any TensorSource) throws(SoradError) {
        let source = try CheckpointFile(path).stored
        self.path = path
        func bad(_ what: String) -> SoradError { SoradError(.badInput, "\(path) \(what)") }
        let targets = LayerNames(weights)
        var pieces: [String: [Piece: String]] = [:]
        var unused = 0
        for name in source.names.sorted() {
            if let form = Self.otherForms.first(where: name.contains) {
                throw bad("has the tensor \(name): changes of the form \(form.filter { $0 != "." }) cannot be merged, only LoRA's own")
            }
            if name.hasPrefix("lora_te") || name.contains("text_encoder") {
                throw bad("changes a text encoder (\(name)), not the transformer")
            }
            if name.hasPrefix("transformer_2.") { throw bad("is for a model with a second transformer (\(name))") }
            guard let (suffix, piece) = Self.suffixes.first(where: { name.hasSuffix($0.suffix) }) else {
                throw bad("has the tensor \(name), which is no part of a LoRA that is known here")
            }
            let layer = String(name.dropLast(suffix.count))
            guard let target = targets.target(layer, prefixes: Self.prefixes) else {
                guard Self.imageLayers.contains(where: layer.contains) else {
                    throw bad("changes \(layer), which the transformer does not have")
                }
                unused += 1
                continue
            }
            guard pieces[target, default: [:]].updateValue(name, forKey: piece) == nil else { throw bad("has \(name) in two spellings") }
        }
        var changes: [String: WeightChange] = [:]
        for (layer, parts) in pieces {
            for (target, change) in try Self.changes(layer, parts, source, scale, weights) { changes[target] = change }
        }
        guard !changes.isEmpty else { throw bad("changes nothing of the transformer") }
        self.changes = changes
        notices.append("LoRA \(path) at \(scale) changes \(changes.count) tensors of the transformer")
        if unused > 0 { notices.append("LoRA \(path): \(unused) tensors for an image encoder are left out, the model has none") }
    }

    /// What the pieces of one layer change.
    private static func changes(
        _ layer: String, _ parts: [Piece: String], _ source: any StoredTensors, _ scale: Float, _ weights: any TensorSource
    ) throws(SoradError) -> [(target: String, change: WeightChange)] {
        func bad(_ what: String) -> SoradError { SoradError(.badInput, "\(source.path): \(layer) \(what)") }
        var found: [(target: String, change: WeightChange)] = []
        // A parameter without ".weight", such as a block's modulation, is its own target.
        let weight = weights.shape(of: layer) == nil ? "\(layer).weight" : layer
        for (piece, target) in [(Piece.weight, weight), (.bias, "\(layer).bias"), (.modulation, "\(layer).scale_shift_table")] {
            guard let name = parts[piece], let shape = source.shape(of: name) else { continue }
            guard let wanted = weights.shape(of: target) else { throw bad("has the difference \(name), and the transformer no \(target)") }
            guard checkedProduct(shape) == checkedProduct(wanted) else {
                throw bad("has a difference of shape \(shape) for \(target) of \(wanted): it belongs to a model of another size")
            }
            found.append((target, WeightChange(source: source, form: .difference(name), factor: scale)))
        }
        guard parts[.down] != nil || parts[.up] != nil else {
            guard parts[.alpha] == nil || !found.isEmpty else { throw bad("has an alpha and nothing that it scales") }
            return found
        }
        guard let down = parts[.down], let up = parts[.up] else { throw bad("has one half alone, of two") }
        guard parts[.weight] == nil else { throw bad("has a product and a difference") }
        guard let target = weights.shape(of: weight), let a = source.shape(of: down), let b = source.shape(of: up), let rank = a.first,
            rank > 0, b.count >= 2, b[1] == rank, b[2...].allSatisfy({ $0 == 1 }), b[0] == target.first,
            checkedProduct(Array(a.dropFirst())) == checkedProduct(Array(target.dropFirst()))
        else {
            throw bad(
                "has halves of shape \(source.shape(of: down) ?? []) and \(source.shape(of: up) ?? []) for a weight of "
                    + "\(weights.shape(of: weight) ?? []): it belongs to a model of another size")
        }
        var factor = scale
        if let alpha = parts[.alpha] {
            guard source.shape(of: alpha)?.reduce(1, *) == 1 else { throw bad("has an alpha of more than one number") }
            let value = try source.floats(of: alpha, in: 0..<1)[0]
            guard value.isFinite else { throw bad("has the alpha \(value)") }
            factor *= value / Float(rank)
        }
        found.append((weight, WeightChange(source: source, form: .product(down: down, up: up, rank: rank), factor: factor)))
        return found
    }
}

/// The layers of a transformer by every spelling of their names.
private struct LayerNames {
    /// Diffusers' name of a layer or bare parameter by its spellings: its own, Wan's, and both with underscores.
    private var layers: [String: String] = [:]

    init(_ weights: any TensorSource) {
        for name in weights.names {
            var layer = name
            for ending in [".weight", ".bias"] where name.hasSuffix(ending) { layer = String(name.dropLast(ending.count)) }
            for spelling in [layer, NameTable.wanTransformer.theirs(layer)] {
                layers[spelling] = layer
                layers[spelling.replacing(".", with: "_")] = layer
            }
            // A block as a whole, for the differences of its modulation.
            let parts = name.split(separator: ".")
            if parts.count > 2, parts[0] == "blocks" { layers["blocks.\(parts[1])"] = "blocks.\(parts[1])" }
        }
    }

    func target(_ name: String, prefixes: [String]) -> String? {
        var name = name[...]
        while true {
            if let layer = layers[String(name)] { return layer }
            guard let prefix = prefixes.first(where: name.hasPrefix) else { return nil }
            name = name.dropFirst(prefix.count)
        }
    }
}

extension String {
    fileprivate func replacing(_ old: Character, with new: Character) -> String { String(map { $0 == old ? new : $0 }) }
}
