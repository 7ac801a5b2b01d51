// How a checkpoint is sampled, which its weights do not say: a model and what was distilled from it have equal shapes. Presets by name, from the
// configurations and model cards of their authors; see docs/MODELS.md.
//
// Invariant: a recipe is chosen by the user, stated by the checkpoint's own files, or proven by a tensor that only one kind of model has.
import SoradModelFile
import SoradSystem

struct SamplingRecipe {
    let name: String
    let summary: String
    /// A sampler of the engine, as `scheduler.type` names it.
    let sampler: String
    let steps: Int
    /// The timestep that the network gets in each of these steps; empty where equal steps are shifted.
    var timesteps: [Float] = []
    let shift, guidance: Double
    let width, height, frames, framesPerSecond: Int
    /// Given frames are tokens at timestep 0 (Wan 2.2 TI2V).
    var expandTimesteps = false
    /// Share of the timesteps from which on the first of two transformers is asked, and the guidance of the second.
    var boundary: Double?
    var lowNoiseGuidance: Double?
    /// What clips lack, for models that are run otherwise than they were trained.
    var caution: String?

    static let all: [SamplingRecipe] = [
        SamplingRecipe(
            name: "wan2.1-t2v", summary: "Wan 2.1 T2V 1.3B and 14B, as published", sampler: "unipc", steps: 50, shift: 3, guidance: 5,
            width: 832, height: 480, frames: 81, framesPerSecond: 16),
        SamplingRecipe(
            name: "wan2.2-ti2v", summary: "Wan 2.2 TI2V 5B, as published", sampler: "unipc", steps: 50, shift: 5, guidance: 5,
            width: 1280, height: 704, frames: 121, framesPerSecond: 24, expandTimesteps: true),
        SamplingRecipe(
            name: "wan2.1-i2v", summary: "Wan 2.1 I2V 14B for 480p, as published", sampler: "unipc", steps: 40, shift: 3, guidance: 5,
            width: 832, height: 480, frames: 81, framesPerSecond: 16),
        SamplingRecipe(
            name: "wan2.1-flf2v", summary: "Wan 2.1 FLF2V 14B (first and last frame), as published", sampler: "unipc", steps: 50, shift: 16,
            guidance: 5, width: 1280, height: 720, frames: 81, framesPerSecond: 16),
        SamplingRecipe(
            name: "wan2.1-fun-inp", summary: "Wan 2.1 Fun InP 1.3B and 14B (first picture, perhaps the last one too), as published",
            sampler: "euler", steps: 50, shift: 5, guidance: 6, width: 832, height: 480, frames: 81, framesPerSecond: 16),
        SamplingRecipe(
            name: "wan2.1-vace", summary: "Wan 2.1 VACE 1.3B and 14B (control clip, mask, reference pictures), as published",
            sampler: "unipc", steps: 50, shift: 16, guidance: 5, width: 832, height: 480, frames: 81, framesPerSecond: 16),
        SamplingRecipe(
            name: "wan2.2-t2v-a14b", summary: "Wan 2.2 T2V A14B, as published", sampler: "unipc", steps: 40, shift: 12, guidance: 4,
            width: 832, height: 480, frames: 81, framesPerSecond: 16, boundary: 0.875, lowNoiseGuidance: 3),
        SamplingRecipe(
            name: "wan2.2-i2v-a14b", summary: "Wan 2.2 I2V A14B, as published", sampler: "unipc", steps: 40, shift: 5, guidance: 3.5,
            width: 832, height: 480, frames: 81, framesPerSecond: 16, boundary: 0.9, lowNoiseGuidance: 3.5),
        SamplingRecipe(
            name: "fastwan2.1", summary: "FastWan 2.1 T2V, 3 steps", sampler: "renoise", steps: 3, timesteps: [1000, 757, 522], shift: 8,
            guidance: 1, width: 832, height: 480, frames: 81, framesPerSecond: 16),
        SamplingRecipe(
            name: "fastwan2.2", summary: "FastWan 2.2 TI2V 5B, 3 steps", sampler: "renoise", steps: 3, timesteps: [1000, 757, 522],
            shift: 5,
            guidance: 1, width: 1280, height: 704, frames: 121, framesPerSecond: 24, expandTimesteps: true),
        SamplingRecipe(
            name: "lightx2v", summary: "LightX2V step distillation of Wan 2.1 T2V, 4 steps", sampler: "euler", steps: 4, shift: 5,
            guidance: 1,
            width: 832, height: 480, frames: 81, framesPerSecond: 16),
        SamplingRecipe(
            name: "ti2v-turbo", summary: "Wan 2.2 TI2V 5B Turbo, 4 steps", sampler: "renoise", steps: 4, shift: 1, guidance: 1, width: 1280,
            height: 704, frames: 121, framesPerSecond: 24, expandTimesteps: true),
        SamplingRecipe(
            name: "turbowan", summary: "TurboDiffusion's Wan 2.1 T2V, 4 steps", sampler: "renoise", steps: 4,
            timesteps: [987.6543, 933.7810, 852.8961, 608.9788], shift: 1, guidance: 1, width: 832, height: 480, frames: 81,
            framesPerSecond: 16),
        SamplingRecipe(
            name: "rcm", summary: "rCM of Wan 2.1 T2V, 4 steps", sampler: "renoise", steps: 4,
            timesteps: [987.6543, 782.7081, 608.9788, 406.2240],
            shift: 1, guidance: 1, width: 832, height: 480, frames: 81, framesPerSecond: 16),
        SamplingRecipe(
            name: "causvid", summary: "CausVid 1.3B, 3 steps", sampler: "renoise", steps: 3, timesteps: [1000, 757, 522], shift: 8,
            guidance: 1,
            width: 832, height: 480, frames: 81, framesPerSecond: 16, caution: causal),
        SamplingRecipe(
            name: "self-forcing", summary: "Self-Forcing 1.3B, 4 steps", sampler: "renoise", steps: 4, shift: 5, guidance: 1, width: 832,
            height: 480, frames: 81, framesPerSecond: 16, caution: causal),
    ]

