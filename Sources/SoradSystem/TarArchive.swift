// Regular files side by side as a tar file (POSIX.1-1988, "ustar"), as far as jobs need it to travel: no folders, links or long names.
// Invariant: an archive that is read is untrusted. A name is a plain one of few characters, every size is compared with what is left of
// the file, and the checksum of every head must be right.

public enum TarArchive {
    public struct Entry: Sendable {
        public let name: String
        public let content: Content

        public enum Content: Sendable {
            case bytes([UInt8])
            /// A file's path.
            case file(String)
        }

        public init(_ name: String, _ content: Content) {
            self.name = name
            self.content = content
        }
    }

    private static let block = 512
    /// Eleven octal digits.
    private static let sizeLimit = 1 << 33 - 1
    private static let nameLimit = 100
    /// More than a job ever has.
    private static let entryLimit = 1024
    private static let piece = 1 << 20

    /// A name that an archive may have: letters, digits, `-`, `_` and `.`, which it does not begin with.
    public static func isName(_ name: String) -> Bool {
        (1...nameLimit).contains(name.utf8.count) && !name.hasPrefix(".")
            && name.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    /// Hands over the bytes of an archive of `entries`, piece by piece. A file that grows or shrinks meanwhile has the size that it had at
    /// first: its end is left out, or filled with zeros.
    /// - Throws: `.cannotWrite` for a file that cannot be read, and what `take` throws.
    public static func write(_ entries: [Entry], to take: ([UInt8]) throws(SoradError) -> Void) throws(SoradError) {
        for entry in entries {
            precondition(isName(entry.name), "\(entry.name) as a name in a tar file")
            switch entry.content {
            case .bytes(let bytes):
                try take(head(entry.name, bytes.count))
                try take(bytes + padding(bytes.count))
            case .file(let path):
                func failure(_ error: Errno) -> SoradError { SoradError(.cannotWrite, "cannot read \(path): \(error.reason)") }
                do {
                    let file = try FileDescriptor(openingForReading: path)
                    let size = try file.regularFileSize()
                    guard size <= sizeLimit else { throw SoradError(.badInput, "\(path) is too large for a tar file") }
                    try take(head(entry.name, size))
                    for offset in stride(from: 0, to: size, by: piece) {
                        let count = min(piece, size - offset)
                        let bytes = try file.read(at: offset, count: count)
                        try take(bytes + [UInt8](repeating: 0, count: count - bytes.count))
                    }
                    try take(padding(size))
                } catch let error as Errno {
                    throw failure(error)
                } catch let error as SoradError {
                    throw error
                } catch { preconditionFailure("\(error)") }
            }
        }
        try take([UInt8](repeating: 0, count: 2 * block))
    }

    /// Reads an archive of `size` bytes.
    /// - Parameters:
    ///   - read: gets an offset and a number of bytes that lie within the archive.
    ///   - begin: gets the name and the size of each file, and says where its bytes go, piece by piece.
    /// - Throws: `.badInput` with one sentence about the archive, and what the others throw.
    public static func read(
        size total: Int, from read: (Int, Int) throws(SoradError) -> [UInt8],
        begin: (String, Int) throws(SoradError) -> ([UInt8]) throws(SoradError) -> Void
    ) throws(SoradError) {
        var offset = 0
        var names: Set<String> = []
        while true {
            guard total - offset >= block else { throw malformed("it ends early") }
            let head = try read(offset, block)
            guard head.count == block else { throw malformed("it ends early") }
            offset += block
            if head.allSatisfy({ $0 == 0 }) { return }
            guard number(head[148..<156]) == checksum(head) else { throw malformed("a head has a wrong checksum") }
            guard let size = number(head[124..<136]), size <= total - offset else { throw malformed("it ends early") }
            var name = String(decoding: head[0..<nameLimit].prefix { $0 != 0 }, as: UTF8.self)
            // As `tar -C FOLDER .` writes them.
            if name.hasPrefix("./") { name.removeFirst(2) }
            let kind = head[156]
            if kind == UInt8(ascii: "5"), size == 0, name.isEmpty || name == "." { continue }
            guard kind == UInt8(ascii: "0") || kind == 0, isName(name), head[345] == 0 else {
                throw malformed("it has something else than files side by side: \"\(name.prefix(64))\"")
            }
            guard names.insert(name).inserted else { throw malformed("it has \(name) twice") }
            guard names.count <= entryLimit else { throw malformed("it has more than \(entryLimit) files") }
            let take = try begin(name, size)
            var done = 0
            while done < size {
                let bytes = try read(offset + done, min(piece, size - done))
                guard !bytes.isEmpty else { throw malformed("it ends early") }
                try take(bytes)
                done += bytes.count
            }
            // The last block may be cut off.
            offset += min(total - offset, (size + block - 1) / block * block)
        }
    }

    private static func malformed(_ what: String) -> SoradError { SoradError(.badInput, "the tar file cannot be used: \(what)") }

    private static func padding(_ size: Int) -> [UInt8] { [UInt8](repeating: 0, count: (block - size % block) % block) }

    private static func head(_ name: String, _ size: Int) -> [UInt8] {
        var head = [UInt8](repeating: 0, count: block)
        func put(_ text: String, _ place: Int) { for (index, byte) in text.utf8.enumerated() { head[place + index] = byte } }
        func octal(_ value: Int, _ digits: Int) -> String {
            let text = String(value, radix: 8)
            return String(repeating: "0", count: digits - text.count) + text
        }
        put(name, 0)
        put(octal(0o600, 7), 100)
        // Nobody's, of no time: the same job gives the same archive.
        put(octal(0, 7), 108)
        put(octal(0, 7), 116)
        put(octal(size, 11), 124)
        put(octal(0, 11), 136)
        put("0", 156)
        put("ustar", 257)
        put("00", 263)
        put(octal(checksum(head), 6), 148)
        head[155] = UInt8(ascii: " ")
        return head
    }

    /// Of a head with its own place filled with spaces.
    private static func checksum(_ head: [UInt8]) -> Int {
        var sum = 0
        for (index, byte) in head.enumerated() { sum += (148..<156).contains(index) ? 32 : Int(byte) }
        return sum
    }

    /// Octal digits between spaces and zeros; nil for anything else.
    private static func number(_ bytes: ArraySlice<UInt8>) -> Int? {
        let digits = bytes.drop { $0 == 32 }.prefix { $0 != 0 && $0 != 32 }
        guard !digits.isEmpty, digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "7")).contains($0) }) else { return nil }
        return digits.reduce(0) { $0 << 3 | Int($1 - UInt8(ascii: "0")) }
    }
}
