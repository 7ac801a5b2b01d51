// One small clip whose frames are known in advance: the promise that a model, a request and a seed give the same frames on every CPU,
// not only within one run on one machine. The committed hash is one and the same for every instruction set and thread count.
//
// The clip: the checkpoint Tests/Fixtures/models/tiny as an int8 model (int8 linear layers, int8 self-attention), once with the float
// decoder and once with an int8 one; prompt and negative prompt as token ids, seed 3, 96×64 pixels, 9 frames, 2 steps with guidance 3 and
// shift 3.
//
// When the hashes may change: only in a commit that changes the numbers on purpose, and says so. `weights` changes with the fixture or
// with what the converter makes of it; `frames` changes with `weights`, or with the definition of an operation, that is with scalar C
// or with the order of operations in the model. Neither may change for a new instruction set, thread count, compiler or machine: there a
// difference is a bug. The new values are in the failure's own text; take them over only after `make test-kernels` has passed, when the
// scalar table alone gives them on one thread, and when the tests against diffusers' tensors still hold.
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import Testing

@Suite struct GoldenClipTests {
    /// SHA-256 of a model's tensors and of the clip's frames.
    struct Golden: Sendable { let weights, frames: String }
    static let floatDecoder = Golden(
        weights: "d03d1877eaa000805afc081f7693b310072fc22deede7b542e5cb8c2a2f30bc7",
        frames: "428e44c4cea21408e48ad3a6eac58541d52e65a13ac86a9b0d14bcfe314151be")
    static let int8Decoder = Golden(
        weights: "758e6d50cc3c33dee41d40c49b2872f347b094a77cbd1da702c53a7a919723ce",
        frames: "d80f91f657db945bac1d0c789a930912a888048d5539f918126c3e5fbbe0d3c7")
    static func golden(_ int8Decoder: Bool) -> Golden { int8Decoder ? Self.int8Decoder : floatDecoder }

    private static let threadCounts = [1, 2, 3, 7]

    @Test(arguments: [false, true]) func theModelIsTheOneThatTheHashIsOf(int8Decoder: Bool) throws {
        let file = try Fixture("tiny").modelFile(.int8, int8Decoder: int8Decoder)
        var hash = SHA256()
        for tensor in file.tensors.sorted(by: { $0.name < $1.name }) {
            hash.update(Array("\(tensor.name) \(tensor.type) \(tensor.dims)\n".utf8))
            tensor.bytes.withBytes { hash.update($0) }
        }
        #expect(SHA256.hexadecimal(hash.finalize()) == Self.golden(int8Decoder).weights)
    }

    @Test(arguments: InstructionSet.available, [false, true])
    func oneHashForEveryInstructionSetAndThreadCount(_ set: InstructionSet, int8Decoder: Bool) throws {
        let file = try Fixture("tiny").modelFile(.int8, int8Decoder: int8Decoder)
        for threads in Self.threadCounts {
            let factory = BackendFactory.cpu(threads: threads, instructionSet: set)
            let hash = try Self.clip(VideoModel(file: file, backend: factory.make()))
            #expect(hash == Self.golden(int8Decoder).frames, "\(factory)")
        }
        print("golden clip: \(set) with \(Self.threadCounts) threads, \(int8Decoder ? "int8" : "float") decoder")
    }

    /// The clip covers what it is meant to cover, on the sets that this machine has.
    @Test func theClipIsInt8AndOnEverySetThatThisMachineHas() throws {
        let model = try Fixture("tiny").model(.int8)
        #expect(model.wan.configuration.attentionPrecision == .int8)
        #expect(InstructionSet.available.contains { $0.description == "scalar" })
        let lacking = InstructionSet.names.filter { name in !InstructionSet.available.contains { $0.description == name } }
        print("golden clip: not on this CPU: \(lacking.isEmpty ? "nothing" : lacking.joined(separator: ", "))")
    }

    /// SHA-256 of all frames' bytes, one after another.
    static func clip(_ model: VideoModel) throws -> String {
        let size = try model.configuration.latentSize(width: 96, height: 64, numFrames: 9)
        let text = try model.encodeText([20, 30, 40, 1])
        let negative = try model.encodeText([1])
        let latent = model.initialNoise(seed: 3, size)
        let denoiser = try model.denoiser(size, prompt: text, negativePrompt: negative, guidanceScale: 3, steps: 2, shift: 3)
        for step in 0..<2 { denoiser.step(step, latent) }
        var hash = SHA256()
        model.decode(latent) { hash.update($1) }
        return SHA256.hexadecimal(hash.finalize())
    }
}
