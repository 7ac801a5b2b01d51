// Owns what is promised about a model: its defaults as the file says them, its sizes where the file declares them, and the limits derived
// from its native size.
// The rule of the limits: each side up to twice the native one, up to five times the native length, and in all up to five times the
// native volume (width × height × frames), since memory and time grow with the volume and quality fades away from the size that the
// model was trained at. For 128×128×17 that allows 256×256×17 and 128×128×81. What the position embedding cannot number is beyond
// every limit. A model that takes conditioning frames makes longer clips in windows of its native length, or of the length that the file declares,
// up to a minute at its own speed.
import SoradAPI
import SoradModel
import SoradModelFile
import SoradSystem

extension ModelInfo {
    /// - Throws: `.badInput` if the file's own defaults are not within what the model can make.
    init(_ file: ModelFile, _ configuration: ModelConfiguration) throws(SoradError) {
        let native = configuration.defaults
        // H.264 with 4:2:0 chroma needs even sizes.
        let sizeMultiple = configuration.sizeMultiple * (configuration.sizeMultiple % 2 == 0 ? 1 : 2)
        let frameMultiple = configuration.frameMultiple
        func largestSide(_ native: Int) -> Int { min(2 * native, configuration.maxSide, 4096) / sizeMultiple * sizeMultiple }
        let slides =
            configuration.takesConditioningFrames && !configuration.takesConditioningClip && !configuration.takesControl
            && frameMultiple == configuration.timeScale && native.numFrames > 1
        let together = ModelInfo.framesTogether(native.numFrames, configuration)
        let frames = slides ? min(max(together, ModelInfo.longestSeconds * native.fps), 9_000) : together
        let (volume, overflow) = (native.width * native.height).multipliedReportingOverflow(by: 5 * native.numFrames)
        guard !overflow else {
            throw SoradError(
                .badInput, "\(file.path): the native size is \(native.width)×\(native.height)×\(native.numFrames), which is too large")
        }
        self.init(
            id: configuration.id, sha256: file.sha256, created: try file.metadata.integer("sorad.created", in: 0...Int.max),
            license: try file.metadata.string("general.license"), defaultWidth: native.width, defaultHeight: native.height,
            defaultNumFrames: native.numFrames, fps: native.fps, sizeMultiple: sizeMultiple, frameMultiple: frameMultiple,
            maxWidth: largestSide(native.width), maxHeight: largestSide(native.height),
            maxNumFrames: 1 + (frames + (slides ? frameMultiple - 2 : -1)) / frameMultiple * frameMultiple, maxPixels: volume,
            defaultNumInferenceSteps: native.numInferenceSteps, defaultGuidanceScale: Double(native.guidanceScale),
            defaultFlowShift: Double(native.flowShift),
            takesConditioningFrames: configuration.takesConditioningFrames, textLength: configuration.textLength)
        picturesNeeded = configuration.picturesNeeded
        hasExperts = configuration.hasExperts
        takesControl = configuration.takesControl
        if slides { windowFrames = try ModelInfo.windowFrames(file.metadata, native.numFrames, together, group: frameMultiple) }
        if let own = configuration.cascade {
            cascade = ModelCascade(refineFrom: own.refineFrom, baseFlowShift: Double(own.baseFlowShift), leastSide: own.leastSide)
        }
        upscales = file.metadata.contains("upscaler.blocks")
        interpolates = file.metadata.contains("interpolator.blocks")
        declaredSizes = try ModelInfo.declaredSizes(file.metadata)
        for size in declaredSizes {
            guard size.width % sizeMultiple == 0, size.height % sizeMultiple == 0, size.width <= maxWidth, size.height <= maxHeight else {
                throw SoradError(
                    .badInput,
                    "\(file.path): sorad.sizes has \(size.text), which is no multiple of \(sizeMultiple) up to \(maxWidth)x\(maxHeight)")
            }
        }
        try setRequested(file)
        // A default that no request may ask for would fail each request that asks for nothing.
        for (key, value, range) in [
            ("sorad.native.fps", Double(native.fps), Double(ClipPlan.fpsRange.lowerBound)...Double(ClipPlan.fpsRange.upperBound)),
            ("sorad.default.guidance_scale", defaultGuidanceScale, ClipPlan.guidanceScaleRange),
            ("sorad.default.flow_shift", defaultFlowShift, ClipPlan.flowShiftRange),
            (
                "sorad.default.num_inference_steps", Double(native.numInferenceSteps),
                Double(ClipPlan.numInferenceStepsRange.lowerBound)...Double(ClipPlan.numInferenceStepsRange.upperBound)
            ),
        ] where !range.contains(value) {
            throw SoradError(
                .badInput, "\(file.path): \(key) is \(value), and requests may ask for \(range.lowerBound) to \(range.upperBound)",
                hint: "convert the checkpoint again with the sorad-quantize of this version")
        }
        do throws(SoradError) {
            try sizes.check(width: native.width, height: native.height, numFrames: native.numFrames, fps: native.fps)
        } catch {
            throw SoradError(.badInput, "\(file.path) has a native size that it cannot make: \(error.message)")
        }
    }
}

extension ModelInfo {
    /// What requests get that name no size and no length, where the file says another one than the native.
    private mutating func setRequested(_ file: ModelFile) throws(SoradError) {
        let data = file.metadata
        guard data.contains("sorad.default.width") else { return }
        let (width, height, frames) = (defaultWidth, defaultHeight, defaultNumFrames)
        defaultWidth = try data.integer("sorad.default.width", in: 1...maxWidth)
        defaultHeight = try data.integer("sorad.default.height", in: 1...maxHeight)
        defaultNumFrames = try data.integer("sorad.default.num_frames", in: 1...maxNumFrames)
        do throws(SoradError) {
            try sizes.check(width: defaultWidth, height: defaultHeight, numFrames: defaultNumFrames, fps: fps)
        } catch {
            // A checkpoint of other patches: its own size is the default.
            (defaultWidth, defaultHeight, defaultNumFrames) = (width, height, frames)
        }
    }

    /// Of a clip that is made in windows.
    private static let longestSeconds = 60

    /// Frames that a model can denoise together.
    static func framesTogether(_ native: Int, _ configuration: ModelConfiguration) -> Int {
        min(1 + 5 * (native - 1), configuration.maxNumFrames, 10_000)
    }

    /// Frames of a window: as declared, else the native length.
    private static func windowFrames(_ data: Metadata, _ native: Int, _ most: Int, group: Int) throws(SoradError) -> Int {
        let key = "sorad.window.num_frames"
        guard data.contains(key) else { return native }
        let frames = try data.integer(key, in: 1 + group...max(most, 1 + group))
        guard (frames - 1) % group == 0 else {
            throw SoradError(.badInput, "\(data.path): \(key) is \(frames), not 1 plus a multiple of \(group)")
        }
        return frames
    }

    private static func declaredSizes(_ data: Metadata) throws(SoradError) -> [PictureSize] {
        let key = "sorad.sizes"
        guard data.contains(key) else { return [] }
        var sizes: [PictureSize] = []
        for text in try data.strings(key) {
            guard let size = PictureSize(text), sizes.count < 64 else {
                throw SoradError(.badInput, "\(data.path): \(key) has \"\(text.prefix(32))\", not WIDTHxHEIGHT, or more than 64 sizes")
            }
            sizes.append(size)
        }
        return sizes
    }
}
