// Owns the top-level box structure of an MP4 file (ISO/IEC 14496-12, 4.2): walking it, and the `uuid` box that carries XMP.
// Invariant: boxes tile the file exactly. Sizes come from a file, so each is checked against what is left before it is used.
public import SoradSystem

/// One top-level box: four-character type and its place in the file, header included.
public struct MP4Box: Sendable, Equatable {
    public var type: String
    /// Bytes from the start of the file.
    public var offset: Int
    /// Bytes, header included.
    public var size: Int

    /// Splits a whole file into its top-level boxes.
    /// - Throws: `.badInput` if the boxes do not tile `file`, or the last one is open-ended (size 0), after which nothing may follow.
    public static func topLevel(of file: [UInt8]) throws(SoradError) -> [MP4Box] {
        try walk(size: file.count) { offset, count in Array(file[offset..<offset + count]) }
    }

    /// No file has more boxes side by side.
    private static let countLimit = 10_000

    /// As `topLevel`, of a file of `size` bytes that `read` reads; it gets an offset and a number of bytes that lie within the file.
    static func walk(size total: Int, read: (Int, Int) throws(SoradError) -> [UInt8]) throws(SoradError) -> [MP4Box] {
        var boxes: [MP4Box] = []
        var offset = 0
        while offset < total {
            let left = total - offset
            guard left >= 8 else { throw malformed("\(left) bytes are left over after the last box") }
            guard boxes.count < countLimit else { throw malformed("it has more than \(countLimit) boxes") }
            let head = try read(offset, min(left, 16))
            guard head.count == min(left, 16) else { throw malformed("it ends early") }
            var size = bigEndian(head, at: 0, count: 4)
            var header = 8
            if size == 1 {
                guard left >= 16 else { throw malformed("a 64-bit box header is cut off") }
                size = bigEndian(head, at: 8, count: 8)
                header = 16
            }
            guard size >= header, size <= left else { throw malformed("a box of \(size) bytes stands where \(left) bytes are left") }
            let type = String(decoding: head[4..<8], as: Unicode.ASCII.self)
            boxes.append(MP4Box(type: type, offset: offset, size: size))
            offset += size
        }
        return boxes
    }

    /// A `uuid` box holding an XMP packet, as XMP part 3 prescribes for MPEG-4. It lies after `mdat`, so that adding it moves nothing
    /// that `moov` points to and the index stays first.
    public static func xmp(_ packet: [UInt8]) -> [UInt8] {
        let size = 8 + xmpIdentifier.count + packet.count
        precondition(size <= Int(UInt32.max), "XMP packet of \(packet.count) bytes")
        let length = (0..<4).map { UInt8(truncatingIfNeeded: size >> (24 - 8 * $0)) }
        return length + Array("uuid".utf8) + xmpIdentifier + packet
    }

    /// BE7ACFCB-97A9-42E8-9C71-999491E3AFAC
    public static let xmpIdentifier: [UInt8] = [
        0xBE, 0x7A, 0xCF, 0xCB, 0x97, 0xA9, 0x42, 0xE8, 0x9C, 0x71, 0x99, 0x94, 0x91, 0xE3, 0xAF, 0xAC,
    ]
}

/// Unsigned big-endian integer; a value beyond `Int.max` saturates, which every size check refuses.
private func bigEndian(_ bytes: [UInt8], at offset: Int, count: Int) -> Int {
    let value = bytes[offset..<offset + count].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return Int(clamping: value)
}

private func malformed(_ what: String) -> SoradError {
    SoradError(.badInput, "the MP4 file is damaged: \(what)")
}
