// The one error of this module. It exists because the module imports nothing: whoever loads a tokenizer wraps the
// sentence in the error type of its own layer.

/// A vocabulary or model file that cannot be used; `message` is one plain sentence saying what is wrong with it.
public struct TokenizerError: Error, Sendable, Equatable, CustomStringConvertible {
    public let message: String

    public init(_ message: String) {
        self.message = message
    }

    public var description: String { message }
}
