// Clips that another worker continues.
import Glibc
import SoradAPI
import SoradCPU
import SoradPipeline
import SoradSystem
import SoradTensor
import Synchronization
import Testing

@Suite struct CheckpointTests {
    private let request = PipelineFixture.request(steps: 6)
    /// Writing a checkpoint takes no time on this clock, so every step is written.
    private static let frozen = TimeSource(monotonic: { MonotonicTime(nanoseconds: 1_000) }, unixMilliseconds: { 0 }, processor: { .zero })
    private func latent() -> Tensor { Tensor(Shape(2, 1, 2, 3), (0..<12).map { Float($0) * 0.1 - 0.3 }) }

    private func checkpoint(_ directory: String, _ request: ClipPlan, model: String = "m") -> Checkpoint {
        let digest = Checkpoint.digest(of: request, model: model)
        return Checkpoint(of: request, digest: digest, in: directory, interval: .zero, time: Self.frozen, syncInterval: .zero)
    }

    @Test func whatWasStoredComesBackToTheBit() throws {
        let directory = PipelineFixture.scratch("checkpoint")
        let stored = latent()
        stored.withMutableElements { $0[3] = -0.0 }
        let writer = checkpoint(directory, request)
        writer.store([stored], done: 2)
        writer.store([stored], done: 4)
        let found = Tensor(stored.shape)
        #expect(checkpoint(directory, request).restore(into: [found]) == 4)
        #expect(found.elements.map(\.bitPattern) == stored.elements.map(\.bitPattern))
    }

    /// Samplers of several steps continue with more than the latents; a file of another number of tensors is of no use.
    @Test func theSamplersStateComesBackToo() throws {
        let directory = PipelineFixture.scratch("checkpoint")
        let state = latent()
        state.withMutableElements { $0[5] = 7 }
        checkpoint(directory, request).store([latent(), state], done: 3)
        let found = [Tensor(state.shape), Tensor(state.shape)]
        #expect(checkpoint(directory, request).restore(into: found) == 3)
        #expect(found[0].elements == latent().elements && found[1].elements == state.elements)
        #expect(checkpoint(directory, request).restore(into: [latent()]) == 0)
    }

    /// Windows and the two sizes of a cascade have states of different lengths, which are written into the same files in turn.
    @Test func aShorterStateIsWrittenOverALongerOne() throws {
        let directory = PipelineFixture.scratch("checkpoint")
        var long = request
        long.numInferenceSteps = 12
        let writer = checkpoint(directory, long)
        func state(_ done: Int) -> Tensor {
            Tensor(Shape(2, 1, 2, 1 + (12 - done) % 5), [Float](repeating: Float(done), count: 4 * (1 + (12 - done) % 5)))
        }
        for done in 1...12 {
            writer.store([state(done)], done: done)
            let found = try #require(checkpoint(directory, long).restore(count: 1) { state($0).shape })
            #expect(found.done == done && found.tensors[0].elements == state(done).elements)
        }
    }

    /// A process that dies in the middle of a write leaves that file torn, and every other as it was.
    @Test func whateverFileIsTornAtMostOneStepIsLost() throws {
        let directory = PipelineFixture.scratch("checkpoint")
        let writer = checkpoint(directory, request)
        for done in 1...6 {
            writer.store([latent()], done: done)
            for name in PipelineFixture.names(in: directory) {
                let path = directory + "/" + name
                let whole = try bytes(path)
                for torn in [[], Array(whole.prefix(50)), whole.prefix(60) + [UInt8](repeating: 0, count: whole.count - 60)] {
                    let copy = PipelineFixture.scratch("torn")
                    for other in PipelineFixture.names(in: directory) where other != name {
                        try writeDurably(try bytes(directory + "/" + other), named: other, in: copy)
                    }
                    try writeDurably(Array(torn), named: name, in: copy)
                    #expect(checkpoint(copy, request).restore(into: [latent()]) >= done - 1)
                }
            }
        }
        // A continued one overwrites none that it may need.
        let next = checkpoint(directory, request)
        #expect(next.restore(into: [latent()]) == 6)
        let newest = try #require(next.durable)
        let before = try bytes(directory + "/" + newest)
        next.store([latent()], done: 3)
        #expect(try bytes(directory + "/" + newest) == before)
    }

