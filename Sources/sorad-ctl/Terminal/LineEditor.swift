// Owns one line that is typed: keys in, the line and the cursor out. Emacs's keys, as in a shell; earlier lines with the arrows.
// `EditedLine` is pure; `LineEditor` reads keys from the terminal and draws. Elsewhere than in a terminal lines are read as they are.
import SoradSystem

struct EditedLine: Equatable {
    private(set) var characters: [Character] = []
    private(set) var cursor = 0

    var text: String { String(characters) }

    enum Key: Equatable {
        case character(Character)
        case left, right, home, end, up, down
        case backspace, delete, killToEnd, killToStart, killWord
        case enter, interrupt, endOfInput, none
    }

    /// Keys that do not end the line.
    mutating func take(_ key: Key) {
        switch key {
        case .character(let character):
            characters.insert(character, at: cursor)
            cursor += 1
        case .left: cursor = max(0, cursor - 1)
        case .right: cursor = min(characters.count, cursor + 1)
        case .home: cursor = 0
        case .end: cursor = characters.count
        case .backspace where cursor > 0:
            cursor -= 1
            characters.remove(at: cursor)
        case .delete where cursor < characters.count: characters.remove(at: cursor)
        case .killToEnd: characters.removeSubrange(cursor...)
        case .killToStart:
            characters.removeSubrange(..<cursor)
            cursor = 0
        case .killWord:
            let end = cursor
            while cursor > 0, characters[cursor - 1] == " " { cursor -= 1 }
            while cursor > 0, characters[cursor - 1] != " " { cursor -= 1 }
            characters.removeSubrange(cursor..<end)
        default: break
        }
    }

    mutating func set(_ text: String) {
        characters = Array(text)
        cursor = characters.count
    }

    /// The line from the terminal's first column: of a long one the part around the cursor.
    func drawn(after prompt: String, width: Int) -> String {
        let room = max(4, width - displayWidth(prompt) - 1)
        var start = 0
        while displayWidth(String(characters[start..<cursor])) >= room { start += 1 }
        var shown = String(characters[start...])
        if displayWidth(shown) > room { shown = shortened(shown, to: room) }
        let before = displayWidth(prompt) + displayWidth(String(characters[start..<cursor]))
        return "\r" + prompt + printable(shown) + "\u{1B}[K\r" + (before > 0 ? "\u{1B}[\(before)C" : "")
    }
}

/// Bytes of a terminal become keys.
struct KeyReader {
    private var bytes: [UInt8] = []

    /// - Returns: the keys that are whole by now.
    mutating func take(_ new: [UInt8]) -> [EditedLine.Key] {
        bytes += new
        var keys: [EditedLine.Key] = []
        while let (key, count) = first() {
            keys.append(key)
            bytes.removeFirst(count)
        }
        return keys
    }

    private func first() -> (EditedLine.Key, Int)? {
        guard let byte = bytes.first else { return nil }
        if byte == 0x1B { return escape() }
        if byte >= 0x80 { return character() }
        let key: EditedLine.Key =
            switch byte {
            case 1: .home
            case 2: .left
            case 3: .interrupt
            case 4: .endOfInput
            case 5: .end
            case 6: .right
            case 8, 127: .backspace
            case 10, 13: .enter
            case 11: .killToEnd
            case 14: .down
            case 16: .up
            case 21: .killToStart
            case 23: .killWord
            case 0x20..<0x7F: .character(Character(Unicode.Scalar(byte)))
            default: .none
            }
        return (key, 1)
    }

    /// A character of several bytes; nil while some of them are missing.
    private func character() -> (EditedLine.Key, Int)? {
        let count = bytes[0] >= 0xF0 ? 4 : bytes[0] >= 0xE0 ? 3 : bytes[0] >= 0xC0 ? 2 : 1
        guard bytes.count >= count else { return nil }
        guard let text = String(validating: bytes[..<count], as: UTF8.self), let character = text.first else { return (.none, 1) }
        return (text.unicodeScalars.contains(where: \.commandsTerminal) ? .none : .character(character), count)
    }

    /// ESC [ …, or ESC O …
    private func escape() -> (EditedLine.Key, Int)? {
        guard bytes.count >= 2 else { return nil }
        guard bytes[1] == UInt8(ascii: "[") || bytes[1] == UInt8(ascii: "O") else { return (.none, 2) }
        guard let end = bytes[2...].firstIndex(where: { (0x40...0x7E).contains($0) }) else {
            return bytes.count > 16 ? (.none, bytes.count) : nil
        }
        let key: EditedLine.Key =
            switch bytes[end] {
            case UInt8(ascii: "A"): .up
            case UInt8(ascii: "B"): .down
            case UInt8(ascii: "C"): .right
            case UInt8(ascii: "D"): .left
            case UInt8(ascii: "H"): .home
            case UInt8(ascii: "F"): .end
            case UInt8(ascii: "~"): bytes[2] == UInt8(ascii: "3") ? .delete : .none
            default: .none
            }
        return (key, end + 1)
    }
}

struct LineEditor {
    private var history: [String] = []
    private var keys = KeyReader()
    /// Keys that were typed ahead.
    private var pending: [EditedLine.Key] = []

    /// - Returns: the line; "" for one that was given up with Ctrl-C; nil at the end of the input.
    mutating func read(prompt: String) throws(SoradError) -> String? {
        guard StandardStream.input.isTerminal, let raw = RawMode(StandardStream.input.rawValue, keepsSignals: false) else {
            return try Console.readLine()
        }
        defer { withExtendedLifetime(raw) {} }
        var line = EditedLine()
        var place = history.count
        Console.draw(line.drawn(after: prompt, width: Console.width))
        while true {
            if pending.isEmpty {
                guard let bytes = try? StandardStream.input.read(upTo: 256), !bytes.isEmpty else { return nil }
                pending += keys.take(bytes)
            }
            while !pending.isEmpty {
                let key = pending.removeFirst()
                switch key {
                case .enter:
                    Console.draw("\r\n")
                    if !line.text.isEmpty, history.last != line.text { history.append(line.text) }
                    return line.text
                case .interrupt:
                    Console.draw("^C\r\n")
                    return ""
                case .endOfInput where line.text.isEmpty:
                    Console.draw("\r\n")
                    return nil
                case .endOfInput: line.take(.delete)
                case .up where place > 0:
                    place -= 1
                    line.set(history[place])
                case .down where place < history.count:
                    place += 1
                    line.set(place < history.count ? history[place] : "")
                default: line.take(key)
                }
            }
            Console.draw(line.drawn(after: prompt, width: Console.width))
        }
    }
}
