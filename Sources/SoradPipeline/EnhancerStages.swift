// The frame stages that a model's own networks make: interpolation, which doubles the rate, and upscaling behind it, which doubles or
// quadruples the sides. Frames between two stages are bytes, so ×4 is ×2 twice.
import SoradAPI
import SoradMedia
import SoradModel
import SoradSystem
import SoradTensor

extension FrameStages {
    /// Those of a model, in the order in which frames pass.
    static func all(_ model: VideoModel) -> [any FrameStageKind] {
        func enhancer(_ kind: FrameEnhancer.Kind) -> FrameEnhancer? { model.enhancers.first { $0.kind == kind } }
        var kinds: [any FrameStageKind] = []
        if let interpolator = enhancer(.interpolator) { kinds.append(Interpolation(enhancer: interpolator)) }
        if let upscaler = enhancer(.upscaler) { kinds.append(Upscaling(enhancer: upscaler)) }
        return kinds
    }
}

/// Between two frames comes a new one, and the last frame comes twice: the clip plays as long as before.
private struct Interpolation: FrameStageKind {
    let enhancer: FrameEnhancer

    let phase = JobPhase.interpolating
    let secondsPerPixel = 1e-6

    var memory: [ModelMemory.Part] { [.of(when: .interpolated) { enhancer.byteCount(width: $0, height: $0) }] }

    func output(_ input: ClipFormat, for request: ClipPlan) throws(SoradError) -> ClipFormat? {
        guard request.interpolate > 1 else { return nil }
        return try ClipFormat(width: input.width, height: input.height, numFrames: 2 * input.numFrames, fps: 2 * input.fps)
    }

    func stage(_ input: ClipFormat, for request: ClipPlan) throws(SoradError) -> any FrameStage {
        try checkSize(enhancer, input.width, input.height)
        return Stage(enhancer.run(width: input.width, height: input.height))
    }

    final class Stage: FrameStage {
        private let run: EnhancerRun

        init(_ run: EnhancerRun) { self.run = run }

        var counters: [UInt32] { run.counters }
        var memory: [ByteBuffer] { run.memory }
        func resume(_ counters: [UInt32]) { run.resume(counters) }

        func push(_ frame: [UInt8], emit: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
            if let made = run.push(frame) { try emit(bytes(of: made)) }
            try emit(frame)
        }

        func finish(emit: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
            if run.frames > 0 { try emit(bytes(of: run.lastFrame)) }
        }
    }
}

/// Each frame becomes one of twice the sides, once or twice.
private struct Upscaling: FrameStageKind {
    let enhancer: FrameEnhancer

    let phase = JobPhase.upscaling
    let secondsPerPixel = 2e-6

    var memory: [ModelMemory.Part] {
        [
            .of(when: .upscaled) { enhancer.byteCount(width: $0, height: $0) },
            .of(when: .upscaledTwice) { enhancer.byteCount(width: 2 * $0, height: 2 * $0) },
        ]
    }

    func output(_ input: ClipFormat, for request: ClipPlan) throws(SoradError) -> ClipFormat? {
        guard request.upscale > 1 else { return nil }
        return try ClipFormat(
            width: request.upscale * input.width, height: request.upscale * input.height, numFrames: input.numFrames, fps: input.fps)
    }

    func stage(_ input: ClipFormat, for request: ClipPlan) throws(SoradError) -> any FrameStage {
        try checkSize(enhancer, input.width, input.height)
        var runs = [enhancer.run(width: input.width, height: input.height)]
        if request.upscale == 4 { runs.append(enhancer.run(width: 2 * input.width, height: 2 * input.height)) }
        return Stage(runs)
    }

    final class Stage: FrameStage {
        private let runs: [EnhancerRun]

        init(_ runs: [EnhancerRun]) { self.runs = runs }

        var counters: [UInt32] { runs.flatMap(\.counters) }
        var memory: [ByteBuffer] { runs.flatMap(\.memory) }

        func resume(_ counters: [UInt32]) {
            let each = counters.count / runs.count
            for (index, run) in runs.enumerated() { run.resume(Array(counters[index * each..<(index + 1) * each])) }
        }

        func push(_ frame: [UInt8], emit: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
            var frame = frame
            for run in runs {
                guard let made = run.push(frame) else { preconditionFailure("an upscaler that makes nothing of a frame") }
                frame = bytes(of: made)
            }
            try emit(frame)
        }

        func finish(emit: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {}
    }
}

private func bytes(of image: Tensor) -> [UInt8] {
    var bytes: [UInt8] = []
    image.appendBytes(to: &bytes)
    return bytes
}

private func checkSize(_ enhancer: FrameEnhancer, _ width: Int, _ height: Int) throws(SoradError) {
    guard width % enhancer.sizeMultiple == 0, height % enhancer.sizeMultiple == 0 else {
        throw SoradError(
            .badInput,
            "the \(enhancer.kind.rawValue) takes frames whose sides are multiples of \(enhancer.sizeMultiple), not \(width)x\(height)",
            param: enhancer.kind == .upscaler ? "upscale" : "interpolate")
    }
}

extension ModelMemory.Part {
    /// The worker's part that grows with the pixels of a frame as the model makes it.
    /// - Parameter bytes: of a square frame of this side.
    fileprivate static func of(when condition: ModelMemory.Condition, _ bytes: (_ side: Int) -> Int) -> ModelMemory.Part {
        let (small, large) = (64, 512)
        let slope = max(0, (bytes(large) - bytes(small)) / (large * large - small * small) + 1)
        // Narrow pictures have more border for their pixels.
        return ModelMemory.Part(
            .worker, when: condition, .framePixels, fixed: max(0, bytes(small) - slope * small * small) + 1 << 20, perUnit: slope)
    }
}
