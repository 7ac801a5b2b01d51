// Colors of wide-gamut and HDR files, and of pictures with a color profile, as a standard display shows them (sRGB).
// HDR: light relative to the reference white of 203 cd/m² (ITU-R BT.2408), PQ and HLG by ITU-R BT.2100, highlights up to 1,000 cd/m² rolled
// off by the curve of ITU-R BT.2390 (5.4), which leaves what is darker than half of white alone.
import Glibc

struct ColorConversion: Sendable {
    private enum Transfer { case pq, hlg, sdr }

    /// Light of a 16-bit number of red, green and blue, 1 for white.
    private let light: [[Float]]
    private let matrix: [Float]
    private let isHLG: Bool
    /// By what light of a brightness is multiplied, over `rollOffIndex`; empty where nothing is brighter than white.
    private let rollOff: [Float]

    private static let white: Float = 203
    private static let peak: Float = 1000
    /// The brightest that PQ can say, in units of white.
    private static let brightest: Float = 10_000 / 203

    /// nil for colors that are shown as they are. - Parameters: ffmpeg's names.
    init?(transfer: String, primaries: String) {
        let kind: Transfer = transfer == "smpte2084" ? .pq : transfer == "arib-std-b67" ? .hlg : .sdr
        switch primaries {
        case "bt2020": matrix = ColorConversion.fromBT2020
        case "smpte432", "smpte431": matrix = ColorConversion.fromP3
        case "unknown" where kind != .sdr: matrix = ColorConversion.fromBT2020
        default:
            guard kind != .sdr else { return nil }
            matrix = [1, 0, 0, 0, 1, 0, 0, 0, 1]
        }
        isHLG = kind == .hlg
        let curve: [Float] = (0...65_535).map { code in
            let value = Float(code) / 65_535
            switch kind {
            case .pq: return ColorConversion.pqLight(value) / ColorConversion.white
            case .hlg: return ColorConversion.hlgLight(value)
            case .sdr: return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4)
            }
        }
        light = [curve, curve, curve]
        rollOff = kind == .sdr ? [] : (0...4096).map { ColorConversion.gain(ColorConversion.brightness($0)) }
    }

    init(_ profile: ColorProfile) {
        light = profile.curves.map { curve in (0...65_535).map { curve.light(Float($0) / 65_535) } }
        matrix = profile.matrix
        isHLG = false
        rollOff = []
    }

    /// - Parameter frame: [H, W, 3] numbers of 16 bits, least significant byte first. - Returns: [H, W, 3] bytes.
    func rgb(_ frame: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(frame.count / 2)
        for pixel in stride(from: 0, to: frame.count, by: 6) {
            func channel(_ index: Int) -> Int { Int(frame[pixel + 2 * index]) | Int(frame[pixel + 2 * index + 1]) << 8 }
            let (red, green, blue) = rgb(channel(0), channel(1), channel(2))
            result += [red, green, blue]
        }
        return result
    }

    /// One pixel, its channels as numbers of 16 bits.
    func rgb(_ red: Int, _ green: Int, _ blue: Int) -> (UInt8, UInt8, UInt8) {
        var (r, g, b) = (light[0][red], light[1][green], light[2][blue])
        if isHLG {
            // The opto-optical transfer of a display of 1,000 cd/m².
            let luminance = 0.2627 * r + 0.6780 * g + 0.0593 * b
            let gain = luminance > 0 ? pow(luminance, 0.2) * ColorConversion.peak / ColorConversion.white : 0
            (r, g, b) = (r * gain, g * gain, b * gain)
        }
        let shown = (
            matrix[0] * r + matrix[1] * g + matrix[2] * b, matrix[3] * r + matrix[4] * g + matrix[5] * b,
            matrix[6] * r + matrix[7] * g + matrix[8] * b
        )
        let gain = rollOff.isEmpty ? 1 : rollOff[ColorConversion.index(max(shown.0, shown.1, shown.2))]
        return (ColorConversion.code(shown.0 * gain), ColorConversion.code(shown.1 * gain), ColorConversion.code(shown.2 * gain))
    }

    private static let fromBT2020: [Float] = [1.6605, -0.5876, -0.0728, -0.1246, 1.1329, -0.0083, -0.0182, -0.1006, 1.1187]
    private static let fromP3: [Float] = [1.2249, -0.2247, 0, -0.0420, 1.0419, 0, -0.0197, -0.0786, 1.0979]

    private static func code(_ light: Float) -> UInt8 {
        // A profile may give what is no number; it is black then.
        guard light > 0 else { return 0 }
        return UInt8(sRGBCode(min(1, light)) * 255 + 0.5)
    }

    // MARK: HDR

    /// Light of PQ, cd/m² (BT.2100, table 4).
    private static func pqLight(_ value: Float) -> Float {
        let power = pow(value, 1 / 78.84375)
        return 10_000 * pow(max(0, power - 0.8359375) / (18.8515625 - 18.6875 * power), 1 / 0.1593017578125)
    }

    private static func pqValue(_ light: Float) -> Float {
        let power = pow(max(0, light) / 10_000, 0.1593017578125)
        return pow((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power), 78.84375)
    }

    /// Light of the scene, 0…1 (BT.2100, table 5).
    private static func hlgLight(_ value: Float) -> Float {
        value <= 0.5 ? value * value / 3 : (exp((value - 0.55991073) / 0.17883277) + 0.28466892) / 12
    }

    private static func brightness(_ index: Int) -> Float {
        let root = Float(index) / 4096
        return root * root * brightest
    }

    private static func index(_ brightness: Float) -> Int { Int(max(0, min(1, brightness / brightest)).squareRoot() * 4096 + 0.5) }

    /// By what light of `brightness` is multiplied, so that the peak becomes white (BT.2390, 5.4.1, black at 0).
    private static func gain(_ brightness: Float) -> Float {
        guard brightness > 0 else { return 1 }
        let most = pqValue(peak)
        let target = pqValue(white) / most
        let knee = 1.5 * target - 0.5
        let value = min(1, pqValue(brightness * white) / most)
        guard value > knee else { return 1 }
        let t = (value - knee) / (1 - knee)
        let (t2, t3) = (t * t, t * t * t)
        let shown = (2 * t3 - 3 * t2 + 1) * knee + (t3 - 2 * t2 + t) * (1 - knee) + (-2 * t3 + 3 * t2) * target
        return pqLight(shown * most) / white / brightness
    }
}
