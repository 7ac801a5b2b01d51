// Writes tiny PNG files (PNG, third edition): eight bits of red, green and blue, stored without compression, because a preview of some
// thousand pixels goes once over a local socket and a compressor is not worth its code.

import SoradSystem

/// A whole PNG file.
/// - Parameters:
///   - rgb: [height, width, 3] bytes, row by row from the top left.
///   - packet: the XMP packet that says what made it.
public func pngFile(width: Int, height: Int, rgb: [UInt8], xmp packet: [UInt8]) -> [UInt8] {
    precondition((1...4096).contains(width) && (1...4096).contains(height) && rgb.count == width * height * 3, "\(width)×\(height)")
    // Each row has a filter in front: none.
    var rows: [UInt8] = []
    rows.reserveCapacity(height * (width * 3 + 1))
    for row in 0..<height {
        rows.append(0)
        rows += rgb[row * width * 3..<(row + 1) * width * 3]
    }
    let header = bigEndian(UInt32(width)) + bigEndian(UInt32(height)) + [8, 2, 0, 0, 0]
    let text = Array("XML:com.adobe.xmp".utf8) + [0, 0, 0, 0, 0] + packet
    return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + chunk("IHDR", header) + chunk("iTXt", text)
        + chunk("IDAT", zlibStored(rows)) + chunk("IEND", [])
}

private func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
    let checked = Array(type.utf8) + content
    return bigEndian(UInt32(content.count)) + checked + bigEndian(crc32(checked))
}

/// RFC 1950 around stored blocks of RFC 1951.
private func zlibStored(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = [0x78, 0x01]
    var offset = 0
    repeat {
        let count = min(bytes.count - offset, 0xFFFF)
        let isLast = offset + count == bytes.count
        let length = UInt16(count)
        result += [isLast ? 1 : 0, UInt8(length & 0xFF), UInt8(length >> 8), UInt8(~length & 0xFF), UInt8(~length >> 8)]
        result += bytes[offset..<offset + count]
        offset += count
    } while offset < bytes.count
    return result + bigEndian(adler32(bytes))
}

private func bigEndian(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
