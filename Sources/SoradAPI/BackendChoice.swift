// What the setting `backend` says: which device makes clips. The daemon checks it and hands it to its workers.

public enum BackendChoice: Sendable, Equatable, CustomStringConvertible {
    /// The fastest that was measured on this machine.
    case auto
    case cpu
    /// A Vulkan device: the first that is not left alone, or the one of that number.
    case vulkan(Int?)

    /// `auto`, `cpu`, `vulkan` or `vulkan:INDEX`; nil for anything else.
    public init?(_ text: String) {
        switch text {
        case "auto": self = .auto
        case "cpu": self = .cpu
        case "vulkan": self = .vulkan(nil)
        default:
            let digits = text.dropFirst("vulkan:".count)
            guard text.hasPrefix("vulkan:"), (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }),
                let index = Int(digits)
            else { return nil }
            self = .vulkan(index)
        }
    }

    public var description: String {
        switch self {
        case .auto: "auto"
        case .cpu: "cpu"
        case .vulkan(let index): "vulkan" + (index.map { ":\($0)" } ?? "")
        }
    }

    /// What a wrong text must be instead.
    public static let forms = "auto, cpu, vulkan or vulkan:NUMBER"
}
