// What a box claims, as far as it can be checked: a box may be stolen, and the daemon takes numbers and names from its own worker.
// Invariant: a value that passes can be counted with, printed and put into a header; whether it is true is another question.
import SoradAPI

extension JobProgress {
    /// Nothing has more units.
    private static let mostUnits = 10_000_000

    var isPlausible: Bool {
        let units = 0...JobProgress.mostUnits
        guard units.contains(step), units.contains(steps), units.contains(frame), (0...100).contains(percent) else { return false }
        guard etaSeconds.map({ (0...1e9).contains($0) }) ?? true else { return false }
        return preview.map { preview in preview.png.utf8.allSatisfy { isBase64($0) } } ?? true
    }
}

extension ClipResult {
    var isPlausible: Bool {
        let units = 0...10_000_000
        guard units.contains(resumedStep), units.contains(resumedFrames), units.contains(passes ?? 0) else { return false }
        guard timings.allSatisfy({ JobPhase(rawValue: $0.key) != nil && (0...1e9).contains($0.value) }) else { return false }
        return isDigest(sha256) && (modelSHA256.map { isDigest($0) } ?? true) && (videoSHA256.map { isDigest($0) } ?? true)
    }
}

/// 64 lower-case hexadecimal digits.
func isDigest(_ text: String) -> Bool {
    text.utf8.count == 64
        && text.utf8.allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
        }
}

private func isBase64(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): true
    default: false
    }
}
