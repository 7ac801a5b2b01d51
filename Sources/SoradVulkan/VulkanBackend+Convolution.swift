// Convolutions on a Vulkan device. A float one is one dispatch. An int8 one first looks at the range of its input, which gives one scale
// and zero point for the whole image, then writes the quantized image inside a border, then multiplies.
//
// Invariant: scale and zero point stay on the device; a range is a minimum and a maximum, which no order changes.
import SoradCPU
public import SoradTensor

extension VulkanBackend {
    public func convolve(
        _ x: Tensor, _ x2: ConvolutionPartner, _ weights: ConvolutionWeights, upsample: Bool, activation: Activation, residual: Tensor?,
        reluAtEnd: Bool, into out: Tensor
    ) {
        OperationChecks.convolve(
            x, x2, weights, upsample: upsample, activation: activation, residual: residual, reluAtEnd: reluAtEnd, into: out)
        var (partner, partnerChannels): (Tensor?, Int) = (nil, 0)
        switch x2 {
        case .none: break
        case .zeros(let count): partnerChannels = count
        case .tensor(let other):
            (partner, partnerChannels) = (other, other.shape[2])
        }
        var flags = EpilogueFlags(activation)
        if reluAtEnd { flags.insert(.reluAtEnd) }
        perform(weights.isInt8 ? .convolveInt8 : .convolveFloat, into: out) {
            let weights = onDevice(weights)
            if case .float(let values) = weights.precision {
                convolve(x, partner, weights, values, upsample: upsample, flags, residual, out)
                return
            }
            let planes = sharedImages(Shape(x.shape[0], x.shape[1], weights.inputs), count: weights.has16BitInput ? 2 : 1)
            quantize(
                x, partner, partnerChannels, norm: nil, scale: weights.inputScale, into: planes[0], fine: planes.count > 1 ? planes[1] : nil
            )
            for (index, plane) in planes.enumerated() {
                convolve(plane, weights, hasBias: index == 0, upsample: upsample, flags, index == 0 ? residual : out, out)
            }
        } sample: {
            let other: ConvolutionPartner = if case .tensor(let partner) = x2 { .tensor(onHost(partner)) } else { x2 }
            return sample(of: out) {
                cpu.convolve(
                    onHost(x), other, onHost(weights), upsample: upsample, activation: activation, residual: onHost(residual),
                    reluAtEnd: reluAtEnd, into: $0)
            }
        }
    }

    public func quantize(_ x: Tensor, norm: PixelNorm?, scale: Parameter?, into image: any QuantizedImage) {
        let image = own(image)
        OperationChecks.quantize(x, norm: norm, scale: scale, into: image)
        let words = Tensor(Shape(image.values.count / 4), buffer: image.values.buffer, offset: image.values.offset)
        perform(.quantizeImage, into: words) {
            quantize(x, nil, 0, norm: norm, scale: scale, into: image, fine: nil)
        } sample: {
            let own = cpu.make { $0.image(x.shape) }
            cpu.quantize(
                onHost(x), norm: norm.map { PixelNorm(weight: onHost($0.weight), epsilon: $0.epsilon) }, scale: onHost(scale), into: own)
            let expected = Tensor(words.shape, buffer: own.bytes.buffer, offset: own.bytes.offset + VulkanImage.headBytes)
            return Sample(expected: expected, made: words)
        }
    }

    public func convolve(
        _ images: [any QuantizedImage], _ weights: [ConvolutionWeights], upsample: Bool, residual: Tensor?, into out: Tensor
    ) {
        OperationChecks.convolve(images, weights, upsample: upsample, residual: residual, into: out)
        perform(.convolveImages, into: out) {
            for (index, (image, weights)) in zip(images, weights).enumerated() {
                convolve(own(image), onDevice(weights), hasBias: true, upsample: upsample, [], index == 0 ? residual : out, out)
            }
        } sample: {
            sample(of: out) {
                cpu.convolve(
                    images.map { onHost(own($0)) }, weights.map { onHost($0) }, upsample: upsample, residual: onHost(residual), into: $0)
            }
        }
    }

    // MARK: Dispatches

    private func convolve(
        _ x: Tensor, _ partner: Tensor?, _ weights: ConvolutionWeights, _ values: Parameter, upsample: Bool, _ flags: EpilogueFlags,
        _ residual: Tensor?, _ out: Tensor
    ) {
        let inputs = weights.kernel * weights.kernel * weights.inputs
        let sizes = [
            x.shape[0], x.shape[1], out.shape[1], weights.kernel, weights.stride, upsample ? 1 : 0,
            weights.padsAtEnd ? 0 : weights.kernel / 2, x.shape[2], weights.inputs - x.shape[2], partner == nil ? 0 : 1,
        ]
        pieces(out, inputs: inputs, tileRows: 32) { pixels, work in
            run(
                .convolveFloat,
                [
                    binding(x), binding(partner), nil, binding(values), nil, nil, binding(weights.bias), nil, binding(residual),
                    binding(out),
                ],
                [pixels.lowerBound, pixels.upperBound, weights.outputs, inputs].map(UInt32.init)
                    + [all(flags, weights.bias != nil, residual).rawValue] + sizes.map(UInt32.init),
                groups: ((weights.outputs + 63) / 64, (pixels.count + 31) / 32), work: work)
        }
    }