    private static let causal =
        "it was trained to attend backwards in time only, and runs here with attention in both directions: "
        + "clips are worse than those of its own program"

    /// - Throws: `.usage` for a name that is none.
    static func named(_ name: String) throws(SoradError) -> SamplingRecipe {
        guard let recipe = all.first(where: { $0.name == name }) else {
            throw SoradError(.usage, "there is no recipe \"\(name)\"", hint: "recipes are \(all.map(\.name).joined(separator: ", "))")
        }
        return recipe
    }

    /// The recipe that tensors of a transformer prove; names as the file has them.
    static func proven(by names: [String], channels: Int?) -> SamplingRecipe? {
        guard names.contains(where: { $0.contains(".to_gate_compress.") }) else { return nil }
        return all.first { $0.name == (channels == 48 ? "fastwan2.2" : "fastwan2.1") }
    }

    /// The recipe that a diffusers folder proves: FastWan by its pipeline's class.
    static func proven(by parts: CheckpointParts) throws(SoradError) -> SamplingRecipe? {
        guard try parts.index.string("_class_name", default: "") == "WanDMDPipeline" else { return nil }
        let channels = parts.transformer.weights.shape(of: "patch_embedding.weight").flatMap { $0.count > 1 ? $0[1] : nil }
        return try named(channels == 48 ? "fastwan2.2" : "fastwan2.1")
    }

    /// What it says in the place of model_index.json.
    func index(_ path: String) -> ConfigFile {
        var object: JSONObject = ["expand_timesteps": .bool(expandTimesteps)]
        if let boundary { object["boundary_ratio"] = .double(boundary) }
        if let lowNoiseGuidance, guidance > 1 { object["low_noise_guidance"] = .double((lowNoiseGuidance - 1) / (guidance - 1)) }
        return ConfigFile(object, name: "the recipe \(name) for \(path)")
    }

    /// One sentence, always told.
    var sentence: String {
        let list = timesteps.isEmpty ? "shift \(shift)" : "timesteps \(timesteps.map { "\($0)" }.joined(separator: ", "))"
        return "recipe \(name): \(steps) steps of \(sampler), \(list), guidance \(guidance)" + (caution.map { "; \($0)" } ?? "")
    }
}
