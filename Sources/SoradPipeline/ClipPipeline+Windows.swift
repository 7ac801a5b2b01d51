// From noise to latents, window by window, each at one size or at half the sides and then at the whole. A window is conditioned on the end
// of the one before; what it brings goes into the clip's file of latents. Between two steps the whole state is the window's latents, the
// number of steps, and the file's frames before it.
import SoradAPI
import SoradModel
import SoradSystem
import SoradTensor

/// Between two steps of a window, in the host's memory.
struct WindowState {
    /// The window's latents [C, T, h, w], of half the sides during its base steps, and then what else the sampler continues with.
    var tensors: [Tensor]
    /// Steps of the clip that are done.
    var done: Int
    /// `Denoiser.words`.
    var words: [UInt32]

    /// Of the clip so far.
    var passes: Int { Int(words[0]) }
}

/// The windows of one clip, and how far an earlier worker has come with them.
struct WindowPlan {
    let windows: [ClipWindow]
    let stepsPerWindow: Int
    /// Of the first window to run; nil for a clip that begins at the beginning.
    let resumed: WindowState?

    var done: Int { resumed?.done ?? 0 }
    var total: Int { stepsPerWindow * windows.count }
    /// The window that the next step, or the last one, is of.
    var first: Int { done == 0 ? 0 : (done - 1) / stepsPerWindow }

    /// - Parameters:
    ///   - size: of all latents.
    ///   - file: of the clip's latents.
    ///   - tensors: of a state.
    init(_ request: ClipPlan, _ size: LatentSize, _ file: LatentFile, _ checkpoint: Checkpoint?, tensors: Int) {
        let windows = request.windows.isEmpty ? [ClipWindow(start: 0, end: size.frames)] : request.windows
        let (steps, base) = (request.stepsPerWindow, request.baseSteps)
        // Those of reference pictures stand before the clip's.
        let front = request.given?.references.count ?? 0
        let found = checkpoint?.restore(count: tensors) { done in
            let index = (done - 1) / steps
            guard index < windows.count, file.holds(index == 0 ? 0 : windows[index - 1].end) else { return nil }
            let scale = done - index * steps <= base ? 2 : 1
            return Shape(size.channels, front + windows[index].count, size.height / scale, size.width / scale)
        }
        resumed = found.map { WindowState(tensors: $0.tensors, done: $0.done, words: $0.numbers) }
        (self.windows, stepsPerWindow) = (windows, steps)
    }
}

extension ClipPipeline {
    /// Denoises what is left of the clip into `file`. The denoiser and its workspace are gone when this returns, so they never lie in
    /// memory together with the decoder's.
    /// - Parameter text: of the first window's scene.
    func denoise(
        _ request: ClipPlan, _ plan: WindowPlan, _ text: EncodedPrompts, _ given: ReferenceLatents, into file: LatentFile,
        _ checkpoint: Checkpoint?, _ previews: inout PreviewMaker?, _ job: RunningJob
    ) throws(SoradError) {
        var text = text
        try job.resumed(.denoising, plan.done, of: plan.total)
        for index in plan.first..<plan.windows.count {
            let window = plan.windows[index]
            if index > plan.first, window.scene != plan.windows[index - 1].scene {
                try job.during(.encodingText) { () throws(SoradError) in
                    text = try encode(request, scene: window.scene, job.stop)
                    checkpoint?.keep(text, scene: window.scene)
                }
            }
            let latent = try denoise(request, plan, index, text, given, file, checkpoint, &previews, job)
            // What the window has brought; the frames before it lie in the file already.
            for frame in (index == 0 ? 0 : plan.windows[index - 1].end)..<window.end {
                try file.write(latent, frame: frame - window.start + (given.control?.references ?? 0), at: frame)
            }
            checkpoint?.wrote(file.file)
        }
    }

