// Encoded prompts that are kept: the same bits as encoding gives, by this worker and the next, and of nobody else.
import Glibc
import SoradAPI
import SoradCPU
import SoradPipeline
import SoradSystem
import SoradTensor
import Testing

@Suite struct EmbeddingStoreTests {
    @Test func whatIsKeptComesBack() throws {
        let directory = PipelineFixture.scratch("embeddings")
        let store = EmbeddingStore(directory: directory, model: "m")
        let tensor = Tensor(Shape(3, 4), (0..<12).map { Float($0) / 7 })
        #expect(store.embedding(of: "a", width: 4, length: 8) == nil)
        store.keep(tensor, of: "a")
        #expect(store.embedding(of: "a", width: 4, length: 8)?.elements == tensor.elements)
        for (other, text, width, length) in [("m", "b", 4, 8), ("n", "a", 4, 8), ("m", "a", 3, 8), ("m", "a", 4, 2)] {
            #expect(EmbeddingStore(directory: directory, model: other).embedding(of: text, width: width, length: length) == nil)
        }
        let name = try #require(PipelineFixture.names(in: directory).first)
        let file = try FileDescriptor(opening: directory + "/" + name, flags: O_RDWR)
        try file.write([77], at: 60)
        #expect(store.embedding(of: "a", width: 4, length: 8) == nil, "a damaged file was believed")
        var status = stat()
        #expect(unsafe stat(directory + "/" + name, &status) == 0 && status.st_mode & 0o077 == 0)
    }

    @Test func theLastUsedOnesAreKept() throws {
        let directory = PipelineFixture.scratch("embeddings")
        let store = EmbeddingStore(directory: directory, model: "m")
        let tensor = Tensor(Shape(1, 2), [1, 2])
        for index in 0..<EmbeddingStore.limit {
            store.keep(tensor, of: "\(index)")
            usleep(10_000)
        }
        #expect(store.embedding(of: "0", width: 2, length: 1) != nil)
        usleep(10_000)
        store.keep(tensor, of: "one more")
        #expect(PipelineFixture.names(in: directory).count == EmbeddingStore.limit)
        #expect(store.embedding(of: "0", width: 2, length: 1) != nil && store.embedding(of: "one more", width: 2, length: 1) != nil)
        #expect(store.embedding(of: "1", width: 2, length: 1) == nil)
    }

    private static func pipeline(longEncoding: Int) throws -> ClipPipeline {
        try ClipPipeline(
            modelPath: PipelineFixture.model, backend: .cpu(threads: 1), frameStages: nil, longEncoding: longEncoding)
    }

    private static func clip(_ pipeline: ClipPipeline, _ plan: ClipPlan, _ embeddings: String?) throws -> (sha256: String, encoding: Double)
    {
        let result = try pipeline.makeClip(plan, into: PipelineFixture.scratch("clip"), embeddings: embeddings, stop: {})
        return (result.sha256, result.timings["encoding_text"] ?? 0)
    }

    /// Both prompts are kept, and the clips of kept, half kept and freshly encoded ones have the same frames.
    @Test func clipsOfKeptPromptsAreTheSame() throws {
        let directory = PipelineFixture.scratch("embeddings")
        var plan = PipelineFixture.request()
        plan.negativePrompt = "dull"
        let fresh = try Self.clip(try Self.pipeline(longEncoding: .max), plan, directory)
        #expect(PipelineFixture.names(in: directory).isEmpty, "an encoding that is quick was kept")
        let first = try Self.clip(try Self.pipeline(longEncoding: 0), plan, directory)
        #expect(PipelineFixture.names(in: directory).count == 2)
        let pipeline = try Self.pipeline(longEncoding: 0)
        let second = try Self.clip(pipeline, plan, directory)
        plan.negativePrompt = "dark"
        let other = try Self.clip(pipeline, plan, directory)
        #expect(PipelineFixture.names(in: directory).count == 3)
        plan.negativePrompt = "dull"
        removeFile(directory + "/" + PipelineFixture.names(in: directory)[0])
        let third = try Self.clip(pipeline, plan, directory)
        let nowhere = try Self.clip(pipeline, plan, nil)
        #expect([first, second, third, nowhere].allSatisfy { $0.sha256 == fresh.sha256 } && other.sha256 != fresh.sha256)
        #expect(pipeline.info.memory == nil)
    }

    /// Noise levels that a request names replace the model's schedule: the same ones give the same clip, others another.
    @Test func namedLevelsMakeTheClip() throws {
        let pipeline = try Self.pipeline(longEncoding: .max)
        var plan = PipelineFixture.request()
        let standard = try Self.clip(pipeline, plan, nil)
        plan.sigmas = [1, 0.4]
        let named = try Self.clip(pipeline, plan, nil)
        plan.flowShift = 9
        #expect(try Self.clip(pipeline, plan, nil).sha256 == named.sha256 && named.sha256 != standard.sha256)
        plan.sigmas = [0.4, 1]
        #expect(throws: JobError.self) { try Self.clip(pipeline, plan, nil) }
    }

    @Test func aModelIsMeasuredWhenItIsDescribed() throws {
        let info = try ClipPipeline.describe(modelPath: PipelineFixture.model, backend: .cpu(threads: 1))
        let time = try #require(info.time)
        #expect(
            time.isPlausible && time.perToken > 0 && time.perPixel > 0 && time.perEncodedPixel > 0 && time.textPass + time.perTextToken > 0)
        let seconds = time.seconds(for: PipelineFixture.request()).values.reduce(0, +)
        #expect(seconds > 0 && seconds < 60)
        let memory = try #require(info.memory)
        #expect(memory.wantedBytes(for: PipelineFixture.request()) >= memory.bytes(for: PipelineFixture.request()))
    }
}
