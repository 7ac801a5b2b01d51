// Wan's causal autoencoder, streamed, against diffusers' AutoencoderKLWan. The fixtures are written by
// quantization/reference/write_wan_vae_fixture.py; recipe.json next to them has command, seed and versions.
import Glibc
import SoradCPU
import SoradConverter
import SoradModel
import SoradModelFile
import SoradSystem
import SoradTensor
import SoradTestSupport
import Testing

@Suite struct WanAutoencoderTests {
    /// `plain` is shaped as that of Wan 2.1, `residual` as that of Wan 2.2; the others halve time first and have other depths, and `attention`
    /// has attention in a level of the encoder.
    private static let names = ["plain", "attention", "residual", "residual-short"]
    private static let folder = Fixture.folder + "/wan-vae"

    /// The fixture `tiny` with another autoencoder.
    private static func modelFile(_ name: String, int8: Bool = false, changing change: (old: String, new: String)? = nil) throws
        -> ModelFile
    {
        try tinyModelFile(vae: "\(folder)/\(name)", int8Decoder: int8, changing: change)
    }

    private static func reference(_ name: String) throws -> (String) throws -> Tensor {
        let tensors = try SafetensorsFile(opening: "\(folder)/\(name)/reference.safetensors")
        return { key in
            guard let tensor = tensors[key], tensor.shape.count == 4 else { throw SoradError(.notFound, "no reference tensor \(key)") }
            return Tensor(Shape(tensor.shape[0], tensor.shape[1], tensor.shape[2], tensor.shape[3]), try tensor.floats())
        }
    }

    private static func model(_ name: String, int8: Bool = false, _ backend: (any ComputeBackend)? = nil) throws -> VideoModel {
        try VideoModel(file: modelFile(name, int8: int8), backend: backend ?? CPUBackend(threads: 2))
    }

    /// [H, W, 3] to [3, H, W].
    private static func planar(_ image: Tensor) -> [Float] {
        let values = image.elements
        return (0..<3).flatMap { channel in stride(from: channel, to: values.count, by: 3).map { values[$0] } }
    }

    private static func decoded(_ model: VideoModel, _ latent: Tensor) -> [[Float]] {
        var frames: [[Float]] = []
        model.autoencoder.decodeValues(latent, stop: {}) { index, image in
            #expect(index == frames.count)
            frames.append(planar(image))
        }
        return frames
    }

    /// Everything that is remembered passes through bytes, at every place of the clip.
    @Test(arguments: names, [false, true]) func aDecoderGoesOnWithWhatAnotherRemembered(name: String, int8: Bool) throws {
        let model = try Self.model(name, int8: int8)
        let latent = try Self.reference(name)("17.latent")
        expectResumable(model, latent)
    }

    @Test(arguments: names, [1, 5, 9, 17]) func decodingEqualsDiffusers(name: String, frames: Int) throws {
        let model = try Self.model(name)
        let reference = try Self.reference(name)
        let expected = try reference("\(frames).frames")
        let found = Self.decoded(model, try reference("\(frames).latent"))
        #expect(found.count == frames && expected.shape[0] == frames)
        // diffusers limits to −1…1.
        let error = relativeError(found.flatMap { $0.map { min(max($0, 0), 1) * 2 - 1 } }, expected.elements)
        #expect(error < 1e-5, "\(error)")
    }

    /// The int8 decoder, its frames limited as a clip's are.
    @Test(arguments: names, [1, 5, 9, 17]) func int8DecodingIsCloseToDiffusers(name: String, frames: Int) throws {
        let model = try Self.model(name, int8: true)
        let reference = try Self.reference(name)
        let expected = try reference("\(frames).frames").elements.map { $0 * 0.5 + 0.5 }
        let found = Self.decoded(model, try reference("\(frames).latent")).flatMap { $0.map { min(max($0, 0), 1) } }
        #expect(found.count == expected.count)
        var squares = 0.0
        for (x, y) in zip(found, expected) { squares += Double(x - y) * Double(x - y) }
        let decibels = -10 * log10(squares / Double(found.count))
        #expect(decibels >= 40, "PSNR \(decibels) dB")
    }

