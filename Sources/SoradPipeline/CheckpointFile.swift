// Owns the layout of checkpoint files, and decides whether one can be trusted.
// Invariant: a file is read only if it was written whole, by this version of the program, for this very request and model.
//
// Layout, little-endian: magic (8 bytes), digest of request, model and program (32), words (u32 each, as many as the kind of file has),
// the content of tensors and buffers as it lies in memory, `Checksum` of all that (32). Neither writing nor reading holds a copy of it.
import Glibc
package import SoradSystem
package import SoradTensor

package struct CheckpointFile {
    let name: String
    /// 8 bytes of ASCII.
    let magic: String
    /// 32 bytes.
    let digest: [UInt8]
    let directory: String

    package init(name: String, magic: String, digest: [UInt8], directory: String) {
        precondition(magic.utf8.count == 8 && digest.count == 32, "\(magic), a digest of \(digest.count) bytes")
        self.name = name
        self.magic = magic
        self.digest = digest
        self.directory = directory
    }

    /// Longer than any that is written; a longer one is not looked at.
    static let sizeLimit = 1 << 30
    private static let checksumBytes = 32

    private var path: String { "\(directory)/\(name)" }

    /// The file, empty, to be written from its beginning; nil when the disk does not let it.
    package func open() -> OwnedFile? { OwnedFile(path) }

    /// Writes the whole content. False when the disk does not take it; the file is then of no use.
    package func write(words: [UInt32], _ content: [ByteBuffer], to file: OwnedFile) -> Bool {
        let head = Array(magic.utf8) + digest + UInt32.bytes(words)
        var checksum = Checksum()
        var offset = 0
        func append(_ bytes: RawSpan) -> Bool {
            checksum.update(bytes)
            guard (try? file.descriptor.write(bytes, at: offset)) != nil else { return false }
            offset += bytes.byteCount
            return true
        }
        guard unsafe append(head.span.bytes) else { return false }
        for buffer in content { guard buffer.withBytes(append) else { return false } }
        guard (try? file.descriptor.write(checksum.value(), at: offset)) != nil else { return false }
        // The file may have held more: windows and the two sizes of a cascade have states of different lengths.
        return (try? file.descriptor.shorten(to: offset + CheckpointFile.checksumBytes)) != nil
    }

    /// Makes what is there durable, as far as the disk lets it.
    func makeDurable() {
        try? syncFile(path)
        try? syncDirectory(directory)
    }

    func remove() { removeFile(path) }

    /// The words of a file that fits, which may still turn out not to be whole; nil for every other.
    func words(_ count: Int) -> [UInt32]? { opened(words: count)?.words }

    /// Reads a whole and fitting file.
    /// - Parameters:
    ///   - count: of its words.
    ///   - buffers: where the content goes, given the words and its bytes; nil when it does not fit. What is there is only of use when words
    ///     are returned.
    /// - Returns: the words; nil for every other file.
    package func read(words count: Int, into buffers: (_ words: [UInt32], _ bytes: Int) -> [ByteBuffer]?) -> [UInt32]? {
        guard let (file, head, words, size) = opened(words: count) else { return nil }
        let contentBytes = size - head.count - CheckpointFile.checksumBytes
        guard let targets = buffers(words, contentBytes), targets.reduce(0, { $0 + $1.count }) == contentBytes else { return nil }
        var checksum = Checksum()
        unsafe checksum.update(head.span.bytes)
        var offset = head.count
        for buffer in targets {
            let got = buffer.withMutableBytes { bytes in try? file.descriptor.read(at: offset, into: &bytes) }
            guard got == buffer.count else { return nil }
            buffer.withBytes { checksum.update($0) }
            offset += buffer.count
        }
        guard let end = try? file.descriptor.read(at: offset, count: CheckpointFile.checksumBytes), end == checksum.value() else {
            return nil
        }
        return words
    }

    private func opened(words count: Int) -> (file: OwnedFile, head: [UInt8], words: [UInt32], size: Int)? {
        let headBytes = 40 + 4 * count
        guard let descriptor = try? FileDescriptor(openingForReading: path) else { return nil }
        let file = OwnedFile(descriptor)
        guard let size = try? file.descriptor.regularFileSize(),
            (headBytes + CheckpointFile.checksumBytes...CheckpointFile.sizeLimit).contains(size),
            let head = try? file.descriptor.read(at: 0, count: headBytes), head.count == headBytes,
            Array(head[..<40]) == Array(magic.utf8) + digest
        else { return nil }
        let words = UInt32.words(head[40...])
        return (file, head, words, size)
    }
}

extension UInt32 {
    /// Little-endian.
    static func bytes(_ words: [UInt32]) -> [UInt8] {
        var bytes: [UInt8] = []
        for word in words { for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) } }
        return bytes
    }

    /// The other way, of whole words.
    static func words(_ bytes: ArraySlice<UInt8>) -> [UInt32] {
        stride(from: bytes.startIndex, to: bytes.endIndex, by: 4).map { start in
            bytes[start..<start + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
    }
}

/// Tells a file that was written whole from one that was not; against accidents alone, and many times as quick as a digest against forgers,
/// which would be most of what a checkpoint costs. Fed in pieces; how the bytes are cut makes no difference.
struct Checksum {
    /// Four sums take the words of 8 bytes in turn; each step of one is a bijection of the sum and of the word, so that no change of a single
    /// word goes unseen.
    private var sums = SIMD4<UInt64>(1, 2, 3, 4)
    /// The bytes after the last whole block of 32; fewer than 32 between calls.
    private var pending: [UInt8] = []

    mutating func update(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { raw in
            var index = 0
            while !pending.isEmpty || raw.count - index < 32 {
                guard index < raw.count else { return }
                unsafe pending.append(raw[index])
                index += 1
                guard pending.count == 32 else { continue }
                let block = pending
                pending.removeAll(keepingCapacity: true)
                unsafe block.withUnsafeBytes { unsafe mix($0.loadUnaligned(as: SIMD4<UInt64>.self)) }
            }
            while raw.count - index >= 32 {
                unsafe mix(raw.loadUnaligned(fromByteOffset: index, as: SIMD4<UInt64>.self))
                index += 32
            }
            while index < raw.count {
                unsafe pending.append(raw[index])
                index += 1
            }
        }
    }

    private mutating func mix(_ next: SIMD4<UInt64>) {
        sums = (sums ^ next) &* 0x9e37_79b9_7f4a_7c15
        sums ^= sums &>> 29
    }

    /// 32 bytes, of all so far.
    func value() -> [UInt8] {
        var end = pending
        for lane in 0..<4 {
            for shift in stride(from: UInt64(0), to: 64, by: 8) { end.append(UInt8(truncatingIfNeeded: sums[lane] >> shift)) }
        }
        return SHA256.hash(end)
    }
}

extension OwnedFile {
    /// A file that is empty now; nil when the disk does not let it.
    convenience init?(_ path: String) {
        guard let descriptor = try? FileDescriptor(opening: path, flags: O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW) else { return nil }
        self.init(descriptor)
    }
}
