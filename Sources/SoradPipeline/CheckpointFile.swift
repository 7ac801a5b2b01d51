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

    /// Durable when this returns. A disk that takes no checkpoint is no reason to give up a clip: the next worker would only have more
    /// to do.
    package func write(words: [UInt32], _ tensors: [Tensor]) {
        var bytes = Array(magic.utf8) + digest
        bytes.reserveCapacity(bytes.count + 4 * words.count + tensors.reduce(0) { $0 + 4 * $1.count } + 32)
        func append(_ word: UInt32) {
            for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        words.forEach(append)
        for tensor in tensors {
            tensor.withElements { elements in for index in elements.indices { append(elements[index].bitPattern) } }
        }
        bytes += SHA256.hash(bytes)
        try? writeDurably(bytes, named: name, in: directory)
    }

    /// The words and the elements that a whole and fitting file holds; nil for every other.
    package func read(words count: Int) -> (words: [UInt32], elements: [Float])? {
        let head = 40 + 4 * count
        guard let file = try? FileDescriptor(openingForReading: "\(directory)/\(name)"), let size = try? file.regularFileSize(),
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
