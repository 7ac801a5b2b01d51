// RFC 8259 once more, as a recognizer that shares no code with the parser. It knows no limits, no duplicate keys, no surrogate pairs:
// it only tells whether a text is JSON at all.

struct JSONGrammar {
    private let bytes: [UInt8]
    private var position = 0

    static func accepts(_ bytes: [UInt8]) -> Bool {
        guard String(validating: bytes, as: UTF8.self) != nil else { return false }
        var grammar = JSONGrammar(bytes: bytes)
        return grammar.element() && grammar.position == bytes.count
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private mutating func take(_ set: String) -> Bool {
        guard position < bytes.count, set.utf8.contains(bytes[position]) else { return false }
        position += 1
        return true
    }

    private mutating func take(word: String) -> Bool {
        guard bytes[position...].starts(with: word.utf8) else { return false }
        position += word.utf8.count
        return true
    }

    private mutating func space() { while take(" \t\n\r") {} }

    /// ws value ws
    private mutating func element() -> Bool {
        space()
        guard value() else { return false }
        space()
        return true
    }

    private mutating func value() -> Bool {
        if take("{") { return sequence(closing: "}") { $0.member() } }
        if take("[") { return sequence(closing: "]") { $0.element() } }
        if take("\"") { return string() }
        return take(word: "true") || take(word: "false") || take(word: "null") || number()
    }

    private mutating func sequence(closing: String, _ item: (inout JSONGrammar) -> Bool) -> Bool {
        space()
        if take(closing) { return true }
        while item(&self) {
            if take(closing) { return true }
            guard take(",") else { return false }
        }
        return false
    }

    private mutating func member() -> Bool {
        space()
        guard take("\""), string() else { return false }
        space()
        return take(":") && element()
    }

    /// After the opening quotation mark.
    private mutating func string() -> Bool {
        while position < bytes.count {
            if take("\"") { return true }
            if take("\\") {
                if take("u") {
                    for _ in 0..<4 { guard take("0123456789abcdefABCDEF") else { return false } }
                } else {
                    guard take("\"\\/bfnrt") else { return false }
                }
            } else {
                guard bytes[position] >= 0x20 else { return false }
                position += 1
            }
        }
        return false
    }

    private mutating func digits() -> Bool {
        guard take("0123456789") else { return false }
        while take("0123456789") {}
        return true
    }

    private mutating func number() -> Bool {
        _ = take("-")
        guard take("0") || digits() else { return false }
        if take(".") { guard digits() else { return false } }
        if take("eE") {
            _ = take("+-")
            guard digits() else { return false }
        }
        return true
    }
}
