// Owns checkpoints of one kind that follow each other: files that are written in turn.
//
// Nobody waits for the disk: what was written survives the death of the process. For the death of the machine a thread of its own makes the
// newest durable. None is written over the newest, the one that is being made durable, or the newest that is durable, so whatever dies, and
// whenever, a whole one is left. With four files one is always free; with three, none may be while the disk is busy, and a checkpoint is then
// left out.
import SoradSystem
import SoradTensor

final class CheckpointSeries {
    private let files: [CheckpointFile]
    private let sync: BackgroundSync
    /// How far the work is in each file; 0 where it is of no use.
    private var held: [Int]
    private var isOpen: [OpenFile?]

    init(_ names: [String], magic: String, digest: [UInt8], directory: String, pacing: Pacing, time: TimeSource) {
        files = names.map { CheckpointFile(name: $0, magic: magic, digest: digest, directory: directory) }
        sync = BackgroundSync(directory: directory, pacing: pacing, time: time)
        held = names.map { _ in 0 }
        isOpen = names.map { _ in nil }
    }

    /// Reads the newest whole file; the first of its words says how far the work is.
    /// - Parameters:
    ///   - range: where the work may be.
    ///   - room: as in `CheckpointFile.read`.
    /// - Returns: the words; nil when there is nothing usable.
    func restore(words count: Int, in range: ClosedRange<Int>, room: ([UInt32], Int) -> [ByteBuffer]?) -> [UInt32]? {
        let candidates = files.indices.compactMap { slot in files[slot].words(count).map { (slot: slot, done: Int($0[0])) } }
        for candidate in candidates.filter({ range.contains($0.done) }).sorted(by: { $0.done > $1.done }) {
            guard let words = files[candidate.slot].read(words: count, room: room) else { continue }
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
    func store(words: [UInt32], _ content: [ByteBuffer], after others: [OpenFile]) -> Bool {
        let done = Int(words[0])
        let newest = held.indices.max { held[$0] < held[$1] }.flatMap { held[$0] > 0 ? $0 : nil }
        let spared = sync.spared + (newest.map { [$0] } ?? [])
        guard let slot = held.indices.filter({ !spared.contains($0) }).min(by: { held[$0] < held[$1] }) else { return false }
        held[slot] = 0
        if isOpen[slot] == nil { isOpen[slot] = files[slot].open() }
        // A disk that takes no checkpoint is no reason to give up a clip: the next worker would only have more to do.
        guard let file = isOpen[slot], files[slot].write(words: words, content, to: file) else { return false }
        held[slot] = done
        return sync.begin(others + [file], slot: slot)
    }

    /// Makes files durable that belong to none of the series' own, when that is due.
    func makeDurable(_ others: [OpenFile]) -> Bool { sync.begin(others, slot: nil) }

    /// The name of the file that is known to be on the disk.
    var durable: String? { sync.durable.map { files[$0].name } }
}