    /// What lies between the ends of the decoder is int8, with the values of the checkpoint's weights; all else is as in the float file.
    @Test(arguments: names) func theDecodersInnerConvolutionsBecomeInt8(name: String) throws {
        let (float, int8) = try (Self.modelFile(name), Self.modelFile(name, int8: true))
        let changed = int8.tensors.filter { $0.name.hasPrefix("vae.") && $0.type == .i8 }.map(\.name)
        #expect(changed.count > 10 && changed.allSatisfy { $0.hasPrefix("vae.decoder.") }, "\(changed)")
        for part in ["conv_in", "conv_out", "to_qkv", "proj", "time_conv"] { #expect(!changed.contains { $0.hasSuffix(part + ".weight") }) }
        for part in ["conv1", "conv2", "conv_shortcut", "resample.1"] {
            #expect(changed.contains { $0.hasSuffix(part + ".weight") }, "no \(part) is int8")
        }
        for tensor in float.tensors where tensor.name.hasPrefix("vae.") && !changed.contains(tensor.name) {
            #expect(try int8.tensor(tensor.name).bytes.array == tensor.bytes.array, "\(tensor.name)")
        }
        for name in changed {
            let (exact, quantized) = try (float.tensor(name), int8.tensor(name))
            let (n, k, count) = (exact.dims[2] * 16, exact.dims[1], exact.dims[3])
            let groups = quantized.dims[1]
            #expect(quantized.dims == [64, groups, exact.dims[2], count])
            let values = Self.floats(exact)
            let scales = Self.floats(try int8.tensor(name + "_scale"))
            let inputScales = Self.floats(try int8.tensor(name + "_input"))
            let sums = try int8.tensor(name + "_sum")
            let outputs = sums.dims[0]
            let parts = scales.count / outputs
            #expect(sums.dims[1] == count && outputs <= n)
            // Channels of a pixel, without and with what fills them up to a multiple of 4.
            let area = k / inputScales.count
            #expect(groups == area * ((k / area + 3) / 4))
            let bytes = quantized.bytes.array
            let sumBytes = Self.floats(sums).map { Int32(bitPattern: $0.bitPattern) }
            for frame in 0..<count {
                for output in 0..<outputs {
                    let scale = scales[frame / (count / parts) * outputs + output]
                    var sum: Int32 = 0
                    for column in 0..<k {
                        let channel = column % (k / area)
                        let wide = column / (k / area) * (groups * 4 / area) + channel
                        let block = frame * n / 16 + output / 16
                        let group = block * groups + wide / 4
                        let code = Int8(bitPattern: bytes[(group * 16 + output % 16) * 4 + wide % 4])
                        let value = values[(block * k + column) * 16 + output % 16] / inputScales[channel]
                        sum += Int32(code)
                        #expect(abs(Float(code) * scale - value) <= scale * 0.51 || abs(code) == 127)
                    }
                    #expect(sum == sumBytes[frame * outputs + output])
                }
            }
        }
    }

    private static func floats(_ tensor: TensorView) -> [Float] {
        let bytes = tensor.bytes.array
        return stride(from: 0, to: bytes.count, by: 4).map { i in
            Float(bitPattern: (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[i + $1]) << UInt32(8 * $1) })
        }
    }

    @Test(arguments: names, [1, 5, 9, 17]) func encodingEqualsDiffusers(name: String, frames: Int) throws {
        let model = try Self.model(name)
        let reference = try Self.reference(name)
        let clip = try reference("encode.\(frames).clip")
        let bytes = clip.elements.map { UInt8($0) }
        let size = bytes.count / frames
        let pictures = (0..<frames).map { Array(bytes[$0 * size..<($0 + 1) * size]) }
        let found = try model.encodeVideo(pictures, width: clip.shape[2], height: clip.shape[1])
        let expected = try reference("encode.\(frames).latent")
        #expect(found.shape == expected.shape)
        let error = relativeError(found.elements, expected.elements)
        #expect(error < 1e-5, "\(error)")
    }

    /// What follows cannot change what came before: the frames of a shorter clip are the first ones of the longer, bit for bit.
    @Test(arguments: names, [false, true]) func aLongerClipBeginsWithTheShorter(name: String, int8: Bool) throws {
        let model = try Self.model(name, int8: int8)
        let latent = try Self.reference(name)("17.latent")
        let plane = latent.shape[2] * latent.shape[3]
        let values = latent.elements
        let whole = Self.decoded(model, latent)
        for count in [1, 2, 4] {
            let start = (0..<latent.shape[0]).flatMap { channel in
                Array(values[channel * latent.shape[1] * plane..<(channel * latent.shape[1] + count) * plane])
            }
            let part = Self.decoded(model, Tensor(Shape(latent.shape[0], count, latent.shape[2], latent.shape[3]), start))
            #expect(part.count == 1 + (count - 1) * model.configuration.frameMultiple && part == Array(whole.prefix(part.count)))
        }
    }