    /// One int8 convolution, added to `residual` if there is one.
    private func convolve(
        _ image: VulkanImage, _ weights: ConvolutionWeights, hasBias: Bool, upsample: Bool, _ flags: EpilogueFlags, _ residual: Tensor?,
        _ out: Tensor
    ) {
        guard case .int8(let values, let scale, let sum) = weights.precision else {
            preconditionFailure("a quantized image for float weights")
        }
        let channelGroups = weights.int8Inputs / 4
        let groups = weights.kernel * weights.kernel * channelGroups
        let sizes = [image.shape[1], channelGroups, out.shape[1], weights.kernel, weights.stride, upsample ? 1 : 0]
        pieces(out, inputs: groups * 4, tileRows: 64) { pixels, work in
            run(
                .convolveInt8,
                [
                    binding(image.values), binding(image.head), nil, binding(values), binding(scale), binding(sum), binding(weights.bias),
                    nil,
                    binding(residual), binding(out),
                ],
                [pixels.lowerBound, pixels.upperBound, weights.outputs, groups].map(UInt32.init)
                    + [all(flags, hasBias && weights.bias != nil, residual).rawValue] + sizes.map(UInt32.init),
                groups: ((weights.outputs + 63) / 64, (pixels.count + 63) / 64), work: work)
        }
    }

    private func all(_ flags: EpilogueFlags, _ hasBias: Bool, _ residual: Tensor?) -> EpilogueFlags {
        flags.union(hasBias ? .bias : []).union(residual == nil ? [] : .residual)
    }

    /// Output pixels cut by what one submission, and one axis of a grid, may take.
    private func pieces(_ out: Tensor, inputs: Int, tileRows: Int, _ body: (_ pixels: Range<Int>, _ work: Int) -> Void) {
        let pixels = out.shape[0] * out.shape[1]
        let perPixel = out.shape[2] * inputs
        let step = max(1, min(options.submissionLimit / max(perPixel, 1), 65_535 * tileRows) / tileRows) * tileRows
        for first in stride(from: 0, to: pixels, by: step) {
            let part = first..<min(first + step, pixels)
            body(part, part.count * perPixel)
        }
    }

    // MARK: From floats to int8

    /// Images that no one keeps: the next convolution writes over them.
    private func sharedImages(_ shape: Shape, count: Int) -> [VulkanImage] {
        let bytes = (VulkanImage.byteCount(shape) + alignment - 1) / alignment * alignment
        let room = room(.images, byteCount: bytes * count)
        return (0..<count).map { VulkanImage(shape, ByteBuffer(buffer: room, offset: $0 * bytes, count: bytes)) }
    }

    private func quantize(
        _ x: Tensor, _ partner: Tensor?, _ partnerChannels: Int, norm: PixelNorm?, scale: Parameter?, into image: VulkanImage,
        fine: VulkanImage?
    ) {
        let (height, width, channels) = (x.shape[0], x.shape[1], x.shape[2])
        let pixels = height * width
        let matrix = x.reshaped(Shape(pixels, channels))
        var roots: Tensor?
        if let norm {
            roots = Tensor(Shape(pixels), buffer: room(.norm, byteCount: pixels * 4), offset: 0)
            inverseRoots(matrix, epsilon: norm.epsilon, into: roots!)
        }
        // At most 512 work groups, of at least 16 pixels.
        let together = max(16, (pixels + 511) / 512)
        let groups = (pixels + together - 1) / together
        let floats = 2 * groups * channels
        let ends = Tensor(
            Shape(floats + 2 * groups * (partner?.shape[2] ?? 0)),
            buffer: room(.ends, byteCount: (floats + 2 * groups * partnerChannels) * 4), offset: 0)
        findRange(matrix, roots, norm, together, groups, ends)
        if let partner {
            findRange(partner.reshaped(Shape(pixels, partner.shape[2])), nil, nil, together, groups, ends.from(floats))
        }
        let inverse = Tensor(Shape(1), buffer: room(.inverse, byteCount: 256), offset: 0)
        let flags: UInt32 = (norm == nil ? 0 : 1) | (scale == nil ? 0 : 2) | (fine == nil ? 0 : 4)
        run(
            .imageParameters,
            [binding(ends), binding(scale), binding(image.head), fine.map { binding($0.head) }, binding(inverse)],
            [groups, channels, partner == nil ? 0 : groups, partner?.shape[2] ?? 0].map(UInt32.init)
                + [flags, Self.siluMinimum.x.bitPattern, Self.siluMinimum.value.bitPattern], groups: (1, 1), work: ends.count)
        let words = image.values.count / 4
        run(
            .quantizeImage,
            [
                binding(x), binding(partner), binding(roots), binding(norm?.weight), binding(scale), binding(image.head), binding(inverse),
                binding(image.values), fine.map { binding($0.values) },
            ],
            [height, width, channels, partnerChannels].map(UInt32.init) + [flags | (partner == nil ? 0 : 8)],
            groups: Self.groups(words, of: 64), work: words * 8)
    }

    private func findRange(
        _ matrix: Tensor, _ roots: Tensor?, _ norm: PixelNorm?, _ together: Int, _ groups: Int, _ ends: Tensor
    ) {
        run(
            .imageRange, [binding(matrix), binding(roots), binding(norm?.weight), binding(ends)],
            [matrix.shape[0], matrix.shape[1], together, norm == nil ? 0 : 1].map(UInt32.init), groups: Self.groups(groups, of: 1),
            work: matrix.count * 2)
    }

    /// Where SiLU has its only minimum, as the CPU backend counts it.
    private static let siluMinimum: (x: Float, value: Float) = (-1.278_464_5, -0.278_464_54)
}
