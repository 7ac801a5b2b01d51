// Owns pictures as pixels: PNG files of 8 bits a sample become rows of red, green and blue (PNG, third edition).
// Previews are such files; starting a decoder for each would cost more than the picture. What this does not read is shown as nothing.
// Invariant: sizes are checked before anything is allocated.
import SoradSystem

struct PixelImage: Sendable, Equatable {
    let width: Int
    let height: Int
    /// [height, width, 3] bytes from the top left.
    let rgb: [UInt8]

    /// Pixels of the largest picture.
    private static let limit = 1 << 22

    init?(width: Int, height: Int, rgb: [UInt8]) {
        guard width > 0, height > 0, width <= PixelImage.limit, height <= PixelImage.limit / width, rgb.count == width * height * 3 else {
            return nil
        }
        self.width = width
        self.height = height
        self.rgb = rgb
    }

    /// nil for what is no PNG file of 8 bits a sample, or is damaged; transparency is left out.
    init?(png: [UInt8]) {
        guard png.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) else { return nil }
        var (header, compressed): ([UInt8]?, [UInt8]) = (nil, [])
        var offset = 8
        while offset + 12 <= png.count {
            let length = bigEndian(png, offset)
            guard length <= png.count - offset - 12 else { return nil }
            let content = png[offset + 8..<offset + 8 + length]
            switch String(decoding: png[offset + 4..<offset + 8], as: UTF8.self) {
            case "IHDR": header = Array(content)
            case "IDAT": compressed += content
            default: break
            }
            offset += 12 + length
        }
        guard let header, header.count == 13, header[8] == 8, header[12] == 0 else { return nil }
        let (width, height) = (bigEndian(header, 0), bigEndian(header, 4))
        guard width > 0, height > 0, width <= PixelImage.limit, height <= PixelImage.limit / width else { return nil }
        let channels: Int
        switch header[9] {
        case 0: channels = 1
        case 2: channels = 3
        case 4: channels = 2
        case 6: channels = 4
        default: return nil
        }
        let size = height * (width * channels + 1)
        guard let rows = inflated(compressed[...], limit: size), rows.count == size else { return nil }
        guard let samples = PixelImage.unfiltered(rows, width: width * channels, height: height, step: channels) else { return nil }
        var rgb: [UInt8] = []
        rgb.reserveCapacity(width * height * 3)
        for pixel in 0..<width * height {
            let first = pixel * channels
            for channel in 0..<3 { rgb.append(samples[first + (channels >= 3 ? channel : 0)]) }
        }
        self.init(width: width, height: height, rgb: rgb)
    }

    /// Takes the filters of PNG's section 9 off the rows; `step`: bytes of a pixel.
    private static func unfiltered(_ rows: [UInt8], width: Int, height: Int, step: Int) -> [UInt8]? {
        var result = [UInt8](repeating: 0, count: width * height)
        for row in 0..<height {
            let source = row * (width + 1)
            let start = row * width
            for index in 0..<width {
                let left = index >= step ? Int(result[start + index - step]) : 0
                let above = row > 0 ? Int(result[start - width + index]) : 0
                let corner = index >= step && row > 0 ? Int(result[start - width + index - step]) : 0
                let predicted: Int
                switch rows[source] {
                case 0: predicted = 0
                case 1: predicted = left
                case 2: predicted = above
                case 3: predicted = (left + above) / 2
                case 4:
                    let (a, b, c) = (abs(above - corner), abs(left - corner), abs(left + above - 2 * corner))
                    predicted = a <= b && a <= c ? left : b <= c ? above : corner
                default: return nil
                }
                result[start + index] = UInt8(truncatingIfNeeded: Int(rows[source + 1 + index]) + predicted)
            }
        }
        return result
    }

    /// The picture in another size, bilinear.
    func scaled(width newWidth: Int, height newHeight: Int) -> PixelImage {
        var result: [UInt8] = []
        result.reserveCapacity(newWidth * newHeight * 3)
        for y in 0..<newHeight {
            let (top, bottom, down) = PixelImage.neighbors(y, newHeight, height)
            for x in 0..<newWidth {
                let (left, right, across) = PixelImage.neighbors(x, newWidth, width)
                for channel in 0..<3 {
                    let sample = { (x: Int, y: Int) in Int(rgb[(y * width + x) * 3 + channel]) }
                    let upper = sample(left, top) * (256 - across) + sample(right, top) * across
                    let lower = sample(left, bottom) * (256 - across) + sample(right, bottom) * across
                    result.append(UInt8((upper * (256 - down) + lower * down) >> 16))
                }
            }
        }
        return PixelImage(width: newWidth, height: newHeight, rgb: result) ?? self
    }

    /// The two old positions between which a new one lies, and how far, of 256.
    private static func neighbors(_ index: Int, _ new: Int, _ old: Int) -> (Int, Int, Int) {
        let position = max(0, ((2 * index + 1) * old * 128) / new - 128)
        let first = min(position / 256, old - 1)
        return (first, min(first + 1, old - 1), position % 256)
    }
}

private func bigEndian(_ bytes: [UInt8], _ offset: Int) -> Int { (0..<4).reduce(0) { $0 << 8 | Int(bytes[offset + $1]) } }
