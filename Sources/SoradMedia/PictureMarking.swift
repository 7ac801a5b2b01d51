// Owns how an XMP packet enters the two still-picture containers: JPEG (an APP1 segment) and WebP (an `XMP ` chunk).
// Invariant: only containers are touched, never the compressed picture. Input is our own encoder's output, checked all the same.
public import SoradSystem

/// Inserts an XMP packet right after the JFIF header, where readers look for it (XMP part 3, 1.1.3).
/// - Throws: `.internalFault` if `jpeg` does not begin like a JPEG file.
public func markedJPEG(_ jpeg: [UInt8], xmp packet: [UInt8]) throws(SoradError) -> [UInt8] {
    guard jpeg.count >= 4, jpeg[0] == 0xFF, jpeg[1] == 0xD8 else { throw notA("JPEG") }
    var position = 2
    if jpeg.count >= 6, jpeg[2] == 0xFF, jpeg[3] == 0xE0 {
        position = 4 + Int(jpeg[4]) << 8 + Int(jpeg[5])
        guard position <= jpeg.count else { throw notA("JPEG") }
    }
    let body = Array("http://ns.adobe.com/xap/1.0/\0".utf8) + packet
    let length = body.count + 2
    precondition(length <= 0xFFFF, "XMP packet of \(packet.count) bytes does not fit one JPEG segment")
    let segment: [UInt8] = [0xFF, 0xE1, UInt8(length >> 8), UInt8(length & 0xFF)] + body
    return jpeg[..<position] + segment + jpeg[position...]
}

/// Rewrites a simple lossy WebP file in the extended layout (VP8X, VP8, XMP; RFC 9649, 2.7) with an XMP packet.
/// - Parameters width, height: the picture's size in pixels, 1...16384.
/// - Throws: `.internalFault` if `webp` is not a simple lossy WebP file.
public func markedWebP(_ webp: [UInt8], width: Int, height: Int, xmp packet: [UInt8]) throws(SoradError) -> [UInt8] {
    precondition((1...16384).contains(width) && (1...16384).contains(height), "WebP of \(width)x\(height)")
    guard webp.count >= 20, webp[0..<4].elementsEqual("RIFF".utf8), webp[8..<16].elementsEqual("WEBPVP8 ".utf8) else { throw notA("WebP") }
    let hasXMP: UInt8 = 1 << 2
    let size = littleEndian(width - 1, count: 3) + littleEndian(height - 1, count: 3)
    let content = Array("WEBP".utf8) + chunk("VP8X", [hasXMP, 0, 0, 0] + size) + webp[12...] + chunk("XMP ", packet)
    return chunk("RIFF", content)
}

/// A RIFF chunk: type, length, content, and a zero byte if the length is odd.
private func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
    Array(type.utf8) + littleEndian(content.count, count: 4) + content + (content.count % 2 == 1 ? [0] : [])
}

private func littleEndian(_ value: Int, count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
}

private func notA(_ kind: String) -> SoradError {
    SoradError.ffmpeg(
        "ffmpeg did not write a \(kind) picture", hint: "check `ffmpeg -version`: sorad needs 5.1 or newer with libx264 and libwebp")
}
