// Checkpoints of Wan 2.1 and 2.2 in diffusers' form, sorad-mini's own among them.
package import SoradSystem

package struct WanCheckpoint: CheckpointFamily {
    package let architecture = "sorad-wan"
    package let transformerClasses = ["WanTransformer3DModel", WanTransformerLayout.controlClass]
    /// Of diffusers' WanPipeline.
    package let defaults = CardDefaults(
        width: 832, height: 480, frames: 81, framesPerSecond: 16, steps: 50, textLength: 512, guidanceScale: 5)

    package init() {}

    package func checkPipeline(_ index: ConfigFile) throws(SoradError) {
        try index.require(
            "_class_name", oneOf: ["WanPipeline", "WanImageToVideoPipeline", "WanVACEPipeline", "WanDMDPipeline"],
            default: "WanPipeline")
    }

    package func network(
        _ config: ConfigFile, lowNoise: ConfigFile?, index: ConfigFile, own: ConfigFile?
    ) throws(SoradError) -> any NetworkLayout {
        let card = own.flatMap { $0.has("expand_timesteps") ? $0 : nil } ?? index
        let expands = try card.bool("expand_timesteps", default: false)
        guard let lowNoise else {
            for key in ["transformer_2", "boundary_ratio"] where index.isSet(key) {
                throw CheckpointParts.twoExperts("\(index.path): \(key) is set")
            }
            return try WanTransformerLayout(config, expandTimesteps: expands)
        }
        guard index.has("boundary_ratio") else {
            throw SoradError(
                .badInput, "\(index.path) does not say at which timestep the second transformer takes over",
                hint: "give --recipe wan2.2-t2v-a14b or wan2.2-i2v-a14b, or set boundary_ratio in model_index.json")
        }
        let experts = WanTransformerLayout.Experts(
            boundary: try index.number("boundary_ratio", in: 0.001...0.999),
            lowNoiseGuidance: try (own ?? index).number("low_noise_guidance", in: 0...100, default: 1))
        let layout = try WanTransformerLayout(config, expandTimesteps: expands, experts: experts)
        let other = try WanTransformerLayout(lowNoise, expandTimesteps: expands, experts: experts)
        guard layout == other else {
            throw SoradError(.badInput, "\(lowNoise.path): the second transformer has other sizes than the first")
        }
        return layout
    }
}
