// Owns the state from which a clip's frames resume: the memory of the decoder and of the frame stages after the last group of frames, and all
// frames that the last stage has emitted, since the clip's file has to be encoded from its beginning.
// Invariant: a state is valid only together with the frames that were kept before it; it names them by number and checksum. Frames are
// synced before the state that needs them.
import Glibc
import SoradAPI
package import SoradSystem
import SoradTensor

package final class FrameCheckpoint {
    private let makers: [any ResumableFrames]
    private let series: CheckpointSeries
    private let path: String
    private let frameBytes: Int
    private let time: TimeSource
    private var pacing: Pacing
    /// nil where the disk does not take them; nothing more is then written.
    private var frames: OwnedFile?
    private var kept = 0
    private var checksum = Checksum()
    /// What writing took so far.
    package private(set) var spent = Duration.zero

    /// Nothing is written where it could fill the disk: not while less than this many times its bytes are free.
    private static let freeSpaceFactor = 4
    private static let checksumWords = 8

    /// - Parameters:
    ///   - makers: the clip's decoder and the stages behind it, not yet used.
    ///   - digest: of the work, see `Checkpoint`.
    ///   - frameBytes: of one frame.
    ///   - numFrames: the most that are kept.
    init(
        _ makers: [any ResumableFrames], digest: [UInt8], in directory: String, frameBytes: Int, numFrames: Int, interval: Duration,
        syncInterval: Duration, time: TimeSource
    ) {
        self.makers = makers
        self.frameBytes = frameBytes
        self.time = time
        path = "\(directory)/\(CheckpointName.frames)"
        let start = time.monotonic()
        pacing = Pacing(interval: interval, share: 50, start: start)
        series = CheckpointSeries(
            CheckpointName.decoder, magic: "SORADDE1", digest: digest, directory: directory,
            pacing: Pacing(interval: max(interval, syncInterval), share: 50, start: start), time: time)
        let stateBytes = makers.flatMap(\.memory).reduce(0) { $0 + $1.count }
        let (clipBytes, overflow) = frameBytes.multipliedReportingOverflow(by: numFrames)
        guard !overflow, stateBytes < CheckpointFile.sizeLimit / 2, clipBytes < Int.max / 8,
            let free = try? DiskSpace(at: directory).free,
            free / FrameCheckpoint.freeSpaceFactor >= clipBytes + CheckpointName.decoder.count * stateBytes,
            let descriptor = try? FileDescriptor(opening: path, flags: O_RDWR | O_CREAT | O_NOFOLLOW)
        else { return }
        frames = OwnedFile(descriptor)
    }

    /// Brings decoder and stages to where an earlier worker left them.
    /// - Parameter groups: latent frames of the clip.
    /// - Returns: how many frames are kept; nil when there is nothing usable, and all then begin at the beginning.
    package func restore(groups: Int) -> Int? {
        guard let frames else { return nil }
        let counters = makers.reduce(0) { $0 + $1.counters.count }
        let words = series.restore(words: counters + 1 + FrameCheckpoint.checksumWords, in: 1...groups) { words, _ in
            hasFrames(Int(words[counters]), checksum: Array(words[(counters + 1)...]), in: frames) ? makers.flatMap(\.memory) : nil
        }
        guard let words else {
            (kept, checksum) = (0, Checksum())
            return nil
        }
        var rest = words[..<counters]
        for maker in makers {
            let count = maker.counters.count
            maker.resume(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return kept
    }

    /// Reads `count` frames; leaves `kept` and `checksum` as they were after them.
    private func hasFrames(_ count: Int, checksum expected: [UInt32], in file: OwnedFile) -> Bool {
        (kept, checksum) = (0, Checksum())
        while kept < count {
            guard let frame = frame(kept, in: file) else { return false }
            unsafe checksum.update(frame.span.bytes)
            kept += 1
        }
        return UInt32.words(checksum.value()[...]) == expected
    }

    private func frame(_ index: Int, in file: OwnedFile) -> [UInt8]? {
        let bytes = try? file.descriptor.read(at: index * frameBytes, count: frameBytes)
        return bytes?.count == frameBytes ? bytes : nil
    }

    /// Frame `index` of those that are kept.
    /// - Throws: `.cannotWrite` when the disk does not give back what it gave a moment ago.
    package func frame(_ index: Int) throws(SoradError) -> [UInt8] {
        guard index < kept, let frames, let frame = frame(index, in: frames) else {
            throw SoradError(.cannotWrite, "cannot read frame \(index) of the clip back from \(path)")
        }
        return frame
    }

    /// Keeps the next frame.
    package func keep(_ frame: [UInt8]) {
        precondition(frame.count == frameBytes, "a frame of \(frame.count) bytes, not \(frameBytes)")
        guard let frames else { return }
        let began = time.monotonic()
        if (try? frames.descriptor.write(frame, at: kept * frameBytes)) != nil {
            unsafe checksum.update(frame.span.bytes)
            kept += 1
        } else {
            self.frames = nil
        }
        spent = spent + (time.monotonic() - began)
    }

    /// Writes decoder and stages down after a group of frames whose results are all kept, unless groups are so quick that this would cost
    /// more than one part in 50.
    package func store() {
        guard let frames else { return }
        let (began, used) = (time.monotonic(), time.processor())
        guard pacing.isDue(at: began) else { return }
        _ = series.store(words: words, makers.flatMap(\.memory), after: [frames])
        let ended = time.monotonic()
        pacing.done(from: began, to: ended, cost: time.processor() - used)
        spent = spent + (ended - began)
    }

    /// As `store`, as the last thing before the work is put down; no other state is left.
    /// - Returns: whether the disk has taken it.
    package func storeLast() -> Bool {
        guard let frames else { return false }
        return series.storeLast(words: words, makers.flatMap(\.memory), after: [frames])
    }

    private var words: [UInt32] { makers.flatMap(\.counters) + [UInt32(kept)] + UInt32.words(checksum.value()[...]) }
}
