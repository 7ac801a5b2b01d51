// Reads ICC profiles of pictures (ICC.1:2022): those of displays and cameras, which are three curves and a matrix, and those of gray.
// Pure. Invariant: a profile that cannot be read is none, as for viewers; one of another kind is refused by its name, never misread.
import Glibc
package import SoradSystem

package struct ColorProfile: Sendable, Equatable {
    /// From a number of a channel to its light, both 0…1 (10.6 and 10.18).
    package enum Curve: Sendable, Equatable {
        case table([UInt16])
        /// Function number and its values g, a, b, c, d, e, f.
        case parametric(Int, [Float])

        package func light(_ x: Float) -> Float {
            switch self {
            case .table(let table):
                let place = x * Float(table.count - 1)
                let index = min(Int(place), table.count - 2)
                let (low, high) = (Float(table[index]), Float(table[index + 1]))
                return (low + (high - low) * (place - Float(index))) / 65_535
            case .parametric(let kind, let v):
                let (g, a, b, c, d, e, f) = (v[0], v[1], v[2], v[3], v[4], v[5], v[6])
                switch kind {
                case 0: return pow(x, g)
                case 1: return x >= -b / a ? pow(max(0, a * x + b), g) : 0
                case 2: return (x >= -b / a ? pow(max(0, a * x + b), g) : 0) + c
                case 3: return x >= d ? pow(max(0, a * x + b), g) : c * x
                default: return x >= d ? pow(max(0, a * x + b), g) + e : c * x + f
                }
            }
        }
    }

    /// Of red, green and blue.
    package let curves: [Curve]
    /// From light of the profile to that of sRGB, by rows.
    let matrix: [Float]

    /// - Parameter name: the picture's format.
    /// - Returns: nil for a profile that is damaged, or so near to sRGB that nothing would change.
    /// - Throws: `.badInput` for a profile of another kind than curves and a matrix.
    package static func read(_ file: [UInt8], of name: String) throws(SoradError) -> ColorProfile? {
        let bytes = MediaBytes(file)
        guard bytes.begins("acsp", at: 36), let space = bytes.fourCharacters(16), let count = bytes.big(128, 4), count <= 100 else {
            return nil
        }
        func tag(_ name: String) -> MediaBytes? {
            for index in 0..<count where bytes.begins(name, at: 132 + 12 * index) {
                guard let offset = bytes.big(136 + 12 * index, 4), let size = bytes.big(140 + 12 * index, 4) else { return nil }
                return bytes.part(offset, size)
            }
            return nil
        }
        func unusable(_ what: String) -> SoradError {
            SoradError(.badInput, "the \(name) picture has a color profile of \(what), which is not read here; convert it to sRGB")
        }
        let profile: ColorProfile
        switch space {
        case "GRAY":
            guard let curve = tag("kTRC").flatMap({ Curve($0) }) else { return nil }
            profile = ColorProfile(curves: [curve, curve, curve], matrix: [1, 0, 0, 0, 1, 0, 0, 0, 1])
        case "RGB ":
            let columns = ["rXYZ", "gXYZ", "bXYZ"].compactMap { tag($0).flatMap { numbers($0, at: 8, 3) } }
            let curves = ["rTRC", "gTRC", "bTRC"].compactMap { tag($0).flatMap { Curve($0) } }
            guard columns.count == 3, curves.count == 3 else {
                guard tag("A2B0") == nil else { throw unusable("tables instead of a matrix") }
                return nil
            }
            profile = ColorProfile(curves: curves, matrix: product(ColorProfile.fromD50, columns))
        case "CMYK": throw unusable("printing colors (CMYK)")
        case "Lab ": throw unusable("the color space Lab")
        default: return nil
        }
        return profile.isNearSRGB ? nil : profile
    }

    private init(curves: [Curve], matrix: [Float]) {
        self.curves = curves
        self.matrix = matrix
    }

    /// Whether it changes no channel by more than one 255th, so that the common profiles of sRGB cost nothing.
    private var isNearSRGB: Bool {
        let identity: [Float] = [1, 0, 0, 0, 1, 0, 0, 0, 1]
        guard zip(matrix, identity).allSatisfy({ abs($0 - $1) < 0.004 }) else { return false }
        return (0...255).allSatisfy { code in
            let x = Float(code) / 255
            return curves.allSatisfy { abs(sRGBCode(max(0, $0.light(x))) - x) < 1 / 255 }
        }
    }

    /// XYZ of the profiles' illuminant D50 to light of sRGB, by Bradford's adaptation.
    private static let fromD50: [Float] = [
        3.1338561, -1.6168667, -0.4906146, -0.9787684, 1.9161415, 0.0334540, 0.0719453, -0.2289914, 1.4052427,
    ]

    private static func product(_ matrix: [Float], _ columns: [[Float]]) -> [Float] {
        var result: [Float] = []
        for row in 0..<3 {
            for column in 0..<3 { result.append((0..<3).reduce(0) { $0 + matrix[row * 3 + $1] * columns[column][$1] }) }
        }
        return result
    }
}

/// Signed numbers of 16 bits before the point and 16 behind it.
private func numbers(_ bytes: MediaBytes, at offset: Int, _ count: Int) -> [Float]? {
    let values = (0..<count).compactMap { bytes.signedBig(offset + 4 * $0).map { Float($0) / 65_536 } }
    return values.count == count ? values : nil
}

extension ColorProfile.Curve {
    /// nil for another kind of tag, and for values that give no light.
    init?(_ tag: MediaBytes) {
        if tag.begins("curv"), let count = tag.big(8, 4) {
            switch count {
            case 0: self = .parametric(0, [1, 1, 0, 0, 0, 0, 0])
            case 1:
                guard let gamma = tag.big(12, 2), gamma > 0 else { return nil }
                self = .parametric(0, [Float(gamma) / 256, 1, 0, 0, 0, 0, 0])
            default:
                guard count <= 65_536, let values = tag.part(12, 2 * count) else { return nil }
                self = .table((0..<count).map { UInt16(values.big(2 * $0, 2)!) })
            }
        } else if tag.begins("para"), let kind = tag.big(8, 2), kind <= 4,
            let values = numbers(tag, at: 12, [1, 3, 4, 5, 7][kind]), values[0] > 0, kind == 0 || values[1] > 0
        {
            self = .parametric(kind, values + [Float](repeating: 0, count: 7 - values.count))
        } else {
            return nil
        }
    }
}

/// The curve of sRGB, light to number, both 0…1.
func sRGBCode(_ light: Float) -> Float { light <= 0.0031308 ? 12.92 * light : 1.055 * pow(light, 1 / 2.4) - 0.055 }