    /// One window, to its end: its latents. On a device that fails, the CPU continues after the last step.
    private func denoise(
        _ request: ClipPlan, _ plan: WindowPlan, _ index: Int, _ text: EncodedPrompts, _ given: ReferenceLatents, _ file: LatentFile,
        _ checkpoint: Checkpoint?, _ previews: inout PreviewMaker?, _ job: RunningJob
    ) throws(SoradError) -> Tensor {
        var state = index == plan.first ? plan.resumed : nil
        do throws(SoradError) {
            return try denoise(request, plan, index, text, given, file, checkpoint, &previews, job, &state)
        } catch {
            try leaveDevice(error)
            return try denoise(request, plan, index, text, given, file, checkpoint, &previews, job, &state)
        }
    }

    /// - Parameter state: nil before the first step; after each step the new one.
    private func denoise(
        _ request: ClipPlan, _ plan: WindowPlan, _ index: Int, _ text: EncodedPrompts, _ given: ReferenceLatents, _ file: LatentFile,
        _ checkpoint: Checkpoint?, _ previews: inout PreviewMaker?, _ job: RunningJob, _ state: inout WindowState?
    ) throws(SoradError) -> Tensor {
        let window = plan.windows[index]
        let before = index * plan.stepsPerWindow
        if let state, state.done == before + plan.stepsPerWindow {
            job.passes = state.passes
            return state.tensors[0]
        }
        let known = try knownFrames(window, done: index == 0 ? 0 : plan.windows[index - 1].end, given, file)
        let source = try given.source.map { source throws(SoradError) in try source.read(window.start..<window.end) }
        var run = WindowRun(
            size: LatentSize(
                channels: file.channels, frames: window.count + (given.control?.references ?? 0), height: file.height, width: file.width),
            steps: request.wholeFirstStep..<request.numInferenceSteps, before: before + request.baseSteps,
            shift: Float(request.flowShift), noise: index, known: known, start: source, source: source, kept: given.kept)
        if request.baseSteps > 0, let cascade = model.cascade {
            if (state?.done ?? before) < run.before {
                try denoise(run.base(of: request, before: before, cascade), request, plan, text, given, checkpoint, &previews, job, &state)
            }
            // The finished layout is what the whole size begins with, and what it was begun with before.
            if let base = state, base.done == run.before {
                run.start = cascade.enlarge(base.tensors[0])
                job.passes = base.passes
            }
        }
        try denoise(run, request, plan, text, given, checkpoint, &previews, job, &state)
        return state!.tensors[0]
    }

    /// The steps of one size, to their end.
    /// - Parameter state: as above; on return that behind the last of the steps.
    private func denoise(
        _ run: WindowRun, _ request: ClipPlan, _ plan: WindowPlan, _ text: EncodedPrompts, _ given: ReferenceLatents,
        _ checkpoint: Checkpoint?, _ previews: inout PreviewMaker?, _ job: RunningJob, _ state: inout WindowState?
    ) throws(SoradError) {
        let noise = Tensor(Shape(run.size.channels, run.size.frames, run.size.height, run.size.width))
        noise.fillNormal(seed: request.seed, stream: SamplerRequest.stream(ofWindow: run.noise))
        var region: KnownRegion?
        if let kept = run.kept, let source = run.source { region = KnownRegion(mask: kept, latents: source, noise: noise.clone()) }
        let first = run.steps.lowerBound
        let denoiser = try model.denoiser(
            run.size, prompt: text.prompt, negativePrompt: text.negative ?? text.prompt, settings: PassSettings(request),
            steps: request.numInferenceSteps, shift: run.shift, known: run.known, clip: given.clip, control: given.control,
            region: region, firstStep: first, seed: request.seed, window: run.noise, sigmas: request.sigmas, stop: job.stop)
        // What an earlier size ended with is no state of this one.
        let resumed = state.flatMap { $0.done > run.before ? $0 : nil }
        let latent = model.backend.resident(resumed?.tensors[0] ?? noise)
        if let resumed {
            denoiser.restore(resumed.tensors.dropFirst(), words: resumed.words)
        } else if let start = run.start {
            denoiser.schedule.mix(start, into: latent, atStep: first)
        } else if denoiser.schedule.startScale != 1 {
            model.backend.affine(latent, scale: denoiser.schedule.startScale, shift: 0, into: latent)
        }
        if resumed == nil { denoiser.passes = job.passes }
        // What comes before the first step is not recorded together with it.
        try model.backend.finish()
        for step in first + (resumed?.done ?? run.before) - run.before..<run.steps.upperBound {
            try denoiser.step(step, latent, stop: job.stop)
            let tensors = ([latent] + denoiser.state).map(\.onHost)
            try model.backend.finish()
            let (words, done) = (denoiser.words, run.before + step - first + 1)
            state = WindowState(tensors: tensors, done: done, words: words)
            let picture = previews?.picture(denoiser, latent, afterStep: step)
            // What is reported has been written down.
            let isLast = job.isPutDown() && checkpoint?.storeLast(tensors, done: done, numbers: words) == true
            if !isLast { checkpoint?.store(tensors, done: done, numbers: words) }
            try job.reached(.denoising, done, of: plan.total, preview: picture)
            if isLast { throw SoradError.putDown }
        }
        job.passes = denoiser.passes
    }

