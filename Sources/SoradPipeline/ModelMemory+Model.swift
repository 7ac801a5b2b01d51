// Turns the engine's plans into the coefficients of `ModelMemory`.
// A plan grows nearly linearly with the size of a clip: tensors are linear in the number of tokens or pixels, some have a largest size, some
// a border. The line takes its slope from the largest sizes and its start from the size that needs most above it.
import SoradAPI
import SoradMedia
import SoradModel
import SoradSystem
import SoradTensor

extension ModelMemory {
    /// Code, tables and stacks that the first clip brings into memory, found by measuring (MemoryTests.swift holds it).
    private static let firstClipBytes = 2 << 20

    /// - Parameters:
    ///   - model: loaded in this process.
    ///   - file: of the model.
    ///   - weights: bytes of the file's tensors whose names begin so.
    ///   - info: the sizes that it makes.
    ///   - frameStages: that its clips may pass through.
    init(
        _ model: VideoModel, file: FileIdentity, weights: (String) -> Int, _ info: ModelInfo, frameStages: [any FrameStageKind]
    ) {
        let c = model.configuration
        let sizes = ModelMemory.samples(info, ModelInfo.framesTogether(info.defaultNumFrames, c)).compactMap { sample in
            try? c.latentSize(width: sample.width, height: sample.height, numFrames: sample.frames)
        }
        func latents(_ size: LatentSize) -> Int { size.frames * size.height * size.width }
        func byLatents(when condition: Condition, _ bytes: (LatentSize) -> Int) -> Part {
            Part(.latentPixels, above: sizes.map { (latents($0), bytes($0)) }).when(condition)
        }
        func byPixels(_ bytes: (LatentSize) -> Int) -> Part {
            Part(.framePixels, above: sizes.map { ($0.height * $0.width * c.spatialScale * c.spatialScale, bytes($0)) })
        }
        let chart = LatentPreview.chartSide(c)
        let chartSize = LatentSize(
            channels: c.latentChannels, frames: 1, height: chart / c.spatialScale, width: chart / c.spatialScale)
        // All tensors of latents are there while frames are encoded or decoded, so the largest clip's are added.
        let mostLatents = sizes.map { latents($0) * c.latentChannels * 4 }.max() ?? 0
        let pages = min(Int(file.size), ModelMemory.pagesNeeded)
        func beyond(_ prefixes: String...) -> Int { max(0, prefixes.reduce(0) { $0 + weights($1) } - pages) }
        let behind = ["upscaler.", "interpolator."].reduce(0) { $0 + weights($1) }
        self.init(
            base: MemoryHeadroom.resident(without: file) + pages + ModelMemory.firstClipBytes
                + model.backend.ownBytes,
            spatialScale: c.spatialScale, timeScale: c.timeScale,
            stages: [
                // While the longest prompt is encoded, or the previews are prepared.
                Stage(
                    .encodingText,
                    [Part(.worker, .framePixels, fixed: max(model.textBytes, model.encodeBytes(chartSize)), perUnit: 0)],
                    // Of its table, a prompt reads a few rows.
                    weights: max(0, weights("te.block.") - pages)),
                Stage(
                    .encodingFrames,
                    [
                        byPixels { model.encodeBytes($0) + 2 * mostLatents }.when(.given),
                        byPixels { model.decodeBytes($0) }.when(.decodingGiven),
                        Part(.worker, when: .given, .contextPixels, fixed: 0, perUnit: 3), FrameReader.memory.when(.given),
                    ], weights: beyond("vae.", "ie.")),
                // Of two transformers, one at a time is asked.
                Stage(
                    .denoising,
                    [
                        byLatents(when: .unguided) { model.denoiseBytes($0, guided: false) },
                        byLatents(when: .guided) { model.denoiseBytes($0, guided: true) },
                        byLatents(when: .cached) { model.cacheBytes($0) },
                    ], weights: max(0, max(weights("dit.") - weights("dit.low_noise."), weights("dit.low_noise.")) - pages)),
                // Between two windows.
                Stage(.denoising, [byPixels { model.decodeBytes($0) + model.encodeBytes($0) }.when(.windowed)]),
                Stage(
                    .decoding,
                    [byPixels { model.decodeBytes($0) + 2 * mostLatents }, ClipEncoder.memory] + frameStages.flatMap(\.memory),
                    weights: max(0, weights("vae.decoder.") + behind - pages)),
                // The frames of given clips pass by before and after the new ones are decoded.
                Stage(
                    .decoding,
                    [
                        byPixels { model.decodeBytes($0) }.when(.extending), byPixels { model.decodeBytes($0) }.when(.decodingGiven),
                        FrameReader.memory.when(.extending), ClipEncoder.memory.when(.extending),
                    ] + frameStages.flatMap(\.memory)),
                Stage(.writing, [ClipEncoder.markingMemory]),
            ])
    }

    /// Sizes at the corners of what a model makes, and its own.
    /// - Parameter together: the most frames of one window.
    private static func samples(_ info: ModelInfo, _ together: Int) -> [(width: Int, height: Int, frames: Int)] {
        let widths = [info.sizeMultiple, info.defaultWidth, info.maxWidth / 2 / info.sizeMultiple * info.sizeMultiple, info.maxWidth]
        let heights = [info.sizeMultiple, info.defaultHeight, info.maxHeight / 2 / info.sizeMultiple * info.sizeMultiple, info.maxHeight]
        return widths.filter { $0 > 0 }.flatMap { width in
            heights.filter { $0 > 0 }.flatMap { height in
                let most = min(together, info.maxPixels / (width * height))
                return [1, info.defaultNumFrames, 1 + (most / 2) / info.frameMultiple * info.frameMultiple, most].compactMap { wanted in
                    let frames = 1 + (min(wanted, most) - 1) / info.frameMultiple * info.frameMultiple
                    return wanted > 0 && most > 0 ? (width, height, frames) : nil
                }
            }
        }
    }
}

extension ModelMemory.Part {
    /// The worker's part along the line that no sample lies above; its slope is that between the largest sample and the largest of about
    /// half its size.
    fileprivate init(_ measure: ModelMemory.Measure, above samples: [(units: Int, bytes: Int)]) {
        guard let largest = samples.max(by: { $0.units < $1.units }) else {
            self.init(.worker, measure, fixed: 0, perUnit: 0)
            return
        }
        let half = samples.filter { 3 * $0.units <= 2 * largest.units }.max { $0.units < $1.units }
        let (rise, run) = half.map { (largest.bytes - $0.bytes, largest.units - $0.units) } ?? (largest.bytes, max(largest.units, 1))
        let slope = max(0, (rise + run - 1) / run)
        self.init(.worker, measure, fixed: samples.reduce(0) { max($0, $1.bytes - slope * $1.units) }, perUnit: slope)
    }
}