    /// Frames that are missing for a whole group are the first one repeated in front.
    @Test func clipsOfAnyLengthAreEncoded() throws {
        let model = try Self.model("plain")
        let clip = try Self.reference("plain")("encode.5.clip")
        let bytes = clip.elements.map { UInt8($0) }
        let size = bytes.count / 5
        let pictures = (0..<5).map { Array(bytes[$0 * size..<($0 + 1) * size]) }
        let three = try model.encodeVideo(Array(pictures.prefix(3)), width: clip.shape[2], height: clip.shape[1])
        let filled = try model.encodeVideo(
            [pictures[0], pictures[0]] + Array(pictures.prefix(3)), width: clip.shape[2], height: clip.shape[1])
        #expect(three.shape[1] == 2 && three.elements == filled.elements)
        #expect(throws: SoradError.self) { try model.encodeVideo([], width: 16, height: 16) }
        #expect(throws: SoradError.self) { try model.encodeVideo(pictures, width: 12, height: 16) }
    }

    @Test(arguments: names, [false, true]) func everyBackendGivesTheSameBits(name: String, int8: Bool) throws {
        let file = try Self.modelFile(name, int8: int8)
        let reference = try Self.reference(name)
        let clip = try reference("encode.9.clip")
        let bytes = clip.elements.map { UInt8($0) }
        let size = bytes.count / 9
        let pictures = (0..<9).map { Array(bytes[$0 * size..<($0 + 1) * size]) }
        let results = try everyBackend().map { backend in
            let model = try VideoModel(file: file, backend: backend)
            let latent = try model.encodeVideo(pictures, width: clip.shape[2], height: clip.shape[1])
            return (Self.decoded(model, try reference("9.latent")).flatMap { $0 } + latent.elements).map(\.bitPattern)
        }
        #expect(results.count > 2 && results.allSatisfy { $0 == results[0] })
    }

