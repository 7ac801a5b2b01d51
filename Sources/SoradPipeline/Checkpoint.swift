// Owns the state that a clip is taken up from when its worker died: the latents after some denoise step, and the encoded prompts.
// Invariant: latents, step and prompts are the whole state of denoising, so the clip then has the same frames as one that was never
// interrupted. The files stay until the daemon has recorded the result; see CheckpointName.
package import SoradAPI
package import SoradSystem
package import SoradTensor

package struct Checkpoint {
    private let latents: CheckpointFile
    private let prompts: CheckpointFile
    private let steps: Int
    private var pacing: Pacing
    private let time: TimeSource
    /// Encoded in this life of the job and not written down yet.
    private var pending: EncodedPrompts?

    /// - Parameters:
    ///   - directory: the job's own; a checkpoint in it is an earlier one of this job.
    ///   - model: the model's checksum.
    package init(
        of request: GenerationRequest, model: String, in directory: String, interval: Duration, time: TimeSource
    ) {
        self.time = time
        let digest = Checkpoint.digest(of: request, model: model)
        latents = CheckpointFile(name: CheckpointName.latents, magic: "SORADCP1", digest: digest, directory: directory)
        prompts = CheckpointFile(name: CheckpointName.prompts, magic: "SORADTE1", digest: digest, directory: directory)
        steps = request.numInferenceSteps
        pacing = Pacing(interval: interval, share: 50, start: time.monotonic())
    }

    /// The same only for the same work: request, model and program.
    package static func digest(of request: GenerationRequest, model: String) -> [UInt8] {
        SHA256.hash(Array("\(soradVersion)\n\(model)\n\(request.json.text())".utf8))
    }

    /// Fills `latent` with what an earlier worker left.
    /// - Returns: how many steps are done; 0 when there is nothing usable, and `latent` is then as it was.
    package func restore(into latent: Tensor) -> Int {
        // Steps done, elements.
        guard let (words, values) = latents.read(words: 2), values.count == latent.count, words[1] == UInt32(latent.count),
            (1...steps).contains(Int(words[0]))
        else { return 0 }
        latent.withMutableElements { elements in for index in elements.indices { elements[index] = values[index] } }
        return Int(words[0])
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

    /// Keeps prompts that were just encoded: written at once when that took long, else with the next latents.
    package mutating func keep(_ encoded: EncodedPrompts) {
        pending = encoded
        let began = time.monotonic()
        guard pacing.isDue(at: began) else { return }
        writePending()
        pacing.done(from: began, to: time.monotonic())
    }

    /// Writes `latent` down after `done` steps, if it is time for that.
    package mutating func store(_ latent: Tensor, done: Int) {
        let began = time.monotonic()
        guard pacing.isDue(at: began) else { return }
        writePending()
        latents.write(words: [UInt32(done), UInt32(latent.count)], [latent])
        pacing.done(from: began, to: time.monotonic())
    }

    private mutating func writePending() {
        guard let encoded = pending.take() else { return }
        let negativeRows = encoded.negative?.shape[0] ?? 0
        prompts.write(
            words: [UInt32(encoded.prompt.shape[0]), UInt32(negativeRows), UInt32(encoded.prompt.shape[1])],
            [encoded.prompt] + (encoded.negative.map { [$0] } ?? []))
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
