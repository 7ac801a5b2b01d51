// The cases of the self-test: every operation of the protocol, with odd sizes, and sizes over one tile and one block of keys.
import SoradTensor

extension SelfTest {
    package static let cases: [SelfTestCase] = linears + norms + attentions + convolutions + images + elementwise + latents

    private static func activations(_ x: Tensor, _ backend: any ComputeBackend) -> any ActivationMatrix {
        let input = backend.make { $0.activations(capacity: x.shape[0], width: x.shape[1]) }
        backend.copy(x, into: input.overwrite(rows: x.shape[0]))
        return input
    }

    /// Rows in groups that change in the middle of a tile.
    private static func groups(_ rows: Int) -> ModulationGroups {
        var groups = ModulationGroups()
        for row in 0..<rows { groups.append(1, group: row / 5 % 2) }
        return groups
    }

    // MARK: Linear layers

    private static func linear(
        _ m: Int, _ n: Int, _ k: Int, _ activation: Activation = .none, rotation: Int? = nil, asymmetric: Bool = false,
        hasGate: Bool = false, hasResidual: Bool = false, isFloat: Bool = false
    ) -> SelfTestCase {
        let kind = isFloat ? "float" : "int8"
        let more = [
            rotation.map { "rotated by \($0)" }, asymmetric ? "zero points" : nil, hasGate ? "gated" : nil, hasResidual ? "residual" : nil,
        ]
        let name = "linear \(kind) \(m)×\(n)×\(k) \(activation)" + more.compactMap(\.self).map { ", " + $0 }.joined()
        return SelfTestCase(name: name) { backend, random in
            // Float sums of NaN would be nothing but NaN.
            let x = isFloat ? random.finite(backend, Shape(m, k)) : random.hostile(backend, Shape(m, k))
            let layer = isFloat ? random.floatLinear(n, k) : random.linear(n, k, rotation: rotation, asymmetric: asymmetric)
            let weights = backend.load(layer)
            let table = random.tensor(backend, Shape(2, 3, n))
            let out = random.tensor(backend, Shape(m, n))
            backend.linear(
                activations(x, backend), weights, activation: activation, gate: hasGate ? RowModulation(table, 1, groups(m)) : nil,
                residual: hasResidual ? out : nil, into: out)
            return [out]
        }
    }

    private static let linears = [
        linear(1, 1, 1), linear(37, 80, 132, .geluTanh), linear(70, 130, 516, .silu, asymmetric: true, hasGate: true, hasResidual: true),
        linear(5, 19, 66, .relu, hasResidual: true), linear(9, 33, 260, rotation: 4), linear(3, 17, 512, rotation: 256, asymmetric: true),
        linear(4, 16, 80, rotation: 16, hasGate: true), linear(2, 16, 192, rotation: 64), linear(130, 64, 1536),
        linear(1, 1, 1, isFloat: true), linear(21, 72, 133, .geluTanh, hasGate: true, hasResidual: true, isFloat: true),
        linear(40, 70, 50, .silu, isFloat: true), linear(33, 65, 31, .relu, hasResidual: true, isFloat: true),
    ]

    // MARK: Norms and rotary embedding

    private static func layerNorm(_ m: Int, _ k: Int, hasWeight: Bool, isModulated: Bool) -> SelfTestCase {
        let name = "layer norm \(m)×\(k)" + (hasWeight ? ", weight and bias" : "") + (isModulated ? ", modulated" : "")
        return SelfTestCase(name: name) { backend, random in
            let x = random.hostile(backend, Shape(m, k))
            let (weight, bias) = (backend.load(Parameter(random.floats(k))), backend.load(Parameter(random.floats(k))))
            let table = random.tensor(backend, Shape(2, 2, k))
            let input = backend.make { $0.activations(capacity: m, width: k) }
            let vector = { RowModulation(table, $0, groups(m)) }
            backend.layerNorm(
                x, epsilon: 1e-6, weight: hasWeight ? weight : nil, bias: hasWeight ? bias : nil, scale: isModulated ? vector(1) : nil,
                shift: isModulated ? vector(0) : nil, into: input)
            // A float layer reads the rows, which are normalized by then.
            let out = backend.tensor(Shape(m, 3))
            backend.linear(input, backend.load(random.floatLinear(3, k)), into: out)
            return [out, input.values]
        }
    }

