// Owns the state from which a clip resumes when its worker died: the latents after the last denoise step, and the encoded prompts. For the
// frames, see FrameCheckpoint.
// Invariant: latents, step, what the denoiser keeps and prompts are the whole state of denoising, so the clip then has the same frames as one that was never
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
    private var unsynced: [OwnedFile] = []
    /// What writing took so far.
    package private(set) var spent = Duration.zero

    /// - Parameters:
    ///   - directory: the job's own; a checkpoint in it is an earlier one of this job.
    ///   - digest: of the work.
    ///   - syncInterval: the most work that a power cut costs; a process's death costs none of it.
    package init(
        of request: ClipPlan, digest: [UInt8], in directory: String, interval: Duration, time: TimeSource,
        syncInterval: Duration = .milliseconds(250)
    ) {
        self.directory = directory
        self.interval = interval
        self.syncInterval = syncInterval
        self.time = time
        self.digest = digest
        prompts = CheckpointFile(name: CheckpointName.prompts, magic: "SORADTE3", digest: digest, directory: directory)
        steps = request.stepsToRun
        let start = time.monotonic()
        pacing = Pacing(interval: interval, share: 25, start: start)
        latents = CheckpointSeries(
            CheckpointName.latents, magic: "SORADCP4", digest: digest, directory: directory,
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
        guard let found = restore(count: tensors.count, { _ in tensors[0].shape }) else { return 0 }
        for (tensor, found) in zip(tensors, found.tensors) { tensor.copy(from: found) }
        return found.done
    }

    /// The newest latents, and what else the sampler continues with, that an earlier worker left, and how many steps of the clip were then
    /// done; nil when there is nothing usable.
    /// - Parameters:
    ///   - count: of tensors; the sampler's.
    ///   - shape: of each of them after that number of steps; nil when they are of no use.
    package func restore(count: Int, _ shape: (_ done: Int) -> Shape?) -> (tensors: [Tensor], done: Int, numbers: [UInt32])? {
        var found: [Tensor] = []
        // Steps done, elements, the sampler's numbers.
        let words = latents.restore(words: 4, in: 1...steps) { words, bytes in
            guard let shape = shape(Int(words[0])), words[1] == UInt32(shape.count), bytes == 4 * shape.count * count else { return nil }
            found = (0..<count).map { _ in Tensor(shape) }
            return found.map(\.bytes)
        }
        return words.map { (found, Int($0[0]), Array($0[2...])) }
    }

    /// The prompts as an earlier worker encoded them; nil when there is nothing usable.
    /// - Parameters:
    ///   - scene: of the storyboard.
    ///   - width: of an embedding.
    ///   - length: the most rows of one.
    package func restorePrompts(scene: Int = 0, width: Int, length: Int) -> EncodedPrompts? {
        var found: EncodedPrompts?
        // Rows of the prompt, rows of the negative one (0 when it is the same), width, scene.
        let words = prompts.read(words: 4) { words, bytes in
            let (rows, negativeRows) = (Int(words[0]), Int(words[1]))
            guard Int(words[2]) == width, Int(words[3]) == scene, (1...length).contains(rows), (0...length).contains(negativeRows),
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
    package func keep(_ encoded: EncodedPrompts, scene: Int = 0) {
        let began = time.monotonic()
        let negativeRows = encoded.negative?.shape[0] ?? 0
        let words = [UInt32(encoded.prompt.shape[0]), UInt32(negativeRows), UInt32(encoded.prompt.shape[1]), UInt32(scene)]
        let content = [encoded.prompt.bytes] + (encoded.negative.map { [$0.bytes] } ?? [])
        if let file = prompts.open(), prompts.write(words: words, content, to: file) {
            unsynced.append(file)
            if latents.makeDurable(unsynced) { unsynced = [] }
        }
        spent = spent + (time.monotonic() - began)
    }

    /// The next checkpoints need what was just written to `file`.
    package func wrote(_ file: OwnedFile) { unsynced = unsynced.filter { $0 !== file } + [file] }

    /// Writes the latents, and what else the sampler continues with, down after `done` steps of the clip, unless steps are so quick that
    /// this would cost more than one part in 25. What counts
    /// is the processor's time: on a machine whose disk or processors are busy with others the steps are longer too, and worth as much.
    /// - Parameter numbers: two that belong to them.
    package func store(_ tensors: [Tensor], done: Int, numbers: [UInt32] = [0, 0]) {
        let (began, used) = (time.monotonic(), time.processor())
        guard pacing.isDue(at: began) else { return }
        let syncs = latents.store(words: [UInt32(done), UInt32(tensors[0].count)] + numbers, tensors.map(\.bytes), after: unsynced)
        if syncs { unsynced = [] }
        let ended = time.monotonic()
        pacing.done(from: began, to: ended, cost: time.processor() - used)
        spent = spent + (ended - began)
    }

    /// As `store`, as the last thing before the work is put down; no other latents are left.
    /// - Returns: whether the disk has taken it.
    package func storeLast(_ tensors: [Tensor], done: Int, numbers: [UInt32] = [0, 0]) -> Bool {
        latents.storeLast(words: [UInt32(done), UInt32(tensors[0].count)] + numbers, tensors.map(\.bytes), after: unsynced)
    }

    /// Leaves only the newest latents.
    package func keepNewest() { latents.keepNewest() }

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
