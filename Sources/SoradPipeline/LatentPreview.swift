// Turns one latent frame into a tiny picture: a linear map from the channels of a latent pixel to the colors of the pixels that it stands for.
// The map is fitted once for a loaded model, by least squares, to a chart that the model's own encoder has read; so it suits any model and
// needs nothing in the model file. It costs a thousandth of a decoder.
// Invariant: nothing here is ever part of a clip.
import SoradAPI
import SoradMedia
import SoradModel
import SoradSystem
import SoradTensor

struct LatentPreview {
    private let channels: Int
    /// Parts along a side into which a latent pixel is divided.
    private let parts: Int
    /// [C + 1, parts · parts · 3]: what each channel, and at last a constant, adds to the colors, 0 to 1.
    private let weights: [Float]

    /// More channels would take too long to fit.
    private static let channelLimit = 128
    /// Pixels along a side of the chart; the model's own multiple decides within these.
    private static let chartSides = 96...192
    /// Holds the map back from the chart's peculiarities; latents have a variance of about one. Found by trying: on frames that
    /// sorad-mini's decoder made the pictures correlate with 0.88 to 0.94, and with a hundredth of it with 0.4 to 0.6.
    private static let ridge = 0.1

    /// nil for a model whose encoder does not fit its decoder, or that has too many channels.
    init?(_ model: VideoModel) {
        channels = model.configuration.latentChannels
        let side = LatentPreview.chartSide(model.configuration)
        let chart = LatentPreview.chart(side: side)
        guard channels <= LatentPreview.channelLimit, let latents = try? model.encodeVideo([chart], width: side, height: side),
            side % latents.shape[2] == 0
        else { return nil }
        let scale = side / latents.shape[2]
        parts = scale % 4 == 0 ? 4 : 1
        weights = LatentPreview.fit(latents, chart, scale: scale, parts: parts)
    }

    /// Pixels along a side of the chart that a model's encoder reads.
    static func chartSide(_ c: ModelConfiguration) -> Int {
        let multiple = c.sizeMultiple
        let needed = side(holding: 8 * (c.latentChannels + 1)) * multiple / 2
        let wanted = min(max(needed, chartSides.lowerBound), chartSides.upperBound)
        return (wanted + multiple - 1) / multiple * multiple
    }

    /// - Parameter latent: [C, h, w], free of noise.
    func picture(of latent: Tensor, provenance: Provenance) -> JobPreview {
        let (rows, columns) = (latent.shape[1], latent.shape[2])
        let limit = JobPreview.longestSide
        // Divided latent pixels where they fit, else whole ones, and only every n-th of many.
        let isDivided = max(rows, columns) * parts <= limit
        let stride = isDivided ? 1 : (max(rows, columns) + limit - 1) / limit
        let (map, size) = isDivided ? (weights, parts) : (meanWeights, 1)
        let width = (columns + stride - 1) / stride * size
        let height = (rows + stride - 1) / stride * size
        var rgb = [UInt8](repeating: 0, count: width * height * 3)
        var colors = [Float](repeating: 0, count: size * size * 3)
        let count = colors.count
        latent.withElements { values in
            for row in 0..<height / size {
                for column in 0..<width / size {
                    for index in 0..<count { colors[index] = map[channels * count + index] }
                    for channel in 0..<channels {
                        let value = values[(channel * rows + row * stride) * columns + column * stride]
                        for index in 0..<count { colors[index] += value * map[channel * count + index] }
                    }
                    for y in 0..<size {
                        let target = ((row * size + y) * width + column * size) * 3
                        for index in 0..<size * 3 { rgb[target + index] = LatentPreview.byte(colors[y * size * 3 + index]) }
                    }
                }
            }
        }
        let file = pngFile(width: width, height: height, rgb: rgb, xmp: provenance.xmpPacket)
        return JobPreview(width: width, height: height, png: base64Encoded(file))
    }

    /// The mean color of a latent pixel's parts, [C + 1, 3].
    private var meanWeights: [Float] {
        let count = parts * parts
        return (0..<(channels + 1) * 3).map { index in
            (0..<count).reduce(Float(0)) { $0 + weights[(index / 3 * count + $1) * 3 + index % 3] } / Float(count)
        }
    }

    /// Black for what is no number.
    private static func byte(_ value: Float) -> UInt8 { value > 0 ? value < 1 ? UInt8(value * 255 + 0.5) : 255 : 0 }

