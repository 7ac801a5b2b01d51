// Checkpoints of Wan 2.1 and 2.2 in diffusers' form, sorad-mini's own among them.
package import SoradSystem

package struct WanCheckpoint: CheckpointFamily {
    package let architecture = "sorad-wan"
    package let transformerClass = "WanTransformer3DModel"
    /// Of diffusers' WanPipeline.
    package let defaults = CardDefaults(
        width: 832, height: 480, frames: 81, framesPerSecond: 16, steps: 50, textLength: 512, guidanceScale: 5)

    package init() {}

    package func checkPipeline(_ index: ConfigFile) throws(SoradError) {
        try index.require("_class_name", oneOf: ["WanPipeline", "WanImageToVideoPipeline", "WanDMDPipeline"], default: "WanPipeline")
        for key in ["transformer_2", "boundary_ratio"] where index.isSet(key) {
            throw CheckpointParts.twoExperts("\(index.path): \(key) is set")
        }
    }

    package func network(_ config: ConfigFile, index: ConfigFile, own: ConfigFile?) throws(SoradError) -> any NetworkLayout {
        let card = own.flatMap { $0.has("expand_timesteps") ? $0 : nil } ?? index
        return try WanTransformerLayout(config, expandTimesteps: card.bool("expand_timesteps", default: false))
    }
}
