// Disk space for the records of jobs that are already accepted: a file that is deleted when the disk is full.
// Invariant: new work is refused before the reserve is touched, so it is there when a running job must be recorded as over.
import SoradSystem

struct DiskReserve: Sendable {
    /// Some hundred records, and the database's log twice over.
    static let size = 4 << 20

    let path: String
    private(set) var isFilled = false

    init(path: String) { self.path = path }

    /// Takes the space if there is any.
    mutating func fill() {
        guard !isFilled else { return }
        do throws(Errno) {
            try reserveFile(path, size: DiskReserve.size)
            isFilled = true
        } catch { isFilled = false }
    }

    /// Gives the space up. False when it was given up before.
    mutating func give() -> Bool {
        defer { isFilled = false }
        guard isFilled else { return false }
        removeFile(path)
        return true
    }
}

/// The disk space of a job: an upper bound that it never reaches in practice.
enum DiskNeed {
    /// Per pixel and frame: a byte for the latents of four checkpoints, half a byte for those that
    /// are kept, half a byte for the clip as ffmpeg writes it, half a byte for the marked copy.
    private static let halfBytesPerPixel = 5

    /// Of the smallest clip.
    static let least = 1 << 20

    static func bytes(width: Int, height: Int, frames: Int) -> Int {
        width * height * frames * halfBytesPerPixel / 2 + least
    }
}

/// Bytes for people: "0.4 MB", "12.3 GB".
func megabytes(_ bytes: Int) -> String {
    let (unit, name) = bytes >= 10_000_000_000 ? (1_000_000_000, "GB") : (1_000_000, "MB")
    let tenths = (max(bytes, 0) + unit / 20) / (unit / 10)
    return "\(tenths / 10).\(tenths % 10) \(name)"
}
