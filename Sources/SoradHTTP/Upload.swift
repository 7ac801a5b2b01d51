// A file that came with a request: in memory when small, else in a temporary file that goes with the last reference to it.
public import SoradSystem
import Synchronization

public final class Upload: Sendable {
    /// The client's name for it: for messages only, never a path.
    public let clientFileName: String?
    /// The client's claim; trust the bytes instead.
    public let claimedContentType: String?
    public let size: Int
    private let storage: Storage

    enum Storage: Sendable {
        case memory([UInt8])
        case file(TemporaryFile)
    }

    init(clientFileName: String?, claimedContentType: String?, size: Int, storage: Storage) {
        self.clientFileName = clientFileName
        self.claimedContentType = claimedContentType
        self.size = size
        self.storage = storage
    }

    /// An upload held in memory, e.g. for tests.
    public convenience init(bytes: [UInt8], clientFileName: String? = nil, claimedContentType: String? = nil) {
        self.init(clientFileName: clientFileName, claimedContentType: claimedContentType, size: bytes.count, storage: .memory(bytes))
    }

    /// Bytes that `move` writes: those of a file that lies on the disk are there already.
    public var bytesToWrite: Int {
        switch storage {
        case .memory(let bytes): bytes.count
        case .file: 0
        }
    }

    /// The first bytes (at most `count`), for magic numbers.
    public func prefix(_ count: Int) throws(SoradError) -> [UInt8] {
        switch storage {
        case .memory(let bytes): return Array(bytes.prefix(count))
        case .file(let file): return try file.read(offset: 0, count: min(count, size))
        }
    }

    /// Up to `count` bytes from `offset`; fewer only at the end.
    public func read(_ offset: Int, _ count: Int) throws(SoradError) -> [UInt8] {
        switch storage {
        case .memory(let bytes):
            let start = min(max(0, offset), bytes.count)
            return Array(bytes[start..<start + min(max(0, count), bytes.count - start)])
        case .file(let file): return try file.read(offset: offset, count: min(count, size - offset))
        }
    }

    /// All bytes; refused with `.badInput` above `limit`.
    public func bytes(limit: Int) throws(SoradError) -> [UInt8] {
        guard size <= limit else { throw SoradError(.badInput, "the file has \(size) bytes and the limit is \(limit)") }
        return try prefix(size)
    }

    /// SHA-256 of the content in lower-case hexadecimal digits.
    public func hexadecimalDigest() throws(SoradError) -> String { SHA256.hexadecimal(try digest()) }

    /// SHA-256 of the content, read in pieces.
    func digest() throws(SoradError) -> [UInt8] {
        switch storage {
        case .memory(let bytes): return SHA256.hash(bytes)
        case .file(let file):
            var sum = SHA256()
            for offset in stride(from: 0, to: size, by: 1 << 20) {
                sum.update(try file.read(offset: offset, count: min(1 << 20, size - offset)))
            }
            return sum.finalize()
        }
    }

    /// Moves the content to `path` on the same file system as the upload directory; the path must not exist. The caller owns it then.
    public func move(to path: String) throws(SoradError) {
        switch storage {
        case .memory(let bytes): try TemporaryFile.write(bytes, to: path)
        case .file(let file): try file.move(to: path)
        }
    }
}
