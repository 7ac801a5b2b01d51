// What each stage of a clip takes of memory, from the same plans that the stages allocate by. The model file's own pages are not in it.
import SoradTensor

extension VideoModel {
    /// While prompts with the tokens of two of the full length are encoded: the text encoder's workspace, what becomes of them, and the
    /// clip's own two that were encoded before them.
    public var textBytes: Int { textEncoder.workspaceBytes(length: configuration.textLength) + 4 * promptTextBytes }

    /// While a clip is denoised: its latents, what is known of them and what they are mixed with, the prepared prompts, the workspace.
    public func denoiseBytes(_ size: LatentSize, guided: Bool) -> Int {
        let sequences = guided ? 2 : 1
        let latents = size.channels * size.frames * size.height * size.width * 4 * (sequences + 3 + configuration.samplerTensors)
        return latents + sequences * promptTextBytes
            + network.runBytes(size, prompts: sequences, textLength: configuration.textLength, pictureTokens: configuration.pictureTokens)
            + (cascade?.byteCount(size) ?? 0)
    }

    /// What a run that leaves steps out takes more: latents and velocity of the last computed step, each also as it is written
    /// down, and the velocity before it.
    public func cacheBytes(_ size: LatentSize) -> Int { size.channels * size.frames * size.height * size.width * 4 * 5 }

    /// While a clip is decoded: the network for one frame, and the latents.
    public func decodeBytes(_ size: LatentSize) -> Int { autoencoder.decodeBytes(size) + 4 * frameBytes(size) }

    /// While given frames are encoded: the network for one frame, and before it the image encoder.
    public func encodeBytes(_ size: LatentSize) -> Int {
        // Of a clip to follow there are two halves, and what is put together of them.
        let control = 2 * configuration.controlChannels * size.frames * size.height * size.width * 4
        return max(autoencoder.encodeBytes(size), imageEncoder?.workspaceBytes() ?? 0) + 4 * frameBytes(size) + control
    }

    /// Bytes of an encoded prompt.
    private var promptTextBytes: Int { configuration.textLength * configuration.textWidth * 4 }

    /// A frame as bytes, on its way in or out.
    private func frameBytes(_ size: LatentSize) -> Int {
        let scale = configuration.spatialScale
        return size.height * scale * size.width * scale * 3
    }
}
