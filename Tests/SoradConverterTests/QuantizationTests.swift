// int8: how large the error may be, what the scale search and the rotation buy, and where every byte lies.
import CSoradKernels
import SoradConverter
import SoradSystem
import SoradTestSupport
import Testing

@Suite struct QuantizationTests {
    private static func outputError(
        _ weights: [Float], outputs: Int, inputs: Int, _ x: LayerActivations, rotation: Int?, asymmetric: Bool = false
    ) -> Double {
        let reference = LayerError(WeightMatrix(outputs: outputs, inputs: inputs, weights), on: x)
        var turned = weights
        var inputsTurned = x
        if let rotation {
            rotateHadamard(&turned, group: rotation)
            inputsTurned = x.rotated(group: rotation)
        }
        let matrix = WeightMatrix(outputs: outputs, inputs: inputs, turned)
        return reference.relative(
            matrix, scales: Int8Quantization.scales(matrix, importance: nil), on: inputsTurned.quantized(asymmetric: asymmetric))
    }

    @Test(arguments: [16, 100, 256, 1536]) func gaussianLayersAreWithinTheLimit(inputs: Int) {
        var random = SplitMix64(seed: 5)
        let weights = random.normals(48 * inputs)
        let x = LayerActivations(synthetic: .normal, inputs: inputs, gain: nil, name: "x")
        let error = Self.outputError(weights, outputs: 48, inputs: inputs, x, rotation: nil)
        // A step of 2·3.2σ/254 and round-off of step/√12 on both sides give about 1 %; nothing int8 can be much better.
        #expect(error < 0.012 && error > 0.003, "\(error)")
    }

    @Test func rotationTamesOutlierInputs() {
        var random = SplitMix64(seed: 6)
        let weights = random.normals(64 * 256)
        var gain = [Float](repeating: 1, count: 256)
        gain[17] = 20
        let x = LayerActivations(synthetic: .normal, inputs: 256, gain: gain, name: "x")
        // Weights that are small where the inputs are large, as trained layers have them.
        var tamed = weights
        for n in 0..<64 { tamed[n * 256 + 17] /= 20 }
        let plain = Self.outputError(tamed, outputs: 64, inputs: 256, x, rotation: nil)
        let rotated = Self.outputError(tamed, outputs: 64, inputs: 256, x, rotation: 256)
        #expect(plain > 0.03 && rotated < 0.015, "\(plain) → \(rotated)")
    }

    @Test func theScaleSearchNeverLosesToTheFullRange() {
        var random = SplitMix64(seed: 7)
        let weights = random.normals(8 * 4096)
        let matrix = WeightMatrix(outputs: 8, inputs: 4096, weights)
        let full = (0..<8).map { n in weights[(n * 4096)..<((n + 1) * 4096)].reduce(0) { max($0, $1.magnitude) } / 127 }
        let found = Int8Quantization.scales(matrix, importance: nil)
        #expect(zip(found, full).allSatisfy { $0 <= $1 * 1.000001 && $0 > 0.5 * $1 })
        #expect(found != full)
        #expect(Int8Quantization.error(matrix, scales: found) < Int8Quantization.error(matrix, scales: full))
    }

    /// 10 bits in blocks: of normal weights 0.13 %, whatever the width.
    @Test(arguments: [16, 100, 1536]) func tenBitsAreSixTimesAsFine(inputs: Int) throws {
        var random = SplitMix64(seed: 8)
        let weights = WeightMatrix(outputs: 48, inputs: inputs, random.normals(48 * inputs))
        let scales = try #require(Int10Quantization.scales(weights))
        #expect(scales.count == 48 * ((inputs + 31) / 32))
        let errors = Int10Quantization.errors(weights, Int10Quantization.rounded(weights, scales))
        #expect(errors.all < 0.0015 && errors.all > 0.0007 && errors.columns < 0.0018, "\(errors)")
        let x = LayerActivations(synthetic: .normal, inputs: inputs, gain: nil, name: "x")
        let error = LayerError(weights, on: x).relative(Int10Quantization.rounded(weights, scales), on: x)
        #expect(abs(error / errors.all - 1) < 0.1, "\(error), \(errors)")
    }