    private static let norms = [
        layerNorm(37, 96, hasWeight: false, isModulated: true), layerNorm(11, 131, hasWeight: true, isModulated: true),
        layerNorm(6, 1536, hasWeight: true, isModulated: false), layerNorm(1, 3, hasWeight: false, isModulated: false),
        SelfTestCase(name: "RMS norm 13×257") { backend, random in
            let x = random.hostile(backend, Shape(13, 257))
            backend.rmsNorm(x, epsilon: 1e-6, weight: backend.load(Parameter(random.floats(257))), into: x)
            return [x]
        },
        SelfTestCase(name: "norm and rotate, 2 sequences of 12, 2 heads of 26") { backend, random in
            let x = random.hostile(backend, Shape(24, 52))
            let table = backend.make { RotaryTable(frames: 2, height: 3, width: 2, headWidth: 26, in: $0) }
            table.fill()
            backend.normAndRotate(x, epsilon: 1e-6, weight: backend.load(Parameter(random.floats(52))), heads: 2, by: table)
            return [x]
        },
    ]

    // MARK: Attention

    private static func attention(
        _ queries: Int, _ keys: Int, _ heads: Int, _ width: Int, _ precision: AttentionPrecision, hasKeyBias: Bool = false,
        hasBias: Bool = false
    ) -> SelfTestCase {
        let more = (hasKeyBias ? ", key bias" : "") + (hasBias ? ", bias" : "")
        return SelfTestCase(name: "attention \(precision) \(queries)×\(keys), \(heads) heads of \(width)\(more)") { backend, random in
            let (q, k, v) = (
                random.finite(backend, Shape(queries, heads * width)), random.finite(backend, Shape(keys, heads * width)),
                random.finite(backend, Shape(keys, heads * width))
            )
            let keyBias = backend.tensor(Shape(keys), (0..<keys).map { $0 == keys - 1 ? 2.5 : 0 })
            let bias = random.tensor(backend, Shape(heads, queries, keys))
            let packed = backend.make { $0.keysValues(capacity: keys + 3, heads: heads, headWidth: width, precision: precision) }
            backend.pack(keys: k, into: packed)
            backend.pack(values: v, into: packed)
            let scale = 1 / Float(width).squareRoot()
            backend.attend(
                queries: q, to: packed, scale: scale, keyBias: hasKeyBias ? keyBias : nil, bias: hasBias ? bias : nil, into: q)
            return [q]
        }
    }

    private static let attentions = [
        attention(24, 24, 3, 128, .int8), attention(7, 523, 2, 20, .int8, hasKeyBias: true), attention(3, 256, 1, 254, .int8),
        attention(5, 301, 2, 64, .int8Probs16), attention(2, 1, 1, 6, .int8), attention(9, 77, 2, 24, .float, hasKeyBias: true),
        attention(4, 130, 1, 512, .float), attention(3, 67, 1, 1024, .float),
        attention(6, 65, 2, 10, .float, hasKeyBias: true, hasBias: true),
    ]

    // MARK: Convolutions