    /// The frames that are given, and those that were made before.
    /// - Parameter done: latent frames of the clip that lie in `file`.
    private func knownFrames(
        _ window: ClipWindow, done: Int, _ given: ReferenceLatents, _ file: LatentFile
    ) throws(SoradError) -> ConditioningFrames? {
        var known: [(index: Int, latents: Tensor, frame: Int)] = []
        for frame in window.start..<window.end {
            if frame < done {
                let latent = frame == window.start && frame > 0 ? try still(of: frame, file) : try file.read(frame)
                known.append((frame - window.start, latent, 0))
            } else if let given = given.known[frame] {
                known.append((frame - window.start, given.latents, given.frame))
            }
        }
        return known.isEmpty ? nil : ConditioningFrames(known)
    }

    /// A window begins like a clip: with a latent frame that stands for one frame alone. This is that of the last frame of group `frame`.
    private func still(of frame: Int, _ file: LatentFile) throws(SoradError) -> Tensor {
        let first = max(0, frame - ClipPipeline.groupsBeforeStill)
        let decoder = model.decoder(total: frame - first + 1, latentHeight: file.height, latentWidth: file.width)
        var last: [UInt8] = []
        while decoder.isUnfinished {
            let latent = model.backend.resident(try file.read(first + decoder.groups))
            decoder.next(latent, stop: {}) { _, frame in last = frame }
        }
        let scale = model.configuration.spatialScale
        return try model.encodeVideo([last], width: file.width * scale, height: file.height * scale)
    }

    /// Groups that are decoded before the one whose last frame is wanted: the decoder looks back.
    private static let groupsBeforeStill = 2
}

/// The steps of a window at one size.
private struct WindowRun {
    let size: LatentSize
    /// Of the schedule.
    let steps: Range<Int>
    /// Steps of the clip that are done when these begin.
    let before: Int
    let shift: Float
    /// Which of the clip's noises is its own.
    let noise: Int
    let known: ConditioningFrames?
    /// What is mixed into the noise at the first step, clean; nil for noise alone.
    var start: Tensor?
    /// The given clip, and which of its latent pixels stay.
    let source: Tensor?
    let kept: [Bool]?

    /// The same window at half the sides, through all steps.
    func base(of request: ClipPlan, before: Int, _ cascade: LatentCascade) -> WindowRun {
        let half = LatentSize(channels: size.channels, frames: size.frames, height: size.height / 2, width: size.width / 2)
        let source = source.map(cascade.reduce)
        return WindowRun(
            size: half, steps: request.firstStep..<request.numInferenceSteps, before: before,
            shift: Float(request.cascade?.baseFlowShift ?? request.flowShift), noise: noise + WindowRun.baseNoise,
            known: known.map { ConditioningFrames(indices: $0.indices, latents: cascade.reduce($0.latents)) }, start: source,
            source: source, kept: kept.map { halved($0, width: size.width) })
    }

    /// Far behind the noises of all windows.
    private static let baseNoise = 1 << 24

    /// A pixel of half the sides stays where all four of it do.
    private func halved(_ kept: [Bool], width: Int) -> [Bool] {
        (0..<kept.count / 4).map { pixel in
            let corner = pixel / (width / 2) * 2 * width + pixel % (width / 2) * 2
            return kept[corner] && kept[corner + 1] && kept[corner + width] && kept[corner + width + 1]
        }
    }
}