    /// The side of the smallest square with `count` fields.
    private static func side(holding count: Int) -> Int { (1...count).first { $0 * $0 >= count } ?? count }

    // MARK: fitting

    /// Rectangles of random size, place and color over each other, like the leaves on a path: edges at every offset, flat parts, all
    /// colors. [side, side, 3]; always the same.
    private static func chart(side: Int) -> [UInt8] {
        var state: UInt64 = 0x5EED
        func random(below limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % limit
        }
        var pixels = [UInt8](repeating: 128, count: side * side * 3)
        for _ in 0..<side * 2 {
            let (width, height) = (4 + random(below: side / 4), 4 + random(below: side / 4))
            let (left, top) = (random(below: side + width) - width, random(below: side + height) - height)
            let color = (0..<3).map { _ in UInt8(random(below: 256)) }
            for y in max(top, 0)..<max(min(top + height, side), max(top, 0)) {
                for x in max(left, 0)..<max(min(left + width, side), max(left, 0)) {
                    for part in 0..<3 { pixels[(y * side + x) * 3 + part] = color[part] }
                }
            }
        }
        return pixels
    }

    /// Ridge regression from latent pixels to the mean colors of their parts.
    private static func fit(_ latents: Tensor, _ chart: [UInt8], scale: Int, parts: Int) -> [Float] {
        let channels = latents.shape[0]
        let (rows, columns) = (latents.shape[2], latents.shape[3])
        let last = latents.shape[1] - 1
        let (unknowns, count) = (channels + 1, parts * parts * 3)
        var normal = [Double](repeating: 0, count: unknowns * unknowns)
        var right = [Double](repeating: 0, count: unknowns * count)
        let samples: [Float] = latents.withElements { values in values.indices.map { values[$0] } }
        for row in 0..<rows {
            for column in 0..<columns {
                let features =
                    (0..<channels).map { channel in
                        Double(samples[((channel * (last + 1) + last) * rows + row) * columns + column])
                    } + [1]
                let colors = partColors(chart, side: columns * scale, row: row, column: column, scale: scale, parts: parts)
                for i in 0..<unknowns {
                    for j in 0...i { normal[i * unknowns + j] += features[i] * features[j] }
                    for j in 0..<count { right[i * count + j] += features[i] * colors[j] }
                }
            }
        }
        for i in 0..<unknowns { normal[i * unknowns + i] += Double(rows * columns) * ridge }
        return solve(normal, unknowns, right, count).map { Float($0) }
    }

    /// Mean colors, 0 to 1, of the parts of one latent pixel's square, [parts, parts, 3].
    private static func partColors(_ chart: [UInt8], side: Int, row: Int, column: Int, scale: Int, parts: Int) -> [Double] {
        let cell = scale / parts
        var sums = [Double](repeating: 0, count: parts * parts * 3)
        for y in 0..<cell * parts {
            for x in 0..<cell * parts {
                let pixel = ((row * scale + y) * side + column * scale + x) * 3
                let part = (y / cell * parts + x / cell) * 3
                for index in 0..<3 { sums[part + index] += Double(chart[pixel + index]) }
            }
        }
        return sums.map { $0 / Double(255 * cell * cell) }
    }

    /// Solves normal · x = right by Cholesky's decomposition; `normal` is positive definite and given by its lower half.
    private static func solve(_ normal: [Double], _ n: Int, _ right: [Double], _ count: Int) -> [Double] {
        var l = normal
        for i in 0..<n {
            for j in 0...i {
                let dot = (0..<j).reduce(0.0) { $0 + l[i * n + $1] * l[j * n + $1] }
                l[i * n + j] = i == j ? (l[i * n + i] - dot).squareRoot() : (l[i * n + j] - dot) / l[j * n + j]
            }
        }
        var x = right
        for column in 0..<count {
            for i in 0..<n {
                let dot = (0..<i).reduce(0.0) { $0 + l[i * n + $1] * x[$1 * count + column] }
                x[i * count + column] = (x[i * count + column] - dot) / l[i * n + i]
            }
            for i in (0..<n).reversed() {
                let dot = (i + 1..<n).reduce(0.0) { $0 + l[$1 * n + i] * x[$1 * count + column] }
                x[i * count + column] = (x[i * count + column] - dot) / l[i * n + i]
            }
        }
        return x
    }
}