    private static func convolution(
        _ height: Int, _ width: Int, _ inputs: Int, _ outputs: Int, kernel: Int = 3, stride: Int = 1, upsample: Bool = false, isInt8: Bool,
        partner: Int = 0, zeros: Bool = false, activation: Activation = .none, hasResidual: Bool = false, reluAtEnd: Bool = false,
        padsAtEnd: Bool = false, scaled: Bool = false, fine: Bool = false
    ) -> SelfTestCase {
        let more = [
            stride > 1 ? "stride \(stride)" : nil, upsample ? "upsampled" : nil,
            partner > 0 ? "\(partner) more\(zeros ? " zeros" : "")" : nil,
            padsAtEnd ? "padded at the end" : nil, scaled ? "scaled channels" : nil, fine ? "two planes" : nil,
        ]
        let name =
            "convolution \(isInt8 ? "int8" : "float") \(height)×\(width)×\(inputs) to \(outputs), kernel \(kernel) \(activation)"
            + more.compactMap(\.self).map { ", " + $0 }.joined()
        return SelfTestCase(name: name) { backend, random in
            func image(_ channels: Int) -> Tensor {
                let shape = Shape(height, width, channels)
                return isInt8 ? random.hostile(backend, shape) : random.finite(backend, shape)
            }
            let x = image(inputs)
            let second: ConvolutionPartner = partner == 0 ? .none : zeros ? .zeros(partner) : .tensor(image(partner))
            let weights = backend.load(
                random.convolution(
                    outputs, inputs + partner, kernel: kernel, stride: stride, isInt8: isInt8, padsAtEnd: padsAtEnd, scaled: scaled,
                    fine: fine))
            let zoom = upsample ? 2 : 1
            let shape = Shape((height * zoom + stride - 1) / stride, (width * zoom + stride - 1) / stride, outputs)
            let out = random.tensor(backend, shape)
            backend.convolve(
                x, second, weights, upsample: upsample, activation: activation, residual: hasResidual ? out : nil, reluAtEnd: reluAtEnd,
                into: out)
            return [out]
        }
    }

    private static let convolutions = [
        convolution(7, 9, 5, 19, isInt8: false), convolution(5, 3, 6, 70, upsample: true, isInt8: false, partner: 5, activation: .relu),
        convolution(6, 5, 4, 17, isInt8: false, partner: 3, zeros: true, hasResidual: true, reluAtEnd: true),
        convolution(8, 6, 3, 16, stride: 2, isInt8: false, padsAtEnd: true), convolution(7, 5, 3, 20, kernel: 1, stride: 2, isInt8: false),
        convolution(7, 9, 16, 24, isInt8: true, activation: .relu),
        convolution(6, 5, 10, 19, upsample: true, isInt8: true, hasResidual: true),
        convolution(9, 7, 6, 70, stride: 2, isInt8: true, partner: 5, activation: .silu),
        convolution(5, 8, 4, 16, kernel: 1, isInt8: true, partner: 4, zeros: true, reluAtEnd: true),
        convolution(6, 7, 5, 18, isInt8: true, scaled: true),
        convolution(8, 8, 7, 16, isInt8: true, hasResidual: true, scaled: true, fine: true),
    ]

    // MARK: Quantized images

    private static func image(_ height: Int, _ width: Int, _ channels: Int, hasNorm: Bool, scaled: Bool, upsample: Bool) -> SelfTestCase {
        let name =
            "quantized images \(height)×\(width)×\(channels)" + (hasNorm ? ", norm" : "") + (scaled ? ", scaled" : "")
            + (upsample ? ", upsampled" : "")
        return SelfTestCase(name: name) { backend, random in
            let weight = backend.load(Parameter(random.floats(channels).map { $0 + 0.5 }))
            let factor = backend.load(Parameter(random.floats(channels)))
            let weights = (0..<3).map { backend.load(random.convolution(18, channels, kernel: 3, isInt8: true, hasBias: $0 == 2)) }
            let images: [any QuantizedImage] = (0..<3).map { index in
                let x =
                    index == 0
                    ? random.hostile(backend, Shape(height, width, channels)) : random.finite(backend, Shape(height, width, channels))
                let image = backend.make { $0.image(x.shape) }
                backend.quantize(
                    x, norm: hasNorm ? PixelNorm(weight: weight, epsilon: 1e-12) : nil, scale: scaled ? factor : nil, into: image)
                return image
            }
            let zoom = upsample ? 2 : 1
            let out = random.tensor(backend, Shape(height * zoom, width * zoom, 18))
            backend.convolve(images, weights, upsample: upsample, residual: out, into: out)
            // Their bytes as words: the same on every backend, so that another one can continue a decoder.
            let words = images.map { Tensor(Shape($0.bytes.count / 4), buffer: $0.bytes.buffer, offset: $0.bytes.offset) }
            return [out] + words
        }
    }

