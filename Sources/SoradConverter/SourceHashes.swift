// Owns the SHA-256 of the source files, which a thread of its own computes in step with the conversion, so that every byte comes from the disk
// once. It goes through the tensors in the order of the work and hashes each file up to a tensor's end: before the conversion reads the tensor,
// and at most `window` bytes of tensors ahead of it. So the hash brings the bytes from the disk, one after the other, and the conversion finds
// them in the page cache.
//
// Invariant: what lies between hash and conversion is the window and what a file has before a tensor that comes earlier in the work: nothing
// where the file has the order of the work, as published ones mostly do.
import Glibc
package import SoradSystem

/// "NAME SHA256" of every source, and the newest modification time.
package final class SourceHashes: Sendable {
    private let shared: Shared
    private let hasThread: Bool

    private struct State: Sendable {
        /// Items that the conversion has begun, and those whose files are hashed up to their ends.
        var begun = 0, hashed = 0
        /// All may be hashed.
        var isLast = false
        /// Nobody waits for the result.
        var isAbandoned = false
        var isDone = false
        var lines: [String] = []
        var newest = 0
        var failure: SoradError?
    }

    /// An item's place in one of the files.
    private struct Place {
        let file: Int
        let end, count: Int
    }

    private final class Shared: Sendable {
        let files: [(name: String, path: String)]
        let places: [Place?]
        let window: Int
        let state = Monitor(State())

        init(_ files: [(name: String, path: String)], _ places: [Place?], window: Int) {
            self.files = files
            self.places = places
            self.window = window
        }

        func isAbandoned() -> Bool { state.read { $0.isAbandoned } }
    }

    /// - Parameters:
    ///   - items: where the tensors lie, in the order in which they are converted; nil for one that is in no file.
    ///   - window: bytes of tensors that may be hashed before the conversion begins them.
    package init(_ files: [(name: String, path: String)], items: [MappedRange?], window: Int = 256 << 20) {
        let numbers = Dictionary(files.enumerated().map { ($1.path, $0) }) { first, _ in first }
        let places = items.map { range in
            range.flatMap { range in
                numbers[range.file.path].map { Place(file: $0, end: range.offset + range.count, count: range.count) }
            }
        }
        let shared = Shared(files, places, window: window)
        self.shared = shared
        // Without a thread, `wait` does it all.
        hasThread = (try? SystemThread(name: "hashes") { Self.work(shared) }.detach()) != nil
    }

    deinit { shared.state.change { $0.isAbandoned = true } }

    /// Items whose bytes are hashed.
    package var hashed: Int { shared.state.read { $0.hashed } }

    /// Call before item `index` is read: returns when its bytes are hashed, and so in the page cache.
    package func begin(_ index: Int) throws(SoradError) {
        shared.state.change { $0.begun = max($0.begun, index + 1) }
        guard hasThread else { return }
        let state = shared.state.wait { $0.hashed > index || $0.failure != nil ? $0 : nil }
        if let failure = state.failure { throw failure }
    }

    /// Call once, when all tensors were read.
    package func wait() throws(SoradError) -> (lines: [String], newest: Int) {
        shared.state.change { $0.isLast = true }
        if !hasThread { Self.work(shared) }
        let state = shared.state.wait { $0.isDone || $0.failure != nil ? $0 : nil }
        if let failure = state.failure { throw failure }
        return (state.lines, state.newest)
    }

    private static func work(_ shared: Shared) {
        do throws(SoradError) {
            var files = shared.files.map { HashedFile(path: $0.path) }
            for (index, place) in shared.places.enumerated() {
                guard waitForTurn(index, shared) else { return }
                if let place { guard try files[place.file].advance(to: place.end, shared.isAbandoned) else { return } }
                shared.state.change { $0.hashed = index + 1 }
            }
            shared.state.wait { $0.isLast || $0.isAbandoned ? () : nil }
            var (lines, newest) = ([String](), 0)
            for index in files.indices {
                guard let (hash, modified) = try files[index].finish(shared.isAbandoned) else { return }
                lines.append("\(shared.files[index].name) \(hash)")
                newest = max(newest, modified)
            }
            shared.state.change { state in
                (state.lines, state.newest, state.isDone) = (lines, newest, true)
            }
        } catch { shared.state.change { $0.failure = error } }
    }

    /// Waits until item `index` is no further ahead of the conversion than the window; false when nobody waits for it any more.
    private static func waitForTurn(_ index: Int, _ shared: Shared) -> Bool {
        shared.state.wait { state -> Bool? in
            if state.isAbandoned { return false }
            if state.isLast || index <= state.begun { return true }
            let ahead = shared.places[state.begun..<index].reduce(0) { $0 + ($1?.count ?? 0) }
            return ahead < shared.window ? true : nil
        }
    }
}

/// A file that is hashed from its beginning on, as far as it is asked for, to a whole step. It is read, not mapped: a page of two mappings could
/// not be given back by one of them.
private struct HashedFile {
    private let path: String
    private var file: (bytes: OwnedFile, size: Int, modified: Int)?
    private var sum = SHA256()
    private var position = 0

    init(path: String) { self.path = path }

    private static let step = 1 << 20

    /// - Returns: false when nobody waits for it any more.
    mutating func advance(to end: Int, _ isAbandoned: () -> Bool) throws(SoradError) -> Bool {
        let file = try opened()
        guard end <= file.size else { throw shortened }
        var buffer = [UInt8](repeating: 0, count: min(Self.step, file.size - position))
        while position < end {
            guard !isAbandoned() else { return false }
            if buffer.count > file.size - position { buffer.removeLast(buffer.count - (file.size - position)) }
            try read(file.bytes, into: &buffer)
            sum.update(buffer)
            position += buffer.count
        }
        return true
    }

    /// The hash of the whole file and when it was changed last; nil when nobody waits for it any more.
    mutating func finish(_ isAbandoned: () -> Bool) throws(SoradError) -> (hash: String, modified: Int)? {
        let file = try opened()
        guard try advance(to: file.size, isAbandoned) else { return nil }
        return (SHA256.hexadecimal(sum.finalize()), file.modified)
    }

    private func read(_ file: OwnedFile, into buffer: inout [UInt8]) throws(SoradError) {
        let wanted = buffer.count
        let got: Int
        do throws(Errno) {
            var span = buffer.mutableSpan
            var bytes = unsafe span.mutableBytes
            got = try file.descriptor.read(at: position, into: &bytes)
        } catch {
            throw SoradError(.badInput, "cannot read \(path): \(error.reason)")
        }
        guard got == wanted else { throw shortened }
    }

    private var shortened: SoradError { SoradError(.badInput, "\(path) became shorter while it was read", hint: "start again") }

    private mutating func opened() throws(SoradError) -> (bytes: OwnedFile, size: Int, modified: Int) {
        if let file { return file }
        do throws(Errno) {
            let identity = try FileIdentity(path)
            let bytes = OwnedFile(try FileDescriptor(opening: path, flags: O_RDONLY | O_NONBLOCK))
            let opened = (bytes: bytes, size: Int(identity.size), modified: Int(identity.modified / 1_000_000_000))
            file = opened
            return opened
        } catch {
            throw SoradError(.badInput, "cannot read \(path): \(error.reason)")
        }
    }
}
