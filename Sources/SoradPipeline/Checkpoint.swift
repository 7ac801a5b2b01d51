// Owns the state from which a clip resumes when its worker died: the latents after the last denoise step, and the encoded prompts. For the
// frames, see FrameCheckpoint.
// Invariant: latents, step and prompts are the whole state of denoising, so the clip then has the same frames as one that was never
// interrupted. The files stay until the daemon has recorded the result; see CheckpointName.
package import SoradAPI
package import SoradSystem
package import SoradTensor

package final class Checkpoint {
    private let directory: String
    private let digest: [UInt8]
    private let interval: Duration
    private let syncInterval: Duration
    private let latents: CheckpointSeries
    private let prompts: CheckpointFile
    private let steps: Int
    private let time: TimeSource
    private var pacing: Pacing
    /// Written and not yet handed on to be made durable.
    private var openPrompts: OpenFile?
    /// What writing took so far.
    package private(set) var spent = Duration.zero

    /// - Parameters:
    ///   - directory: the job's own; a checkpoint in it is an earlier one of this job.
    ///   - model: the model's checksum.
    ///   - frameStages: that the frames pass through.
    ///   - syncInterval: the most work that a power cut costs; a process's death costs none of it.
    package init(
        of request: ClipPlan, model: String, frameStages: [JobPhase] = [], in directory: String, interval: Duration,
        time: TimeSource,
        syncInterval: Duration = .milliseconds(250)
    ) {
        self.directory = directory
        self.interval = interval
        self.syncInterval = syncInterval
        self.time = time
        digest = Checkpoint.digest(of: request, model: model, frameStages: frameStages)
        prompts = CheckpointFile(name: CheckpointName.prompts, magic: "SORADTE2", digest: digest, directory: directory)
        steps = request.numInferenceSteps
        let start = time.monotonic()
        pacing = Pacing(interval: interval, share: 25, start: start)
        latents = CheckpointSeries(
            CheckpointName.latents, magic: "SORADCP3", digest: digest, directory: directory,
            pacing: Pacing(interval: max(interval, syncInterval), share: 50, start: start), time: time)
    }

    /// The same only for the same work: request, model, frame stages and program.
    package static func digest(of request: ClipPlan, model: String, frameStages: [JobPhase] = []) -> [UInt8] {
        let stages = frameStages.map { "\($0.rawValue)\n" }.joined()
        return SHA256.hash(Array("\(soradVersion)\n\(model)\n\(stages)\(request.json.text())".utf8))
    }

    /// Fills the latents, and what else the sampler continues with, with what an earlier worker left.
    /// - Parameter tensors: of equal shapes; their number is the sampler's.
    /// - Returns: how many steps are done; 0 when there is nothing usable, and all is then as it was.
    package func restore(into tensors: [Tensor]) -> Int {
        let found = tensors.map { Tensor($0.shape) }
        let count = tensors[0].count
        // Steps done, elements.
        let words = latents.restore(words: 2, in: 1...steps) { words, bytes in
            words[1] == UInt32(count) && bytes == 4 * count * found.count ? found.map(\.bytes) : nil
        }
        guard let words else { return 0 }
        for (tensor, found) in zip(tensors, found) { tensor.copy(from: found) }
        return Int(words[0])
    }

    /// The prompts as an earlier worker encoded them; nil when there is nothing usable.
    /// - Parameters:
    ///   - width: of an embedding.
    ///   - length: the most rows of one.
    package func restorePrompts(width: Int, length: Int) -> EncodedPrompts? {
        var found: EncodedPrompts?
        // Rows of the prompt, rows of the negative one (0 when it is the same), width.
        let words = prompts.read(words: 3) { words, bytes in
            let (rows, negativeRows) = (Int(words[0]), Int(words[1]))
            guard Int(words[2]) == width, (1...length).contains(rows), (0...length).contains(negativeRows),
                bytes == (rows + negativeRows) * width * 4
            else { return nil }
            let prompt = Tensor(Shape(rows, width))
            let negative = negativeRows > 0 ? Tensor(Shape(negativeRows, width)) : nil
            found = EncodedPrompts(prompt: prompt, negative: negative)
            return [prompt.bytes] + (negative.map { [$0.bytes] } ?? [])
        }
        return words == nil ? nil : found
    }

    /// Keeps prompts that were just encoded.
    package func keep(_ encoded: EncodedPrompts) {
        let began = time.monotonic()
        let negativeRows = encoded.negative?.shape[0] ?? 0
        let words = [UInt32(encoded.prompt.shape[0]), UInt32(negativeRows), UInt32(encoded.prompt.shape[1])]
        let content = [encoded.prompt.bytes] + (encoded.negative.map { [$0.bytes] } ?? [])
        if let file = prompts.open(), prompts.write(words: words, content, to: file) {
            openPrompts = file
            if latents.makeDurable([file]) { openPrompts = nil }
        }
        spent = spent + (time.monotonic() - began)
    }

    /// Writes the latents, and what else the sampler continues with, down after `done` steps, unless steps are so quick that this would cost more than one part in 25. What counts
    /// is the processor's time: on a machine whose disk or processors are busy with others the steps are longer too, and worth as much.
    package func store(_ tensors: [Tensor], done: Int) {
        let (began, used) = (time.monotonic(), time.processor())
        guard pacing.isDue(at: began) else { return }
        let others = openPrompts.map { [$0] } ?? []
        let syncs = latents.store(words: [UInt32(done), UInt32(tensors[0].count)], tensors.map(\.bytes), after: others)
        if syncs { openPrompts = nil }
        let ended = time.monotonic()
        pacing.done(from: began, to: ended, cost: time.processor() - used)
        spent = spent + (ended - began)
    }

    /// The name of the file of latents that is known to be on the disk.
    package var durable: String? { latents.durable }

    /// Checkpoints of the same clip's frames.
    /// - Parameters:
    ///   - makers: the decoder and the stages behind it, not yet used.
    ///   - frameBytes: of one frame that comes out of the last.
    ///   - numFrames: the most that are kept.
    package func frames(_ makers: [any ResumableFrames], frameBytes: Int, numFrames: Int) -> FrameCheckpoint {
        FrameCheckpoint(
            makers, digest: digest, in: directory, frameBytes: frameBytes, numFrames: numFrames, interval: interval,
            syncInterval: syncInterval, time: time)
    }
}

/// What the text encoder made of a request's prompts.
package struct EncodedPrompts {
    /// [L, text width]
    package let prompt: Tensor
    /// [L, text width]; nil without guidance, when nothing looks at it.
    package let negative: Tensor?

    package init(prompt: Tensor, negative: Tensor?) {
        self.prompt = prompt
        self.negative = negative
    }
}
