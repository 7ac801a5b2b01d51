// Owns the state that a clip is taken up from when its worker died: the latents after the last denoise step, and the encoded prompts.
// Invariant: latents, step and prompts are the whole state of denoising, so the clip then has the same frames as one that was never
// interrupted. The files stay until the daemon has recorded the result; see CheckpointName.
//
// Latents are written after every step and nobody waits for the disk: what was written survives the death of the process. For the death
// of the machine a thread of its own makes the newest durable. A step is never written over the newest, the one that is being made
// durable, or the newest that is durable, so whatever dies, and whenever, a whole one is left: hence four files in turn.
package import SoradAPI
package import SoradSystem
package import SoradTensor

package final class Checkpoint {
    private let latents: [CheckpointFile]
    private let prompts: CheckpointFile
    private let steps: Int
    private let time: TimeSource
    private let sync: BackgroundSync
    private var pacing: Pacing
    /// Steps done as each file of latents has it; 0 where it is of no use.
    private var held: [Int]
    private var isOpen: [OpenFile?]
    /// Written and not yet handed on to be made durable.
    private var openPrompts: OpenFile?
    /// What writing took so far.
    package private(set) var spent = Duration.zero

    /// - Parameters:
    ///   - directory: the job's own; a checkpoint in it is an earlier one of this job.
    ///   - model: the model's checksum.
    ///   - syncInterval: a power cut costs so much work at most; a process's death costs none of it.
    package init(
        of request: GenerationRequest, model: String, in directory: String, interval: Duration, time: TimeSource,
        syncInterval: Duration = .milliseconds(250)
    ) {
        self.time = time
        let digest = Checkpoint.digest(of: request, model: model)
        latents = CheckpointName.latents.map { CheckpointFile(name: $0, magic: "SORADCP3", digest: digest, directory: directory) }
        prompts = CheckpointFile(name: CheckpointName.prompts, magic: "SORADTE2", digest: digest, directory: directory)
        steps = request.numInferenceSteps
        let start = time.monotonic()
        pacing = Pacing(interval: interval, share: 25, start: start)
        sync = BackgroundSync(
            directory: directory, pacing: Pacing(interval: max(interval, syncInterval), share: 50, start: start), time: time)
        held = latents.map { _ in 0 }
        isOpen = latents.map { _ in nil }
    }

    /// The same only for the same work: request, model and program.
    package static func digest(of request: GenerationRequest, model: String) -> [UInt8] {
        SHA256.hash(Array("\(soradVersion)\n\(model)\n\(request.json.text())".utf8))
    }

    /// Fills `latent` with what an earlier worker left.
    /// - Returns: how many steps are done; 0 when there is nothing usable, and `latent` is then as it was.
    package func restore(into latent: Tensor) -> Int {
        var newest: (slot: Int, done: Int, values: [Float])?
        for (slot, file) in latents.enumerated() {
            // Steps done, elements.
            guard let (words, values) = file.read(words: 2), values.count == latent.count, words[1] == UInt32(latent.count) else {
                continue
            }
            let done = Int(words[0])
            if (1...steps).contains(done), done > newest?.done ?? 0 { newest = (slot, done, values) }
        }
        guard let newest else { return 0 }
        latent.withMutableElements { elements in for index in elements.indices { elements[index] = newest.values[index] } }
        // The dead worker may not have come to it, and the other files are about to be written over.
        latents[newest.slot].makeDurable()
        held[newest.slot] = newest.done
        sync.hasDurable(newest.slot)
        return newest.done
    }

    /// The prompts as an earlier worker encoded them; nil when there is nothing usable.
    /// - Parameters:
    ///   - width: of an embedding.
    ///   - length: the most rows of one.
    package func restorePrompts(width: Int, length: Int) -> EncodedPrompts? {
        // Rows of the prompt, rows of the negative one (0 when it is the same), width.
        guard let (words, values) = prompts.read(words: 3), Int(words[2]) == width else { return nil }
        let (rows, negativeRows) = (Int(words[0]), Int(words[1]))
        guard (1...length).contains(rows), (0...length).contains(negativeRows), values.count == (rows + negativeRows) * width else {
            return nil
        }
        let prompt = Tensor(Shape(rows, width), Array(values[..<(rows * width)]))
        guard negativeRows > 0 else { return EncodedPrompts(prompt: prompt, negative: nil) }
        return EncodedPrompts(prompt: prompt, negative: Tensor(Shape(negativeRows, width), Array(values[(rows * width)...])))
    }

    /// Keeps prompts that were just encoded.
    package func keep(_ encoded: EncodedPrompts) {
        let began = time.monotonic()
        let negativeRows = encoded.negative?.shape[0] ?? 0
        let content = prompts.content(
            words: [UInt32(encoded.prompt.shape[0]), UInt32(negativeRows), UInt32(encoded.prompt.shape[1])],
            [encoded.prompt] + (encoded.negative.map { [$0] } ?? []))
        // A disk that takes no checkpoint is no reason to give up a clip: the next worker would only have more to do.
        if let file = prompts.open(), file.write(content) { openPrompts = file }
        spent = spent + (time.monotonic() - began)
        makeDurable(slot: nil)
    }

    /// Writes `latent` down after `done` steps, unless steps are so quick that this would cost more than one part in 25. What counts
    /// is the processor's time: on a machine whose disk or processors are busy with others the steps are longer too, and worth as much.
    package func store(_ latent: Tensor, done: Int) {
        let (began, used) = (time.monotonic(), time.processor())
        guard pacing.isDue(at: began) else { return }
        let newest = held.indices.max { held[$0] < held[$1] }.flatMap { held[$0] > 0 ? $0 : nil }
        let spared = sync.spared + (newest.map { [$0] } ?? [])
        guard let slot = held.indices.filter({ !spared.contains($0) }).min(by: { held[$0] < held[$1] }) else {
            preconditionFailure("\(spared) of \(held.count) files spared")
        }
        held[slot] = 0
        if isOpen[slot] == nil { isOpen[slot] = latents[slot].open() }
        let content = latents[slot].content(words: [UInt32(done), UInt32(latent.count)], [latent])
        if let file = isOpen[slot], file.write(content) { held[slot] = done }
        let ended = time.monotonic()
        pacing.done(from: began, to: ended, cost: time.processor() - used)
        spent = spent + (ended - began)
        if held[slot] == done { makeDurable(slot: slot) }
    }

    /// The name of the file of latents that is known to be on the disk.
    package var durable: String? { sync.durable.map { latents[$0].name } }

    private func makeDurable(slot: Int?) {
        let files = [openPrompts, slot.flatMap { isOpen[$0] }].compactMap { $0 }
        if sync.begin(files, slot: slot) { openPrompts = nil }
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