    /// What is left of the files after a power cut is anything, but for the one that was synced.
    @Test func thereIsAlwaysAWholeOneOnTheDisk() throws {
        let directory = PipelineFixture.scratch("checkpoint")
        var long = request
        long.numInferenceSteps = 1_000_000
        let writer = checkpoint(directory, long)
        var durable: Set<Int> = []
        let end = MonotonicTime.now() + .seconds(60)
        var done = 0
        while durable.count < 4, MonotonicTime.now() < end {
            done += 1
            writer.store([latent()], done: done)
            usleep(500)
            guard let name = writer.durable else { continue }
            let copy = PipelineFixture.scratch("cut")
            try writeDurably(try bytes(directory + "/" + name), named: name, in: copy)
            let found = checkpoint(copy, long).restore(into: [latent()])
            #expect((1...done).contains(found) && found >= durable.max() ?? 0)
            durable.insert(found)
        }
        #expect(durable.count == 4, "\(durable)")
    }

    @Test(arguments: [true, false]) func promptsComeBackToTheBitAndOnlyWhereTheyFit(hasNegative: Bool) throws {
        let directory = PipelineFixture.scratch("checkpoint")
        let prompt = Tensor(Shape(2, 3), [0.5, -0.0, Float(bitPattern: 71_362), 3, -4, 5])
        let negative = hasNegative ? Tensor(Shape(1, 3), [7, 8, 9]) : nil
        let writer = checkpoint(directory, request)
        writer.keep(EncodedPrompts(prompt: prompt, negative: negative))
        let found = try #require(checkpoint(directory, request).restorePrompts(width: 3, length: 2))
        #expect(found.prompt.shape == prompt.shape && found.prompt.elements.map(\.bitPattern) == prompt.elements.map(\.bitPattern))
        #expect(found.negative?.elements == negative?.elements)
        #expect(checkpoint(directory, request).restorePrompts(width: 2, length: 2) == nil)
        #expect(checkpoint(directory, request).restorePrompts(width: 3, length: 1) == nil)
        #expect(checkpoint(directory, request, model: "n").restorePrompts(width: 3, length: 2) == nil)
        #expect(checkpoint(directory, request).restore(into: [latent()]) == 0)
        var damaged = try bytes(directory + "/" + CheckpointName.prompts)
        damaged[60] ^= 1
        try writeDurably(damaged, named: CheckpointName.prompts, in: directory)
        #expect(checkpoint(directory, request).restorePrompts(width: 3, length: 2) == nil)
    }

    @Test func stepsThatAreTooQuickAreNotAllWritten() throws {
        let directory = PipelineFixture.scratch("checkpoint")
        let now = Mutex<Int64>(1_000)
        let clock = TimeSource(monotonic: { MonotonicTime(nanoseconds: now.withLock { $0 }) }, unixMilliseconds: { 0 })
        let digest = Checkpoint.digest(of: request, model: "m")
        let writer = Checkpoint(of: request, digest: digest, in: directory, interval: .milliseconds(500), time: clock)
        writer.store([latent()], done: 1)
        #expect(checkpoint(directory, request).restore(into: [latent()]) == 0)
        now.withLock { $0 += 600_000_000 }
        writer.store([latent()], done: 2)
        #expect(checkpoint(directory, request).restore(into: [latent()]) == 2)
    }

    @Test func aDiskThatTakesNoCheckpointIsNoReasonToFail() throws {
        let directory = PipelineFixture.scratch("checkpoint")
        for name in CheckpointName.all { try makeDirectories(directory + "/" + name) }
        let writer = checkpoint(directory, request)
        writer.keep(EncodedPrompts(prompt: Tensor(Shape(1, 1), [1]), negative: nil))
        for done in 1...6 { writer.store([latent()], done: done) }
        #expect(checkpoint(directory, request).restore(into: [latent()]) == 0 && writer.durable == nil)
    }

    @Test func aClipThatIsTakenUpDoesNotEncodeItsPromptsAgain() throws {
        let pipeline = try ClipPipeline(
            modelPath: PipelineFixture.model, backend: .cpu(threads: 1), time: Self.frozen, checkpointInterval: .zero)
        let directory = PipelineFixture.scratch("prompts")
        let whole = try pipeline.makeClip(request, into: directory)
        // Other embeddings under the same digest: were the prompts encoded again, these would not be seen.
        let digest = Checkpoint.digest(of: request, model: pipeline.info.sha256)
        let file = CheckpointFile(name: CheckpointName.prompts, magic: "SORADTE3", digest: digest, directory: directory)
        var found: Tensor?
        let words = file.read(words: 4) { _, bytes in
            let values = Tensor(Shape(bytes / 4))
            found = values
            return [values.bytes]
        }
        let values = try #require(found)
        values.withMutableElements { for i in $0.indices { $0[i] = $0[i] * 2 + 1 } }
        #expect(file.write(words: try #require(words), [values.bytes], to: try #require(file.open())))
        for name in CheckpointName.all where name != CheckpointName.prompts { removeFile(directory + "/" + name) }
        #expect(try pipeline.makeClip(request, into: directory).sha256 != whole.sha256)
    }

