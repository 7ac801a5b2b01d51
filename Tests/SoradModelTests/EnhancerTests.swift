// The networks behind the decoder, frame by frame, against PyTorch. The fixture is written by quantization/reference/write_enhancer_fixture.py.
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct EnhancerTests {
    private static let folder = Fixture.folder + "/enhancers"

    private static func enhancer(_ kind: FrameEnhancer.Kind, int8: Bool, threads: Int = 2) throws -> FrameEnhancer {
        let file = try tinyModelFile(vae: Fixture.folder + "/frame-blocks", int8Decoder: int8, enhancers: folder)
        let model = try VideoModel(file: file, backend: CPUBackend(threads: threads))
        return try #require(model.enhancers.first { $0.kind == kind })
    }

    /// [F, H, W, 3]
    private static func reference(_ key: String) throws -> Tensor {
        let tensors = try SafetensorsFile(opening: folder + "/reference.safetensors")
        guard let tensor = tensors[key], tensor.shape.count == 4 else { throw SoradError(.notFound, "no reference tensor \(key)") }
        return Tensor(Shape(tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]), try tensor.floats())
    }

    private static func clip(_ kind: FrameEnhancer.Kind) throws -> (frames: [[UInt8]], width: Int, height: Int) {
        let clip = try reference("\(kind.rawValue).clip")
        let bytes = clip.elements.map { UInt8($0) }
        let size = bytes.count / clip.shape[0]
        return ((0..<clip.shape[0]).map { Array(bytes[$0 * size..<($0 + 1) * size]) }, clip.shape[2], clip.shape[1])
    }

    private static func made(_ kind: FrameEnhancer.Kind, int8: Bool, threads: Int = 2) throws -> [Float] {
        let (frames, width, height) = try clip(kind)
        let run = try enhancer(kind, int8: int8, threads: threads).run(width: width, height: height)
        return frames.flatMap { run.push($0)?.elements ?? [] }
    }

    @Test(arguments: FrameEnhancer.Kind.allCases) func floatEqualsPyTorch(kind: FrameEnhancer.Kind) throws {
        let error = relativeError(try Self.made(kind, int8: false), try Self.reference("\(kind.rawValue).made").elements)
        #expect(error < 1e-5, "\(error)")
    }

    /// Int8 changes little of the frame, and the same on any number of threads.
    @Test(arguments: FrameEnhancer.Kind.allCases) func int8IsCloseAndTheSameOnThreads(kind: FrameEnhancer.Kind) throws {
        let made = try Self.made(kind, int8: true)
        let error = relativeError(made, try Self.reference("\(kind.rawValue).made").elements)
        #expect(error > 0 && error < 0.03, "\(error)")
        #expect(try made == Self.made(kind, int8: true, threads: 1))
    }

    /// A run that gets another's counters and memory makes the same frames from there on.
    @Test(arguments: FrameEnhancer.Kind.allCases) func aRunContinuesWithWhatAnotherRemembered(kind: FrameEnhancer.Kind) throws {
        let (frames, width, height) = try Self.clip(kind)
        let enhancer = try Self.enhancer(kind, int8: true)
        for cut in 1..<frames.count {
            let (first, second) = (enhancer.run(width: width, height: height), enhancer.run(width: width, height: height))
            for frame in frames[..<cut] { _ = first.push(frame) }
            for (from, to) in zip(first.memory, second.memory) {
                var copy: [UInt8] = []
                from.withBytes { bytes in copy = (0..<bytes.byteCount).map { unsafe bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) } }
                to.withMutableBytes { bytes in
                    for (index, byte) in copy.enumerated() { bytes.storeBytes(of: byte, toByteOffset: index, as: UInt8.self) }
                }
            }
            second.resume(first.counters)
            for frame in frames[cut...] { #expect(first.push(frame)?.elements == second.push(frame)?.elements, "after \(cut)") }
        }
    }

    @Test func aModelWithoutThemHasNone() throws {
        let file = try tinyModelFile(vae: Fixture.folder + "/frame-blocks")
        #expect(try VideoModel(file: file, backend: CPUBackend(threads: 1)).enhancers.isEmpty)
        let error = #expect(throws: SoradError.self) {
            try tinyModelFile(vae: Fixture.folder + "/frame-blocks", enhancers: Fixture.folder + "/tiny")
        }
        #expect(error?.kind == .notFound)
    }
}
