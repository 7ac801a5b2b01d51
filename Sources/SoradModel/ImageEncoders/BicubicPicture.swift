// A picture as an image encoder was trained to see it: its shorter side brought to the encoder's, then the middle of it. The arithmetic is
// that of Pillow (resize with BICUBIC of 8-bit pictures), in integers, so it has the same bits everywhere and is what the checkpoint's own
// preprocessing (transformers CLIPImageProcessor) gives.

/// The middle square of a picture whose shorter side has become `side`.
/// - Parameter picture: [height, width, 3] bytes.
/// - Returns: [side, side, 3]
func squarePicture(_ picture: [UInt8], width: Int, height: Int, side: Int) -> [UInt8] {
    precondition(width > 0 && height > 0 && side > 0 && picture.count == width * height * 3, "\(picture.count) bytes, \(width)×\(height)")
    let isTall = height > width
    let (short, long) = (min(width, height), max(width, height))
    let newLong = side * long / short
    let (newWidth, newHeight) = isTall ? (side, newLong) : (newLong, side)
    var pixels = picture
    if newWidth != width {
        pixels = resampled(pixels, lines: height, length: width, stride: 3, lineStride: 3 * width, to: newWidth)
    }
    if newHeight != height {
        pixels = resampledColumns(pixels, width: newWidth, height: height, to: newHeight)
    }
    let (left, top) = ((newWidth - side) / 2, (newHeight - side) / 2)
    var result: [UInt8] = []
    result.reserveCapacity(side * side * 3)
    for row in top..<top + side { result += pixels[3 * (row * newWidth + left)..<3 * (row * newWidth + left + side)] }
    return result
}

/// Which inputs an output is a sum of, and their weights in units of 2⁻²².
private struct BicubicTaps {
    private static let bits = 22
    private static let support = 2.0
    /// Per output: the first input, and its weights.
    let taps: [(first: Int, weights: [Int])]

    init(from length: Int, to newLength: Int) {
        let scale = Double(length) / Double(newLength)
        // Smaller pictures are sums over wider pieces of the larger one.
        let filterScale = max(scale, 1)
        let support = Self.support * filterScale
        taps = (0..<newLength).map { output in
            let center = (Double(output) + 0.5) * scale
            let first = max(0, Int(center - support + 0.5))
            let end = min(length, Int(center + support + 0.5))
            let weights = (first..<end).map { Self.weight((Double($0) - center + 0.5) / filterScale) }
            let sum = weights.reduce(0, +)
            return (first, weights.map { Int(($0 / sum * Double(1 << Self.bits)).rounded(.toNearestOrAwayFromZero)) })
        }
    }

    /// Keys' cubic with a = −0.5.
    private static func weight(_ x: Double) -> Double {
        let x = abs(x)
        if x < 1 { return (1.5 * x - 2.5) * x * x + 1 }
        if x < 2 { return (((x - 5) * x + 8) * x - 4) * -0.5 }
        return 0
    }

    static func byte(_ sum: Int) -> UInt8 { UInt8(clamping: (sum + (1 << (bits - 1))) >> bits) }
}

/// Every row of `lines` rows of pixels to a new length.
private func resampled(_ pixels: [UInt8], lines: Int, length: Int, stride: Int, lineStride: Int, to newLength: Int) -> [UInt8] {
    let taps = BicubicTaps(from: length, to: newLength).taps
    var result = [UInt8](repeating: 0, count: lines * newLength * stride)
    for line in 0..<lines {
        for (output, tap) in taps.enumerated() {
            for channel in 0..<stride {
                var sum = 0
                for (place, weight) in tap.weights.enumerated() {
                    sum += weight * Int(pixels[line * lineStride + (tap.first + place) * stride + channel])
                }
                result[(line * newLength + output) * stride + channel] = BicubicTaps.byte(sum)
            }
        }
    }
    return result
}

/// Every column of [height, width, 3] to a new height.
private func resampledColumns(_ pixels: [UInt8], width: Int, height: Int, to newHeight: Int) -> [UInt8] {
    var result = [UInt8](repeating: 0, count: newHeight * width * 3)
    for (output, tap) in BicubicTaps(from: height, to: newHeight).taps.enumerated() {
        for column in 0..<width * 3 {
            var sum = 0
            for (place, weight) in tap.weights.enumerated() { sum += weight * Int(pixels[(tap.first + place) * width * 3 + column]) }
            result[output * width * 3 + column] = BicubicTaps.byte(sum)
        }
    }
    return result
}
