// Other names for models, as the operator gives them: "sora-2 sorad-mini" lets an application that asks for sora-2 have sorad-mini. A model
// that is installed under the name itself comes first.
import SoradSystem

struct ModelAliases: Sendable, Equatable {
    /// Alias to model.
    private(set) var names: [(alias: String, model: String)] = []

    init() {}

    /// - Parameter settings: "ALIAS MODEL" each.
    init(_ settings: [String]) throws(SoradError) {
        for text in settings {
            let words = text.split(separator: " ").map(String.init)
            guard words.count == 2, words[0] != words[1], words.allSatisfy({ $0.utf8.count <= 128 }) else {
                throw SoradError(
                    .configuration, "the setting alias must be two names, like \"sora-2 sorad-mini\"; not \"\(text)\"", param: "alias")
            }
            guard !names.contains(where: { $0.alias == words[0] }) else {
                throw SoradError(.configuration, "the setting alias names \(words[0]) twice", param: "alias")
            }
            names.append((words[0], words[1]))
        }
    }

    func model(of alias: String) -> String? { names.first { $0.alias == alias }?.model }

    static func == (left: ModelAliases, right: ModelAliases) -> Bool {
        left.names.elementsEqual(right.names) { $0.alias == $1.alias && $0.model == $1.model }
    }
}