    private static let images = [
        image(7, 5, 9, hasNorm: false, scaled: false, upsample: false), image(6, 4, 8, hasNorm: true, scaled: true, upsample: true),
        image(3, 5, 70, hasNorm: true, scaled: false, upsample: false), image(20, 30, 3, hasNorm: false, scaled: true, upsample: false),
    ]

    // MARK: Elementwise

    private static func elementwise(
        _ name: String, _ body: @escaping @Sendable (_ backend: any ComputeBackend, _ a: Tensor, _ b: Tensor, _ out: Tensor) -> Void
    ) -> SelfTestCase {
        SelfTestCase(name: name) { backend, random in
            let (a, b) = (random.hostile(backend, Shape(1999)), random.hostile(backend, Shape(1999)))
            let out = backend.tensor(Shape(1999))
            body(backend, a, b, out)
            return [out]
        }
    }

    private static let elementwise = [
        elementwise("add") { $0.add($1, $2, into: $3) }, elementwise("fill") { backend, _, _, out in backend.fill(out, with: -1.5) },
        elementwise("SiLU") { backend, a, _, out in backend.silu(a, into: out) },
        elementwise("GELU · b") { $0.geluTanhMultiply($1, $2, into: $3) },
        elementwise("soft clamp") { backend, a, _, out in backend.softClamp(a, into: out) },
        elementwise("affine") { backend, a, _, out in backend.affine(a, scale: 0.7, shift: -0.3, into: out) },
        elementwise("guidance") { $0.guide(unconditional: $1, conditional: $2, scale: 4.7, into: $3) },
        elementwise("Euler step") { $0.eulerStep(sample: $1, velocity: $2, dt: -0.041, into: $3) },
    ]

    // MARK: Latents

    private static let latents = [
        SelfTestCase(name: "patches of latents, both ways") { backend, random in
            let layout = PatchLayout(channels: 5, patch: (1, 2, 2), grid: TokenGrid(frames: 3, height: 4, width: 3))
            let latent = random.hostile(backend, layout.latent)
            let (rows, back) = (backend.tensor(layout.rows), backend.tensor(layout.latent))
            backend.patchify(latent, layout, into: rows)
            backend.unpatchify(rows, layout, into: back)
            return [rows, back]
        },
        SelfTestCase(name: "frames of latents, both ways") { backend, random in
            let latent = random.hostile(backend, Shape(7, 3, 5, 3))
            let (mean, std) = (random.tensor(backend, Shape(7)), random.tensor(backend, Shape(7)))
            let image = backend.tensor(Shape(5, 3, 7))
            backend.denormalize(latent, frame: 1, mean: mean, std: std, into: image)
            let other = random.tensor(backend, latent.shape)
            backend.normalize(image, mean: mean, std: std, into: other, frame: 2)
            return [image, other]
        },
        SelfTestCase(name: "pixels shuffled, both ways") { backend, random in
            let x = random.hostile(backend, Shape(5, 3, 12))
            let (wide, back) = (backend.tensor(Shape(10, 6, 3)), backend.tensor(x.shape))
            backend.shufflePixels(x, 2, into: wide)
            backend.unshufflePixels(wide, 2, into: back)
            return [wide, back]
        },
        SelfTestCase(name: "copies of blocks") { backend, random in
            let x = random.hostile(backend, Shape(4, 5, 6))
            let (frames, all) = (random.tensor(backend, Shape(4, 3, 5, 6)), random.tensor(backend, Shape(5, 6, 4)))
            backend.copy(x.blocks(of: 30), into: frames.frame(1))
            backend.copy(Blocks(x, start: 2, length: 2, stride: 4, count: 30), into: all.channels(1..<3))
            return [frames, all]
        },
    ]
}
