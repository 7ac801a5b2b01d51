// How far a conversion is and how long it will take, on the last line of a terminal.
import SoradSystem

struct ConversionProgress {
    private let began = MonotonicTime.now()
    private var isShown = false

    /// - Parameter share: 0…1 of the work.
    mutating func show(_ share: Double) {
        guard StandardStream.errors.isTerminal else { return }
        let seconds = (MonotonicTime.now() - began).inSeconds
        let left = share > 0.01 ? ", \(Self.text(seconds / share * (1 - share))) left" : ""
        let line = share < 1 ? "\(Int(100 * share)) % in \(Self.text(seconds))\(left)" : "100 % in \(Self.text(seconds)), checking"
        try? StandardStream.errors.write("\r\u{1B}[K" + line)
        isShown = true
    }

    /// Makes room for a line of another kind.
    mutating func clear() {
        guard isShown else { return }
        try? StandardStream.errors.write("\r\u{1B}[K")
        isShown = false
    }

    private static func text(_ seconds: Double) -> String {
        let whole = Int(min(max(0, seconds), 1e9))
        return "\(whole / 60):\(whole % 60 < 10 ? "0" : "")\(whole % 60)"
    }
}