    /// A clip's memory is that of one group, and what is said of it does not depend on the length.
    @Test func memoryDoesNotGrowWithTheClip() throws {
        let model = try Self.model("plain")
        let sizes = [1, 5, 50].map { LatentSize(channels: 10, frames: $0, height: 4, width: 6) }
        #expect(Set(sizes.map { model.autoencoder.decodeBytes($0) }).count == 1)
        #expect(Set(sizes.map { model.autoencoder.encodeBytes($0) }).count == 1)
        #expect(
            model.autoencoder.decodeBytes(LatentSize(channels: 10, frames: 1, height: 8, width: 6))
                > model.autoencoder.decodeBytes(sizes[0]))
    }

    /// A cancel takes effect before every block: the clip ends where it is thrown.
    @Test func decodingStopsWithinAGroup() throws {
        struct Stop: Error {}
        let model = try Self.model("plain")
        let latent = try Self.reference("plain")("17.latent")
        var blocks = 0
        model.autoencoder.decodeValues(latent, stop: { blocks += 1 }) { _, _ in }
        #expect(blocks > 5 * 20)
        for limit in [1, 30, blocks - 1] {
            var asked = 0
            var frames = 0
            #expect(throws: Stop.self) {
                try model.autoencoder.decodeValues(
                    latent,
                    stop: { () throws(Stop) in
                        asked += 1
                        if asked == limit { throw Stop() }
                    }, frame: { (_, _) throws(Stop) in frames += 1 })
            }
            #expect(asked == limit && frames < 17)
        }
    }

    @Test(arguments: [
        ("\"is_residual\": false", "\"is_residual\": true", "lacks the tensor"),
        ("\"patch_size\": null", "\"patch_size\": 2", "in_channels is 3, outside 12…12"),
        ("\"in_channels\": 3", "\"in_channels\": 12", "in_channels is 12, outside 3…3"),
        ("\"z_dim\": 10", "\"z_dim\": 16", "latents_mean has 10 entries, and 16 belong there"),
        ("\"num_res_blocks\": 1", "\"num_res_blocks\": 2", "lacks the tensor"),
        ("\"base_dim\": 4", "\"base_dim\": 8", "has the shape"), ("\"base_dim\": 4", "\"base_dim\": 5", "attends over 15 channels"),
        ("\"scale_factor_temporal\": 4", "\"scale_factor_temporal\": 8", "scale_factor_temporal is not the 4"),
        ("\"attn_scales\": []", "\"attn_scales\": [2]", "attn_scales is not a list of 1 numbers from 0"),
        ("\"attn_scales\": []", "\"attn_scales\": [0.5]", "lacks the tensor"),
        ("\"AutoencoderKLWan\"", "\"AutoencoderKL\"", "only \"AutoencoderTAEHV\" or \"AutoencoderKLWan\""),
    ]) func autoencodersThatCannotBeConverted(old: String, new: String, sentence: String) throws {
        do {
            _ = try Self.modelFile("plain", changing: (old, new))
            Issue.record("\(new) was converted")
        } catch let error as SoradError {
            #expect(error.kind == .badInput && error.message.contains(sentence), "\(error.message)")
        }
    }

    /// The keys of Wan 2.2 alone.
    @Test func hostileShortcutsAreRefused() throws {
        let original = try Self.modelFile("residual")
        let backend = try CPUBackend(threads: 1)
        for (key, value) in [
            ("vae.is_residual", .bool(false)), ("vae.patch_size", .uint32(1)), ("vae.patch_size", .uint32(9)),
            ("vae.patch_size", .uint32(0)),
            ("vae.dim_mult", .uint32s([1, 2, 4, 3])), ("vae.dim_mult", .uint32s([3, 2, 4, 4])), ("vae.base_dim", .uint32(3)),
            ("vae.temporal_downsample", .bools([true, true, false])),
        ] as [(String, MetadataValue)] {
            #expect(try loading(original, key, value, without: nil, backend)?.kind == .badInput, "\(key) = \(value)")
        }
        #expect(try loading(original, "", .bool(true), without: nil, backend) == nil)
    }

    /// No value of a size can crash: what contradicts the tensors is refused with a sentence when the model is made.
    @Test func hostileSizesAreRefused() throws {
        let original = try Self.modelFile("plain")
        let backend = try CPUBackend(threads: 1)
        var refused = 0
        func refuses(_ key: String, _ value: MetadataValue, without tensor: String? = nil) throws {
            let error = try loading(original, key, value, without: tensor, backend)
            #expect(error?.kind == .badInput && (tensor == nil || error?.message.contains(tensor!) == true), "\(key) = \(value)")
            refused += 1
        }
        for (key, value) in original.metadata.entries where key.hasPrefix("vae.") {
            guard case .uint32(let number) = value else { continue }
            for changed in [0, number + 1, number * 1000, .max] as [UInt32] { try refuses(key, .uint32(changed)) }
        }
        let lists: [(String, MetadataValue)] = [
            ("vae.type", .string("taehv")), ("vae.type", .string("other")), ("vae.dim_mult", .uint32s([])), ("vae.dim_mult", .uint32s([1])),
            ("vae.dim_mult", .uint32s([1, 2, 2, 200])), ("vae.dim_mult", .uint32s([1, 2, 3, 3])), ("vae.temporal_downsample", .bools([])),
            ("vae.temporal_downsample", .bools([true, true, true])), ("vae.attn_scales", .float32s([1, 0.5])),
            ("vae.latents_mean", .float32s([0])), ("vae.latents_std", .float32s([Float](repeating: 0, count: 10))),
        ]
        for (key, value) in lists { try refuses(key, value) }
        for tensor in original.tensors where tensor.name.hasPrefix("vae.decoder.mid") || tensor.name.hasPrefix("vae.encoder.down_blocks.1")
        {
            try refuses("", .bool(true), without: tensor.name)
        }
        #expect(refused > 40, "\(refused)")
    }

    /// A copy of a model with one key changed or one tensor left out; nil where it loads.
    private func loading(
        _ original: ModelFile, _ key: String, _ value: MetadataValue, without tensor: String?, _ backend: CPUBackend
    ) throws -> SoradError? {
        let folder = try temporaryFolder()
        let path = folder + "/changed.gguf"
        defer {
            unsafe unlink(path)
            unsafe rmdir(folder)
        }
        let own: Set = ["general.alignment", "sorad.integrity.sha256"]
        let tensors = original.tensors.filter { $0.name != tensor }
        let metadata = original.metadata.entries.filter { !own.contains($0.key) }.map { ($0.key, $0.key == key ? value : $0.value) }
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
}
