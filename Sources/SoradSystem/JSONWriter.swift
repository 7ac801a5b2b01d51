// JSON values to bytes: UTF-8, members in their order, the shortest escapes.
// Invariant: the text can be shown in a terminal as it is: whatever would command one (`commandsTerminal`) is written as a \u escape,
// which is the same value.

extension JSONValue {
    /// UTF-8 text without a line end. `pretty` indents by two spaces.
    public func bytes(pretty: Bool = false) -> [UInt8] {
        var writer = JSONWriter(pretty: pretty)
        writer.write(self, depth: 0)
        return writer.output
    }

    public func text(pretty: Bool = false) -> String { String(decoding: bytes(pretty: pretty), as: UTF8.self) }
}

private struct JSONWriter {
    let pretty: Bool
    var output: [UInt8] = []

    init(pretty: Bool) { self.pretty = pretty }

    mutating func write(_ value: JSONValue, depth: Int) {
        switch value {
        case .null: output += "null".utf8
        case .bool(let value): output += (value ? "true" : "false").utf8
        case .number(let number): output += number.text.utf8
        case .string(let string): write(string)
        case .array(let elements):
            writeSequence(elements, open: "[", close: "]", depth: depth) { $0.write($1, depth: depth + 1) }
        case .object(let object):
            writeSequence(object.members, open: "{", close: "}", depth: depth) { writer, member in
                writer.write(member.key)
                writer.output += (writer.pretty ? ": " : ":").utf8
                writer.write(member.value, depth: depth + 1)
            }
        }
    }

    private mutating func writeSequence<Element>(
        _ elements: [Element], open: String, close: String, depth: Int, _ body: (inout JSONWriter, Element) -> Void
    ) {
        output += open.utf8
        for (index, element) in elements.enumerated() {
            if index > 0 { output += ",".utf8 }
            breakLine(depth: depth + 1)
            body(&self, element)
        }
        if !elements.isEmpty { breakLine(depth: depth) }
        output += close.utf8
    }

    private mutating func breakLine(depth: Int) {
        guard pretty else { return }
        output.append(UInt8(ascii: "\n"))
        output.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * depth))
    }

    private mutating func write(_ string: String) {
        output.append(UInt8(ascii: "\""))
        // Most strings are ASCII, and some are megabytes of base64.
        let isASCII = !string.utf8.contains { $0 >= 0x80 }
        if isASCII {
            for byte in string.utf8 { writeASCII(byte) }
        } else {
            for scalar in string.unicodeScalars {
                if scalar.isASCII {
                    writeASCII(UInt8(scalar.value))
                } else if scalar.commandsTerminal {
                    for unit in Unicode.UTF16.encode(scalar) ?? Unicode.UTF16.encodedReplacementCharacter { writeEscape(unit) }
                } else {
                    output += UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter
                }
            }
        }
        output.append(UInt8(ascii: "\""))
    }

    private mutating func writeASCII(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): output += "\\\"".utf8
        case UInt8(ascii: "\\"): output += "\\\\".utf8
        case UInt8(ascii: "\n"): output += "\\n".utf8
        case UInt8(ascii: "\r"): output += "\\r".utf8
        case UInt8(ascii: "\t"): output += "\\t".utf8
        case 0..<0x20, 0x7F: writeEscape(UInt16(byte))
        default: output.append(byte)
        }
    }

    private mutating func writeEscape(_ unit: UInt16) {
        let digits = Array("0123456789abcdef".utf8)
        output += "\\u".utf8
        for shift in [12, 8, 4, 0] { output.append(digits[Int(unit >> shift & 15)]) }
    }
}
