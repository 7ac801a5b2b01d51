// Kernels with one implementation: noise, pixels, latents, element types, packing.

import CSoradKernels
import Testing

@Suite struct PortableTests {
    /// Vectors from the Random123 distribution (kat_vectors, philox4x32 10).
    @Test func philoxVectors() {
        let rows: [(counter: [UInt32], key: [UInt32], words: [UInt32])] = [
            ([0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (Array(repeating: .max, count: 4), [.max, .max], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
            ),
        ]
        for row in rows {
            var out: [UInt32] = [0, 0, 0, 0]
            unsafe sorad_philox_block(row.counter, row.key, &out)
            #expect(out == row.words)
        }
    }

    @Test func noiseIsNormalAndDependsOnItsIndexOnly() {
        var all = [Float](repeating: 0, count: 100_000)
        var part = [Float](repeating: 0, count: 101)
        unsafe sorad_philox_normal(42, 7, 0, all.count, &all)
        unsafe sorad_philox_normal(42, 7, 4_321, part.count, &part)
        #expect(Array(all[4_321..<4_422]) == part)
        let mean = all.reduce(0.0) { $0 + Double($1) } / 1e5
        let moments = [2, 3, 4].map { power in all.reduce(0.0) { sum, x in sum + (0..<power).reduce(1.0) { p, _ in p * Double(x) } } / 1e5 }
        #expect(abs(mean) < 0.015)
        #expect(abs(moments[0] - 1) < 0.02 && abs(moments[1]) < 0.05 && abs(moments[2] - 3) < 0.15)
        var other = part
        unsafe sorad_philox_normal(42, 8, 4_321, other.count, &other)
        #expect(zip(part, other).allSatisfy { $0 != $1 })
        unsafe sorad_philox_normal(1 << 32 | 42, 7, 4_321, other.count, &other)
        #expect(zip(part, other).allSatisfy { $0 != $1 })
    }

    @Test func pixelShuffleIsTorchs() {
        let (h, w, c, r) = (2, 3, 2, 2)
        let x = (0..<h * w * c * r * r).map(Float.init)
        var shuffled = x
        var back = x
        unsafe sorad_pixel_shuffle(x, h, w, c, r, &shuffled)
        for y in 0..<h * r {
            for column in 0..<w * r {
                for channel in 0..<c {
                    let source = (y / r * w + column / r) * c * r * r + (channel * r + y % r) * r + column % r
                    #expect(shuffled[(y * w * r + column) * c + channel] == x[source])
                }
            }
        }
        unsafe sorad_pixel_unshuffle(shuffled, h, w, c, r, &back)
        #expect(back == x)
    }

    @Test func latentsBetweenPlanesAndChannelsLast() {
        let planar = Memory<Float>([1, 2, 3, 10, 20, 30])
        let mean = Memory<Float>([1, 10])
        let deviation = Memory<Float>([2, 4])
        let last = Memory<Float>(6)
        let back = Memory<Float>(6)
        var args = unsafe sorad_latent_args()
        unsafe (args.x, args.x_pixel_stride, args.x_channel_stride) = (UnsafePointer(planar.base), 1, 3)
        unsafe (args.out, args.out_pixel_stride, args.out_channel_stride) = (last.base, 2, 1)
        unsafe (args.pixels, args.channels, args.mean, args.std) = (3, 2, UnsafePointer(mean.base), UnsafePointer(deviation.base))
        unsafe sorad_latent_normalize(&args)
        #expect(last.values == [0, 0, 0.5, 2.5, 1, 5])
        unsafe (args.x, args.x_pixel_stride, args.x_channel_stride) = (UnsafePointer(last.base), 2, 1)
        unsafe (args.out, args.out_pixel_stride, args.out_channel_stride) = (back.base, 1, 3)
        unsafe sorad_latent_denormalize(&args)
        #expect(back.values == planar.values)
    }

    @Test func pixelsToBytesAndBack() {
        let bytes = (0...255).map(UInt8.init)
        var floats = [Float](repeating: 0, count: 256)
        var again = [UInt8](repeating: 0, count: 256)
        unsafe sorad_u8_to_rgb(bytes, &floats, 256)
        unsafe sorad_rgb_to_u8(floats, &again, 256)
        #expect(again == bytes)
        #expect(floats[255] == 1 && floats[51] == 0.2)
        let odd: [Float] = [-1, 2, .nan, .infinity, -.infinity, 0.5 / 255, 1.5 / 255, 2.5 / 255]
        unsafe sorad_rgb_to_u8(odd, &again, odd.count)
        #expect(Array(again[0..<odd.count]) == [0, 255, 0, 255, 0, 0, 2, 2])
    }

    @Test func everyHalfIsExact() {
        let halves = (0...UInt16.max).map { $0 }
        var floats = [Float](repeating: 0, count: halves.count)
        unsafe sorad_f16_to_f32(halves, &floats, halves.count)
        for (bits, value) in zip(halves, floats) {
            let sign: Float = bits >> 15 == 1 ? -1 : 1
            let exponent = Int(bits >> 10 & 31)
            let fraction = Float(bits & 1023)
            switch exponent {
            case 31: #expect(fraction == 0 ? value == sign * .infinity : value.isNaN)
            case 0: #expect(value == sign * fraction * 0x1p-24 && value.sign == (sign < 0 ? .minus : .plus))
            default: #expect(value == sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024))
            }
        }
        unsafe sorad_bf16_to_f32([0x3F80, 0xC040, 0x7F80], &floats, 3)
        #expect(Array(floats[0..<3]) == [1, -3, .infinity])
    }

    @Test func packing() {
        let (n, k) = (18, 6)
        let w = (0..<n * k).map { Int8($0 - 50) }
        var packed = [Int8](repeating: 99, count: 32 * 8)
        var sums = [Int32](repeating: 0, count: n)
        unsafe sorad_pack_int8(w, n, k, &packed, &sums)
        for i in 0..<32 {
            for j in 0..<8 {
                let value = i < n && j < k ? w[i * k + j] : 0
                #expect(packed[((i / 16 * 2 + j / 4) * 16 + i % 16) * 4 + j % 4] == value)
            }
        }
        #expect(sums == (0..<n).map { row in (0..<k).reduce(0) { $0 + Int32(w[row * k + $1]) } })
        let floats = w.map(Float.init)
        var packedFloats = [Float](repeating: 99, count: 32 * k)
        unsafe sorad_pack_f32(floats, n, k, &packedFloats)
        for i in 0..<32 {
            for j in 0..<k { #expect(packedFloats[(i / 16 * k + j) * 16 + i % 16] == (i < n ? floats[i * k + j] : 0)) }
        }
    }
}
