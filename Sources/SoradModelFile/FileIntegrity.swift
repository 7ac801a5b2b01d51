// The checksum that a model file carries in its own metadata, and that names the model in public.
//
// It is SHA-256 over the SHA-256 digests of consecutive 1 MiB pieces, so that pieces can be checked apart from each other; the 64 digits
// of the checksum itself count as '0'.
import SoradSystem

enum FileIntegrity {
    static let key = "sorad.integrity.sha256"
    static let digits = 64
    static let pieceSize = 1 << 20
    static let placeholder = String(repeating: "0", count: digits)

    /// The checksum of `file`, whose own checksum text begins at `position`. A large file takes long: `meanwhile` is called now and then.
    static func checksum(of file: MappedFile, textAt position: Int, meanwhile: () -> Void) -> String {
        file.withBytes { bytes in
            var sum = PiecewiseSHA256()
            sum.update(bytes.extracting(0..<position))
            sum.update(Array(placeholder.utf8))
            for start in stride(from: position + digits, to: bytes.byteCount, by: pieceSize) {
                sum.update(bytes.extracting(start..<min(start + pieceSize, bytes.byteCount)))
                meanwhile()
            }
            return sum.finalize()
        }
    }
}

/// SHA-256 over the digests of 1 MiB pieces, streaming.
struct PiecewiseSHA256 {
    private var piece = SHA256()
    private var pieceLength = 0
    private var digests = SHA256()

    mutating func update(_ bytes: RawSpan) {
        var offset = 0
        while offset < bytes.byteCount {
            let length = min(FileIntegrity.pieceSize - pieceLength, bytes.byteCount - offset)
            piece.update(bytes.extracting(offset..<(offset + length)))
            pieceLength += length
            offset += length
            if pieceLength == FileIntegrity.pieceSize { closePiece() }
        }
    }

    mutating func update(_ bytes: [UInt8]) { unsafe update(bytes.span.bytes) }

    /// 64 lower-case hexadecimal digits.
    consuming func finalize() -> String {
        if pieceLength > 0 { closePiece() }
        return SHA256.hexadecimal(digests.finalize())
    }

    private mutating func closePiece() {
        digests.update(piece.finalize())
        piece = SHA256()
        pieceLength = 0
    }
}
