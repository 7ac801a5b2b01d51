// A file in the upload directory that is removed with its last reference, unless it was moved away.
import SoradSystem
import Synchronization

final class TemporaryFile: Sendable {
    /// Files of this server begin with this, so that leftovers of a killed daemon can be recognized and removed.
    static let namePrefix = "upload-"
    private static let counter = Atomic<UInt64>(0)

    private let descriptor: FileDescriptor
    private let path: Mutex<String?>
    private let share: UploadSpace.Share?
    private let size = Mutex(0)

    /// Makes an empty file in `directory`.
    /// - Parameter share: of the disk; nil is not held to any.
    init(directory: String, share: UploadSpace.Share? = nil) throws(SoradError) {
        self.share = share
        let number = TemporaryFile.counter.wrappingAdd(1, ordering: .relaxed).newValue
        let path = "\(directory)/\(TemporaryFile.namePrefix)\(processIdentifier())-\(MonotonicTime.now().nanoseconds)-\(number)"
        do throws(Errno) { descriptor = try FileDescriptor(creating: path) } catch { throw TemporaryFile.failure(error) }
        self.path = Mutex(path)
    }

    deinit {
        if let path = path.withLock({ $0 }) { removeFile(path) }
    }

    func append(_ bytes: [UInt8]) throws(SoradError) {
        let before = size.withLock { size in
            defer { size += bytes.count }
            return size
        }
        try share?.grow(from: before, by: bytes.count)
        do throws(Errno) { try descriptor.write(bytes) } catch { throw TemporaryFile.failure(error) }
    }

    func read(offset: Int, count: Int) throws(SoradError) -> [UInt8] {
        do throws(Errno) { return try descriptor.read(at: offset, count: count) } catch { throw TemporaryFile.failure(error) }
    }

    /// The path must not exist; the file is the caller's then.
    func move(to target: String) throws(SoradError) {
        let failure: Errno? = path.withLock { path in
            guard let old = path else { return nil }
            do throws(Errno) { try moveFile(old, to: target) } catch { return error }
            path = nil
            return nil
        }
        if let failure { throw TemporaryFile.failure(failure) }
    }

    /// Writes `bytes` to a new file.
    static func write(_ bytes: [UInt8], to target: String) throws(SoradError) {
        do throws(Errno) {
            let file = try FileDescriptor(creating: target)
            try file.write(bytes)
        } catch { throw failure(error) }
    }

    /// Removes leftovers of a killed process.
    static func removeAll(in directory: String) throws(Errno) {
        for name in try fileNames(in: directory) where name.hasPrefix(namePrefix) { removeFile("\(directory)/\(name)") }
    }

    private static func failure(_ error: Errno) -> SoradError {
        error.isOutOfSpace
            ? SoradError(.storageFull, "the upload could not be stored: the disk is full; free some space and try again")
            : SoradError(.unavailable, "the upload could not be stored: \(error.reason)")
    }
}
