// The sizes of the image encoder, read from a model file and checked once.
import SoradModelFile
package import SoradSystem
package import SoradTensor

/// CLIP's vision transformer (transformers CLIPVisionModel; Radford et al. 2021).
package struct CLIPConfiguration: ImageEncoderConfiguration {
    package let width: Int
    let layers, heads, feedForward: Int
    /// Pixels along a side of the picture that it sees, and of a patch.
    let imageSize, patch: Int
    let epsilon: Float
    /// GELU as x·σ(1.702·x) instead of x·Φ(x).
    let isQuickGELU: Bool
    /// Of the red, green and blue values in [0, 1].
    let mean, deviation: [Float]

    var headWidth: Int { width / heads }
    /// Patches, and the class embedding in front of them.
    package var tokens: Int { imageSize / patch * (imageSize / patch) + 1 }

    init(_ data: Metadata) throws(SoradError) {
        width = try data.integer("ie.hidden_size", in: 2...65536)
        layers = try data.integer("ie.num_hidden_layers", in: 2...256)
        heads = try data.integer("ie.num_attention_heads", in: 1...256)
        feedForward = try data.integer("ie.intermediate_size", in: 1...65536)
        imageSize = try data.integer("ie.image_size", in: 1...2048)
        patch = try data.integer("ie.patch_size", in: 1...256)
        epsilon = try data.float("ie.layer_norm_eps")
        mean = try data.floats("ie.image_mean")
        deviation = try data.floats("ie.image_std")
        let activation = try data.string("ie.hidden_act")
        guard ["gelu", "quick_gelu"].contains(activation) else {
            throw SoradError(.badInput, "\(data.path): ie.hidden_act is \"\(activation)\", and only gelu and quick_gelu are known")
        }
        isQuickGELU = activation == "quick_gelu"
        guard width % heads == 0, width / heads % 2 == 0, imageSize % patch == 0, imageSize / patch <= 64 else {
            throw SoradError(
                .badInput,
                "\(data.path): an image encoder of \(width) channels in \(heads) heads, \(imageSize) pixels in patches of \(patch)")
        }
        guard mean.count == 3, deviation.count == 3, deviation.allSatisfy({ $0 > 0 }) else {
            throw SoradError(.badInput, "\(data.path): ie.image_mean and ie.image_std have three numbers each, and no deviation is 0")
        }
    }

    package func encoder(_ weights: WeightReader, _ backend: any ComputeBackend) throws(SoradError) -> any ImageEncoder {
        try CLIPEncoder(self, weights, backend)
    }
}
