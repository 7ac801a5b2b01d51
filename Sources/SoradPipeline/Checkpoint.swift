// Owns the file that a clip is taken up from when its worker died: the latents after some denoise step.
// Invariant: what is restored was written whole by this version of the program for this very request and model, or nothing is restored;
// latents and step are the whole state of denoising, so the clip then has the same frames as one that was never interrupted. The text
// is encoded anew, which takes less than a denoise step and gives the same bits.
//
// Layout, little-endian: magic (8 bytes), digest of request, model and program (32), steps done (u32), elements (u32), the latents as
// float32 [C, T, h, w], SHA-256 of all that (32).
import Glibc
package import SoradAPI
package import SoradSystem
package import SoradTensor

package struct Checkpoint {
    package static let fileName = "checkpoint"
    private static let magic = Array("SORADCP1".utf8)
    private static let headSize = 8 + 32 + 4 + 4

    private let directory: String
    private let digest: [UInt8]
    private let steps: Int
    private var pacing: CheckpointPacing
    private let time: TimeSource

    /// - Parameters:
    ///   - directory: the job's own; a checkpoint in it is an earlier one of this job.
    ///   - model: the model's checksum.
    package init(
        of request: GenerationRequest, model: String, in directory: String, interval: Duration, time: TimeSource
    ) {
        self.directory = directory
        self.time = time
        digest = SHA256.hash(Array("\(soradVersion)\n\(model)\n\(request.json.text())".utf8))
        steps = request.numInferenceSteps
        pacing = CheckpointPacing(interval: interval, start: time.monotonic())
    }

    /// Fills `latent` with what an earlier worker left.
    /// - Returns: how many steps are done; 0 when there is nothing usable, and `latent` is then as it was.
    package func restore(into latent: Tensor) -> Int {
        guard let file = try? FileDescriptor(openingForReading: "\(directory)/\(Checkpoint.fileName)") else { return 0 }
        let size = Checkpoint.headSize + latent.count * 4 + 32
        guard (try? file.regularFileSize()) == size, let bytes = try? file.read(at: 0, count: size), bytes.count == size else { return 0 }
        let sum = SHA256.hash(Array(bytes[..<(size - 32)]))
        guard Array(bytes[(size - 32)...]) == sum, Array(bytes[..<40]) == Checkpoint.magic + digest else { return 0 }
        func word(_ offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) } }
        let done = Int(word(40))
        guard word(44) == UInt32(latent.count), (1...steps).contains(done) else { return 0 }
        latent.withMutableElements { elements in
            for index in elements.indices { elements[index] = Float(bitPattern: word(Checkpoint.headSize + 4 * index)) }
        }
        return done
    }

    /// Writes `latent` down after `done` steps, if it is time for that: durable when this returns. A disk that takes no checkpoint is no
    /// reason to give up a clip; the next worker would only have more to do.
    package mutating func store(_ latent: Tensor, done: Int) {
        let began = time.monotonic()
        guard pacing.isDue(at: began) else { return }
        var bytes = Checkpoint.magic + digest
        bytes.reserveCapacity(Checkpoint.headSize + latent.count * 4 + 32)
        func append(_ word: UInt32) {
            for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        append(UInt32(done))
        append(UInt32(latent.count))
        latent.withElements { elements in for index in elements.indices { append(elements[index].bitPattern) } }
        bytes += SHA256.hash(bytes)
        try? writeDurably(bytes, named: Checkpoint.fileName, in: directory)
        pacing.stored(from: began, to: time.monotonic())
    }

    /// The clip is done.
    package func remove() { removeFile("\(directory)/\(Checkpoint.fileName)") }
}

/// When the next checkpoint is due: not before `interval` has passed since the last one, and not before fifty times as long as that one
/// took, so that writing them costs less than a fiftieth of the time.
package struct CheckpointPacing: Sendable {
    private let interval: Duration
    private var last: MonotonicTime
    private var cost = Duration.zero

    package init(interval: Duration, start: MonotonicTime) {
        self.interval = interval
        last = start
    }

    package func isDue(at now: MonotonicTime) -> Bool { now - last >= max(interval, cost * 50) }

    package mutating func stored(from began: MonotonicTime, to ended: MonotonicTime) {
        cost = ended - began
        last = ended
    }
}
