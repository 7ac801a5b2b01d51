// Owns the conditioning on a part of the picture: latent pixels that are given keep to their own way from noise to the clip, and the others
// are denoised next to them. It asks nothing of the network. Source: Lugmayr et al. 2022, "RePaint", section 4.1, without resampling.
import SoradSystem
public import SoradTensor

/// Latent pixels that are given in every latent frame.
public struct KnownRegion {
    /// [h · w]: true where the pixel is given.
    public let mask: [Bool]
    /// [C, T, h, w]: the given latents, and the noise from which the clip begins; in the host's memory.
    public let latents, noise: Tensor

    public init(mask: [Bool], latents: Tensor, noise: Tensor) {
        precondition(
            latents.shape.rank == 4 && latents.shape == noise.shape && mask.count == latents.shape[2] * latents.shape[3],
            "\(mask.count) pixels, latents \(latents.shape), noise \(noise.shape)")
        self.mask = mask
        self.latents = latents
        self.noise = noise
    }

    /// Sets the given pixels of `latent` [C, T, h, w] to where they are at noise level `sigma`.
    func apply(to latent: Tensor, sigma: Float) {
        precondition(latent.shape == latents.shape, "latents \(latent.shape) for a region of \(latents.shape)")
        let (plane, share) = (mask.count, 1 - sigma)
        latents.withElements { clip in
            noise.withElements { noise in
                latent.withMutableElements { values in
                    for start in stride(from: 0, to: values.count, by: plane) {
                        for pixel in 0..<plane where mask[pixel] {
                            values[start + pixel] = share * clip[start + pixel] + sigma * noise[start + pixel]
                        }
                    }
                }
            }
        }
    }
}
