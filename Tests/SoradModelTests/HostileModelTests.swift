// Model files whose metadata and tensors do not belong together: each is refused when the model is made, with a sentence.
import Glibc
import SoradCPU
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import Testing

@Suite struct HostileModelTests {
    private let original: ModelFile
    private let backend: CPUBackend

    init() throws {
        original = try Fixture("tiny").modelFile(.int8)
        backend = try CPUBackend(threads: 1)
    }

    /// A copy of the fixture's model with one key changed or one tensor left out; nil where even the file is refused.
    private func loading(
        _ key: String = "", _ value: MetadataValue? = nil, without tensor: String? = nil, of other: ModelFile? = nil
    ) throws -> SoradError? {
        let original = other ?? original
        let folder = try temporaryFolder()
        let path = folder + "/changed.gguf"
        defer {
            unsafe unlink(path)
            unsafe rmdir(folder)
        }
        let own: Set = ["general.alignment", "sorad.integrity.sha256"]
        let tensors = original.tensors.filter { $0.name != tensor }
        let metadata = original.metadata.entries.filter { !own.contains($0.key) }.map {
            ($0.key, $0.key == key ? value ?? $0.value : $0.value)
        }
        var writer = try GGUFWriter(
            path, metadata: metadata, tensors: tensors.map { TensorDescription(name: $0.name, type: $0.type, dims: $0.dims) })
        for tensor in tensors { try tensor.bytes.withBytes { (bytes) throws(SoradError) in try writer.append(bytes, to: tensor.name) } }
        _ = try writer.finish()
        do throws(SoradError) {
            _ = try VideoModel(file: ModelFile(opening: path), backend: backend)
            return nil
        } catch {
            return error
        }
    }

    @Test func theUnchangedCopyLoads() throws {
        #expect(try loading() == nil)
    }

    @Test func aCascadeThatIsNoneIsRefused() throws {
        let file = try tinyModelFile(vae: Fixture.folder + "/tiny/vae", cascade: Fixture.folder + "/cascade")
        #expect(try loading(of: file) == nil)
        var wrong: [(String, MetadataValue)] = [("cascade.least_side", .uint32(0)), ("cascade.least_side", .uint32(.max))]
        wrong +=
            [0, 1, -1, .nan].map { ("cascade.refine_from", .float32($0)) }
            + [0, .infinity].map { ("cascade.base_flow_shift", .float32($0)) }
        wrong += [("cascade.refine_from", .uint32(1))]
        for (key, value) in wrong {
            let error = try #require(try loading(key, value, of: file), "\(key) = \(value)")
            #expect(error.kind == .badInput && error.message.contains(key), "\(error.message)")
        }
        for tensor in ["cascade.up.weight", "cascade.up.bias", "cascade.down.weight", "cascade.down.bias"] {
            let error = try #require(try loading(without: tensor, of: file), "\(tensor)")
            #expect(error.kind == .badInput && error.message.contains(tensor), "\(error.message)")
        }
    }

    /// No value of a size can crash; those that decide the shape of a tensor are refused.
    @Test func impossibleSizesAreRefused() throws {
        let harmless = [
            "te.relative_attention_max_distance", "dit.rope_max_seq_len", "sorad.text_length", "sorad.native.fps",
            "sorad.default.num_inference_steps", "sorad.native.num_frames",
            "sorad.native.width", "sorad.native.height", "scheduler.num_train_timesteps",
        ]
        var refused = 0
        for (key, value) in original.metadata.entries
        where ["dit.", "te.", "vae.", "sorad.", "scheduler."].contains(where: { key.hasPrefix($0) }) {
            guard case .uint32(let number) = value, key != "sorad.format_version" else { continue }
            for changed in [0, number + 1, number * 1000, .max] as [UInt32] {
                let error = try loading(key, .uint32(changed))
                if harmless.contains(key) { continue }
                #expect(error?.kind == .badInput, "\(key) = \(changed)")
                refused += 1
            }
        }
        #expect(refused > 60, "\(refused)")
    }

    @Test func impossibleListsAreRefused() throws {
        let lists: [(String, MetadataValue)] = [
            ("dit.patch_size", .uint32s([1, 2])), ("dit.patch_size", .uint32s([1, 2, 3])), ("dit.patch_size", .uint32s([])),
            ("vae.encoder_channels", .uint32s([6, 8, 10])),
            ("vae.decoder_channels", .uint32s([20, 14, 10, 7])), ("vae.latents_mean", .float32s([0])),
            ("vae.latents_std", .float32s([Float](repeating: 0, count: 10))),
            ("vae.decoder_time_upscale", .bools([true, true, true])), ("vae.decoder_space_upscale", .bools([])),
            ("vae.type", .string("other")), ("dit.qk_norm", .string("none")),
            ("te.feed_forward_proj", .string("relu")), ("scheduler.type", .string("ddim")), ("sorad.default.flow_shift", .float32(0)),
        ]
        for (key, value) in lists { #expect(try loading(key, value)?.kind == .badInput, "\(key)") }
    }

    @Test func everyTensorIsMissed() throws {
        for tensor in original.tensors
        where tensor.name.hasPrefix("dit.blocks.0") || tensor.name.hasPrefix("te.block.0") || tensor.name.hasPrefix("vae.decoder.3") {
            let error = try loading(without: tensor.name)
            // A later layer without a relative bias uses that of the first, so only the first is needed.
            #expect(error?.message.contains(tensor.name) == true, "\(tensor.name)")
        }
    }
}
