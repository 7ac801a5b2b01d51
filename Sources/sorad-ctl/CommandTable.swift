// Owns the shapes of the command table: the parser, the help and the documentation are all made from these values and from nothing else.
import SoradSystem

/// What a flag's value must look like. The daemon judges the meaning; here only the form is checked.
enum FlagValue: Sendable, Equatable {
    /// A switch without a value.
    case none
    case text(String)
    case integer(String)
    case number(String)
    /// WIDTHxHEIGHT in pixels.
    case size
    /// One of a fixed list.
    case choice([String])

    /// How the help names the value; nil for a switch.
    var placeholder: String? {
        switch self {
        case .none: nil
        case .text(let name), .integer(let name), .number(let name): name
        case .size: "WxH"
        case .choice(let values): values.joined(separator: "|")
        }
    }
}

struct Flag: Sendable, Equatable {
    /// With its dashes, e.g. "--output".
    let name: String
    /// One letter, e.g. "o" for `-o`.
    var short: Character?
    var value: FlagValue = .none
    let summary: String
    /// The environment variable that stands in when the flag is absent.
    var environment: String?
}

struct Argument: Sendable, Equatable {
    /// As the help prints it, e.g. "PROMPT".
    let name: String
    let summary: String
    var isOptional = false
}

struct Command: Sendable {
    let name: String
    var arguments: [Argument] = []
    var flags: [Flag] = []
    /// One line for the overview.
    let summary: String
    /// Paragraphs for the command's own help.
    var details = ""
    var examples: [String] = []
    let run: @Sendable (Invocation) throws(SoradError) -> Void

    var allFlags: [Flag] { flags + commonFlags }
}

/// Every command takes these.
let commonFlags = [
    Flag(
        name: "--socket", value: .text("PATH"), summary: "the daemon's socket (default: the system's, then your own)",
        environment: "SORAD_SOCKET"),
    Flag(name: "--json", summary: "print JSON with a schema name on standard output"),
    Flag(name: "--help", short: "h", summary: "explain this command"),
]

/// A parsed command line: what to do, with values in the form the table asks for.
struct Invocation: Sendable, Equatable {
    let command: String
    let arguments: [String]
    /// Flag name to value; a switch has an empty value.
    let flags: [String: String]

    subscript(_ name: String) -> String? { flags[name] }
    func has(_ name: String) -> Bool { flags[name] != nil }
}
