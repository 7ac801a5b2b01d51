// Owns successive checkpoints of one kind: a few files, written in turn.
//
// Nobody waits for the disk: a written file survives the death of the process. Against the death of the machine a background thread syncs
// the newest. A checkpoint never overwrites the newest, the one that is being synced, or the newest synced one; so a whole one is left,
// whatever dies and whenever. With four files one is always free. With three there may be none while the disk is busy, and that checkpoint
// is skipped.
import SoradSystem
import SoradTensor

final class CheckpointSeries {
    private let files: [CheckpointFile]
    private let sync: BackgroundSync
    /// How far the work is in each file; 0 where it is of no use.
    private var held: [Int]
    private var isOpen: [OwnedFile?]

    init(_ names: [String], magic: String, digest: [UInt8], directory: String, pacing: Pacing, time: TimeSource) {
        files = names.map { CheckpointFile(name: $0, magic: magic, digest: digest, directory: directory) }
        sync = BackgroundSync(directory: directory, pacing: pacing, time: time)
        held = names.map { _ in 0 }
        isOpen = names.map { _ in nil }
    }

    /// Reads the newest whole file; the first of its words says how far the work is.
    /// - Parameters:
    ///   - range: where the work may be.
    ///   - buffers: as in `CheckpointFile.read`.
    /// - Returns: the words; nil when there is nothing usable.
    func restore(words count: Int, in range: ClosedRange<Int>, into buffers: ([UInt32], Int) -> [ByteBuffer]?) -> [UInt32]? {
        let candidates = files.indices.compactMap { slot in files[slot].words(count).map { (slot: slot, done: Int($0[0])) } }
        for candidate in candidates.filter({ range.contains($0.done) }).sorted(by: { $0.done > $1.done }) {
            guard let words = files[candidate.slot].read(words: count, into: buffers) else { continue }
            // The dead worker may not have come to it, and the other files are about to be written over.
            files[candidate.slot].makeDurable()
            held[candidate.slot] = candidate.done
            sync.hasDurable(candidate.slot)
            return words
        }
        return nil
    }

    /// Writes one more and lets it become durable, when that is due, after `others`.
    /// - Returns: whether making it and `others` durable has begun.
    func store(words: [UInt32], _ content: [ByteBuffer], after others: [OwnedFile]) -> Bool {
        guard let (slot, file) = write(words, content) else { return false }
        return sync.begin(others + [file], slot: slot)
    }

    /// Writes the last one before the work is put down, makes `others` and it durable, and removes those before it.
    /// - Returns: whether all that is done; else those before it are still there.
    func storeLast(words: [UInt32], _ content: [ByteBuffer], after others: [OwnedFile]) -> Bool {
        sync.wait()
        guard write(words, content) != nil, (try? others.forEach { try $0.descriptor.syncData() }) != nil else { return false }
        keepNewest()
        return true
    }

    /// Makes the newest one durable and removes the others.
    func keepNewest() {
        sync.wait()
        guard let newest else { return }
        files[newest].makeDurable()
        for slot in files.indices where slot != newest {
            (held[slot], isOpen[slot]) = (0, nil)
            files[slot].remove()
        }
    }

    private var newest: Int? { held.indices.max { held[$0] < held[$1] }.flatMap { held[$0] > 0 ? $0 : nil } }

    /// Writes one into the file that is needed least; nil where there is none, or the disk does not take it.
    private func write(_ words: [UInt32], _ content: [ByteBuffer]) -> (slot: Int, file: OwnedFile)? {
        let spared = sync.spared + (newest.map { [$0] } ?? [])
        guard let slot = held.indices.filter({ !spared.contains($0) }).min(by: { held[$0] < held[$1] }) else { return nil }
        held[slot] = 0
        if isOpen[slot] == nil { isOpen[slot] = files[slot].open() }
        // A disk that takes no checkpoint is no reason to give up a clip: the next worker would only have more to do.
        guard let file = isOpen[slot], files[slot].write(words: words, content, to: file) else { return nil }
        held[slot] = Int(words[0])
        return (slot, file)
    }

    /// Makes files durable that belong to none of the series' own, when that is due.
    func makeDurable(_ others: [OwnedFile]) -> Bool { sync.begin(others, slot: nil) }

    /// The name of the file that is known to be on the disk.
    var durable: String? { sync.durable.map { files[$0].name } }
}