    /// Q8_0: blocks of 32 whole numbers up to 127 times a half-precision number.
    @Test func blocksOfQ8AreTakenWithoutLoss() throws {
        var random = SplitMix64(seed: 9)
        let weights = (0..<16 * 2).flatMap { block -> [Float] in
            let scale = Float(Float16(0.001 + 0.0001 * Float(block)))
            return (0..<32).map { Float($0 == 7 ? 127 : Int(random.next() % 255) - 127) * scale }
        }
        let matrix = WeightMatrix(outputs: 16, inputs: 64, weights)
        let rounded = Int10Quantization.rounded(matrix, try #require(Int10Quantization.scales(matrix)))
        #expect(Int10Quantization.errors(matrix, rounded).all == 0)
    }

    /// A column that is far longer than its neighbors takes their bits: the errors of columns say so where that of all does not.
    @Test func aLongColumnIsSeen() throws {
        var random = SplitMix64(seed: 10)
        var weights = random.normals(64 * 256)
        for n in 0..<64 { weights[n * 256 + 40] *= 300 }
        let matrix = WeightMatrix(outputs: 64, inputs: 256, weights)
        let errors = Int10Quantization.errors(matrix, Int10Quantization.rounded(matrix, try #require(Int10Quantization.scales(matrix))))
        #expect(errors.all < 0.02 && errors.columns > 0.03, "\(errors)")
        #expect(Int10Quantization.scales(WeightMatrix(outputs: 1, inputs: 1, [4e7])) == nil)
        #expect(Int10Quantization.scales(WeightMatrix(outputs: 1, inputs: 2, [0, 0])) == [0])
    }

    @Test func importanceMovesTheScale() {
        // Where only the small weights count, giving up the large one pays.
        var weights = [Float](repeating: 0.013, count: 64)
        for i in weights.indices { weights[i] *= Float(i % 9) / 4 }
        weights[0] = 1
        let matrix = WeightMatrix(outputs: 1, inputs: 64, weights)
        var importance = [SIMD8<Float>](repeating: SIMD8(repeating: 1), count: 8)
        importance[0][0] = 0
        #expect(Int8Quantization.scales(matrix, importance: importance)[0] < Int8Quantization.scales(matrix, importance: nil)[0])
    }

    @Test func emptyAndTinyChannelsAreZero() {
        let matrix = WeightMatrix(outputs: 2, inputs: 3, [0, 0, 0, 0x1p-133, -0x1p-140, 0])
        #expect(Int8Quantization.scales(matrix, importance: nil) == [0, 0])
        let (packed, sums) = WeightPacking.int8(matrix, scales: [0, 0])
        #expect(packed.allSatisfy { $0 == 0 } && sums == [0, 0])
    }

    @Test(arguments: [(1, 1), (16, 4), (17, 5), (33, 30), (40, 64)]) func int8BlocksLieAsDocumented(outputs: Int, inputs: Int) {
        var random = SplitMix64(seed: 8)
        let steps = (0..<(outputs * inputs)).map { _ in Float(random.below(255) - 127) }
        let (words, sums) = WeightPacking.int8(
            WeightMatrix(outputs: outputs, inputs: inputs, steps), scales: [Float](repeating: 1, count: outputs))
        let packed = words.flatMap { word in (0..<4).map { Int8(truncatingIfNeeded: word >> (8 * $0)) } }
        let groups = (inputs + 3) / 4
        let rows = (outputs + 15) / 16 * 16
        #expect(packed.count == rows * groups * 4)
        #expect(WeightPacking.int8Dims(outputs: outputs, inputs: inputs) == [4, 16, groups, rows / 16])
        for n in 0..<rows {
            for k in 0..<(groups * 4) {
                let expected = n < outputs && k < inputs ? Int8(steps[n * inputs + k]) : 0
                #expect(packed[((n / 16 * groups + k / 4) * 16 + n % 16) * 4 + k % 4] == expected)
            }
        }
        for n in 0..<outputs { #expect(Float(sums[n]) == steps[(n * inputs)..<((n + 1) * inputs)].reduce(0, +)) }
    }

    @Test func floatBlocksAndConvolutionsLieAsDocumented() {
        let values = (0..<(18 * 5)).map { Float($0) }
        let packed = WeightPacking.float(values, outputs: 18, inputs: 5)
        #expect(packed.count == 2 * 5 * 16 && WeightPacking.floatDims(outputs: 18, inputs: 5) == [16, 5, 2])
        for n in 0..<32 { for k in 0..<5 { #expect(packed[(n / 16 * 5 + k) * 16 + n % 16] == (n < 18 ? values[n * 5 + k] : 0)) } }
        let shape = [2, 3, 2, 2]
        let kernel = (0..<24).map { Float($0) }
        let reordered = WeightPacking.channelsLast(kernel, shape: shape)
        for n in 0..<2 {
            for c in 0..<3 {
                for y in 0..<2 {
                    for x in 0..<2 {
                        #expect(reordered[n * 12 + (y * 2 + x) * 3 + c] == kernel[((n * 3 + c) * 2 + y) * 2 + x])
                    }
                }
            }
        }
    }

    /// [1 1 1 -1; 1 1 -1 1; 1 -1 1 1; -1 1 1 1] / 2 to the Kronecker power, element by element.
    @Test(arguments: [4, 16, 64, 256]) func theRotationIsTheRegularHadamardMatrix(group: Int) {
        func element(_ row: Int, _ column: Int) -> Float {
            var (row, column, left, value) = (row, column, group, Float(1))
            while left > 1 {
                value *= row % 4 + column % 4 == 3 ? -0.5 : 0.5
                (row, column, left) = (row / 4, column / 4, left / 4)
            }
            return value
        }
        for place in [0, 1, group / 2 + 1, group - 1] {
            var unit = [Float](repeating: 0, count: 2 * group)
            unit[group + place] = 1
            rotateHadamard(&unit, group: group)
            #expect(unit == [Float](repeating: 0, count: group) + (0..<group).map { element(place, $0) })
            rotateHadamard(&unit, group: group)
            #expect(unit[group + place] == 1 && unit.reduce(0) { $0 + $1.magnitude } == 1)
        }
    }

    @Test(arguments: [64, 256]) func theEngineRotatesTheSameWay(group: Int) {
        var random = SplitMix64(seed: 9)
        let values = random.normals(3 * 512)
        var ours = values
        var theirs = values
        rotateHadamard(&ours, group: group)
        guard let kernels = unsafe sorad_kernels_for(SORAD_ISA_SCALAR) else { preconditionFailure("no scalar kernels") }
        unsafe theirs.withUnsafeMutableBufferPointer { buffer in
            var arguments = unsafe sorad_hadamard_args()
            unsafe arguments.x = UnsafePointer(buffer.baseAddress)
            unsafe arguments.x_stride = 512
            unsafe arguments.out = buffer.baseAddress
            unsafe arguments.out_stride = 512
            unsafe arguments.k = 512
            unsafe arguments.group = group
            unsafe arguments.row_end = 3
            unsafe kernels.pointee.hadamard_f32(&arguments)
        }
        #expect(relativeError(ours, theirs) < 1e-6)
    }

    @Test func patternsOfNamesToKeep() {
        var options = ConversionOptions()
        options.keepFloat = ["dit.blocks.0.*", "*.wo.weight", "te.block.?.attn.q.weight"]
        #expect(options.keepsFloat("dit.blocks.0.attn1.to_q.weight") && !options.keepsFloat("dit.blocks.10.attn1.to_q.weight"))
        #expect(options.keepsFloat("te.block.11.ffn.wo.weight") && !options.keepsFloat("te.block.11.ffn.wo.bias"))
        #expect(options.keepsFloat("te.block.3.attn.q.weight") && !options.keepsFloat("te.block.11.attn.q.weight"))
        #expect(!options.keepsFloat(""))
    }
}
