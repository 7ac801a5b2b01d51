// Owns the layout of the files that a clip is taken up from, and the judgement whether one may be trusted.
// Invariant: what is read was written whole, by this version of the program, for this very request and model; else nothing is read.
//
// Layout, little-endian: magic (8 bytes), digest of request, model and program (32), words (u32 each, as many as the kind of file has),
// float32 elements, SHA-256 of all that (32).
import Glibc
import SoradSystem
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
    private static let sizeLimit = 1 << 30

    private var path: String { "\(directory)/\(name)" }

    /// The whole content of a file.
    package func content(words: [UInt32], _ tensors: [Tensor]) -> [UInt8] {
        var bytes = Array(magic.utf8) + digest
        bytes.reserveCapacity(bytes.count + 4 * words.count + tensors.reduce(0) { $0 + 4 * $1.count } + 32)
        for word in words { for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) } }
        // Element by element this would take longer than all the rest; sorad runs on little-endian machines alone, so memory is the layout.
        for tensor in tensors {
            tensor.withElements { elements in unsafe elements.bytes.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) } }
        }
        bytes += SHA256.hash(bytes)
        return bytes
    }

    /// The file, empty, to be written from its beginning; nil when the disk does not let it.
    package func open() -> OpenFile? {
        guard let descriptor = try? FileDescriptor(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW) else { return nil }
        return OpenFile(descriptor)
    }

    /// Makes what is there durable, as far as the disk lets it.
    func makeDurable() {
        try? syncFile(path)
        try? syncDirectory(directory)
    }

    /// The words and the elements that a whole and fitting file holds; nil for every other.
    package func read(words count: Int) -> (words: [UInt32], elements: [Float])? {
        let head = 40 + 4 * count
        guard let file = try? FileDescriptor(openingForReading: path), let size = try? file.regularFileSize(),
            (head + 32...CheckpointFile.sizeLimit).contains(size), (size - head - 32) % 4 == 0,
            let bytes = try? file.read(at: 0, count: size), bytes.count == size,
            Array(bytes[..<40]) == Array(magic.utf8) + digest,
            Array(bytes[(size - 32)...]) == SHA256.hash(Array(bytes[..<(size - 32)]))
        else { return nil }
        func word(_ offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) } }
        let words = (0..<count).map { word(40 + 4 * $0) }
        return (words, (0..<(size - head - 32) / 4).map { Float(bitPattern: word(head + 4 * $0)) })
    }
}

/// A file that the computing thread writes and another makes durable. A class, since a descriptor has one owner.
package final class OpenFile: Sendable {
    let descriptor: FileDescriptor

    init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    /// Writes all of `content` from the beginning on. False when the disk does not take it.
    package func write(_ content: [UInt8]) -> Bool { (try? descriptor.write(content, at: 0)) != nil }
}