    @Test func anotherRequestModelOrSizeIsNotTakenUp() throws {
        let directory = PipelineFixture.scratch("checkpoint")
        let writer = checkpoint(directory, request)
        writer.store([latent()], done: 2)
        let found = latent()
        var other = request
        other.seed += 1
        #expect(checkpoint(directory, other).restore(into: [found]) == 0)
        #expect(checkpoint(directory, request, model: "n").restore(into: [found]) == 0)
        #expect(checkpoint(directory, request).restore(into: [Tensor(Shape(2, 1, 2, 2))]) == 0)
        #expect(found.elements == latent().elements)
    }

    @Test func aDamagedFileIsNotTakenUp() throws {
        let directory = PipelineFixture.scratch("checkpoint")
        let writer = checkpoint(directory, request)
        writer.store([latent()], done: 2)
        let name = try #require(PipelineFixture.names(in: directory).first)
        let good = try bytes(directory + "/" + name)
        var damaged = good.indices.map { index in
            var copy = good
            copy[index] ^= 1
            return copy
        }
        damaged += [[], Array(good.dropLast()), good + [0]]
        for bytes in damaged {
            try writeDurably(bytes, named: name, in: directory)
            #expect(checkpoint(directory, request).restore(into: [latent()]) == 0)
        }
        try writeDurably(good, named: name, in: directory)
        #expect(checkpoint(directory, request).restore(into: [latent()]) == 2)
    }

    @Test func writingThemCostsLessThanAFiftiethOfTheTime() {
        let start = MonotonicTime(nanoseconds: 1_000)
        var pacing = Pacing(interval: .milliseconds(500), share: 50, start: start)
        #expect(!pacing.isDue(at: start + .milliseconds(499)))
        #expect(pacing.isDue(at: start + .milliseconds(500)))
        pacing.done(from: start + .milliseconds(500), to: start + .milliseconds(540))
        #expect(!pacing.isDue(at: start + .milliseconds(2539)))
        #expect(pacing.isDue(at: start + .milliseconds(2540)))
        // Once in three the thread may have lost its processor.
        pacing.done(from: start + .milliseconds(3000), to: start + .milliseconds(4000))
        #expect(!pacing.isDue(at: start + .milliseconds(5999)) && pacing.isDue(at: start + .milliseconds(6000)))
        for _ in 0..<2 { pacing.done(from: start + .milliseconds(3000), to: start + .milliseconds(4000)) }
        #expect(!pacing.isDue(at: start + .milliseconds(53_999)) && pacing.isDue(at: start + .milliseconds(54_000)))
    }

    @Test func aStoppedClipGoesOnWhereItWasAndHasTheSameFrames() throws {
        let pipeline = try ClipPipeline(
            modelPath: PipelineFixture.model, backend: .cpu(threads: 1), time: Self.frozen, checkpointInterval: .zero)
        let whole = try pipeline.makeClip(request, into: PipelineFixture.scratch("whole"))
        for last in 1...6 {
            let directory = PipelineFixture.scratch("stopped")
            let stop = StopFlag()
            // Stops in the step after the one that is reported, which is written down.
            _ = #expect(throws: JobError.self) {
                try pipeline.makeClip(request, into: directory, stop: stop.check) { if $0.step >= last { stop.stop() } }
            }
            let steps = Mutex<[Int]>([])
            let resumed = try pipeline.makeClip(request, into: directory) { progress in
                if progress.phase == .denoising { steps.withLock { $0.append(progress.step) } }
            }
            #expect(resumed.sha256 == whole.sha256)
            #expect(steps.withLock { $0 } == Array(last...6))
            // Until the result is recorded another worker may have to take it up once more.
            #expect(try pipeline.makeClip(request, into: directory).sha256 == whole.sha256)
        }
    }
}
