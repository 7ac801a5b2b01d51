// The checksum that a model file carries in its own metadata, and that names the model in public.
//
// It is SHA-256 over the SHA-256 digests of consecutive 1 MiB pieces, so that pieces can be checked apart from each other, on all CPUs; the
// 64 digits of the checksum itself count as '0'.
import SoradSystem
import Synchronization

enum FileIntegrity {
    static let key = "sorad.integrity.sha256"
    static let digits = 64
    static let pieceSize = 1 << 20
    static let placeholder = String(repeating: "0", count: digits)
    /// Files of fewer pieces are not worth a thread.
    private static let piecesPerThread = 16

    /// The checksum of `file`, whose own checksum text begins at `position`. A large file takes long: `meanwhile` is called now and then.
    /// - Parameter threads: at most.
    static func checksum(
        of file: MappedFile, textAt position: Int, threads: Int = ProcessorCount.usable(), meanwhile: () -> Void
    ) -> String {
        let digests = PieceDigests(file, textAt: position)
        let others = (1..<max(1, min(threads, digests.count / piecesPerThread))).compactMap { _ in
            // With fewer threads it takes longer, and no more.
            try? SystemThread(name: "checksum") { digests.compute(meanwhile: {}) }
        }
        digests.compute(meanwhile: meanwhile)
        for thread in others { thread.join() }
        return digests.checksum
    }
}

/// The digests of a file's pieces, computed by any number of threads.
private final class PieceDigests: Sendable {
    let count: Int
    private let file: MappedFile
    private let position: Int
    private let next = Atomic<Int>(0)
    private let digests: Mutex<[[UInt8]]>

    init(_ file: MappedFile, textAt position: Int) {
        self.file = file
        self.position = position
        let pieces = (file.size + FileIntegrity.pieceSize - 1) / FileIntegrity.pieceSize
        count = pieces
        digests = Mutex([[UInt8]](repeating: [], count: pieces))
    }

    /// Takes pieces until there are no more.
    func compute(meanwhile: () -> Void) {
        while true {
            let index = next.add(1, ordering: .relaxed).oldValue
            guard index < count else { return }
            let digest = digest(of: index)
            digests.withLock { $0[index] = digest }
            meanwhile()
        }
    }

    /// 64 lower-case hexadecimal digits; once all pieces are done.
    var checksum: String {
        var sum = SHA256()
        for digest in digests.withLock({ $0 }) { sum.update(digest) }
        return SHA256.hexadecimal(sum.finalize())
    }

    private func digest(of index: Int) -> [UInt8] {
        let piece = index * FileIntegrity.pieceSize..<min((index + 1) * FileIntegrity.pieceSize, file.size)
        let text = (position..<position + FileIntegrity.digits).clamped(to: piece)
        var sum = SHA256()
        file.withBytes { bytes in
            guard !text.isEmpty else { return sum.update(bytes.extracting(piece)) }
            sum.update(bytes.extracting(piece.lowerBound..<text.lowerBound))
            sum.update(Array(FileIntegrity.placeholder.utf8.prefix(text.count)))
            sum.update(bytes.extracting(text.upperBound..<piece.upperBound))
        }
        return sum.finalize()
    }
}

/// SHA-256 over the digests of 1 MiB pieces, streaming.
struct PiecewiseSHA256 {
    private var piece = SHA256()
    private var pieceLength = 0
    /// Of the whole pieces, one after the other.
    private var digests: [UInt8] = []

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

    /// Takes over the sum of the bytes that follow; the ones before must be whole pieces, if there are any behind them.
    mutating func append(_ rest: PiecewiseSHA256) {
        guard !rest.digests.isEmpty || rest.pieceLength > 0 else { return }
        precondition(pieceLength == 0, "bytes behind part of a piece")
        digests += rest.digests
        (piece, pieceLength) = (rest.piece, rest.pieceLength)
    }

    /// 64 lower-case hexadecimal digits.
    consuming func finalize() -> String {
        if pieceLength > 0 { closePiece() }
        return SHA256.hexadecimal(SHA256.hash(digests))
    }

    private mutating func closePiece() {
        digests += piece.finalize()
        piece = SHA256()
        pieceLength = 0
    }
}
