// Calls a file that is no model file of sorad's by its true name: a model of another program, a pointer, a page, an archive.
import SoradSystem

/// What lies where a model file should.
struct ForeignFile {
    /// A clause that follows the path.
    let what: String
    let hint: String

    private static let convert = "convert a published checkpoint with sorad-quantize"
    private static let fetch = "fetch the model file itself"

    private init(_ what: String, _ hint: String) {
        self.what = what
        self.hint = hint
    }

    /// nil when the file may be one of sorad's, or is of an unknown kind.
    init?(_ bytes: RawSpan) {
        var start = Cursor()
        let head = start.take(min(bytes.byteCount, 512), bytes) ?? []
        func begins(_ text: String) -> Bool { head.starts(with: text.utf8) }
        let text = String(decoding: head, as: UTF8.self).lowercased().drop { $0.isWhitespace || $0 == "\u{FEFF}" }
        if begins("GGUF"), head.count > 7, head[4] == 0, head[7] != 0 {
            self.init("is a GGUF file for machines with the most significant byte first", Self.convert)
        } else if begins("GGUF") {
            guard let architecture = Self.architecture(bytes), !architecture.hasPrefix(ModelFile.architecturePrefix) else { return nil }
            let shown = String(architecture.unicodeScalars.prefix(64).map { (0x20..<0x7F).contains($0.value) ? Character($0) : "?" })
            self.init("holds a model of the architecture \"\(shown)\", not one of sorad's, such as \"sorad-wan\"", Self.convert)
        } else if ["GGML", "ggml", "ggjt", "ggmf", "lmgg", "tjgg", "fmgg"].contains(where: begins) {
            self.init("holds a model in the GGML format of old llama.cpp versions", Self.convert)
        } else if text.hasPrefix("version https://git-lfs") || text.hasPrefix("version https://hawser") {
            self.init("is a pointer of Git LFS, not the model itself", "run `git lfs pull` where it was cloned, or download the file")
        } else if text.hasPrefix("<!doctype") || text.hasPrefix("<html") || text.hasPrefix("<head") || text.hasPrefix("<?xml") {
            self.init("is a web page, not a model", "\(Self.fetch): the address needs a login, or names the page about the file")
        } else if text.hasPrefix("{") && text.contains("\"") {
            self.init("is a JSON text, not a model", Self.fetch)
        } else if head.count > 9, head[8] == UInt8(ascii: "{"), head[3...7].allSatisfy({ $0 == 0 }) {
            self.init("is a safetensors file: weights alone", Self.convert)
        } else if begins("PK\u{3}\u{4}") {
            let isTorch = text.contains("data.pkl") || text.contains(".data/") || text.contains("archive/")
            self.init(
                isTorch ? "is a checkpoint of PyTorch (a pickle in a ZIP archive)" : "is a ZIP archive",
                isTorch ? Self.convert : "unpack it first")
        } else if head.count > 1, head[0] == 0x80, (2...5).contains(head[1]) {
            self.init("is a pickle of Python, as old PyTorch checkpoints are", Self.convert)
        } else if head.starts(with: [0x1F, 0x8B]) || head.starts(with: [0x28, 0xB5, 0x2F, 0xFD])
            || head.starts(with: [0xFD, 0x37, 0x7A, 0x58]) || begins("BZh") || head.starts(with: [0x37, 0x7A, 0xBC, 0xAF])
        {
            self.init("is compressed", "unpack it first")
        } else if head.count >= 262, head[257..<262].elementsEqual("ustar".utf8) {
            self.init("is a tar archive", "unpack it first")
        } else if head.starts(with: [0x89, 0x50, 0x4E, 0x47]) || head.starts(with: [0xFF, 0xD8, 0xFF]) {
            self.init("is a picture, not a model", Self.fetch)
        } else if head.starts(with: [0x89, 0x48, 0x44, 0x46]) {
            self.init("is an HDF5 file, as Keras writes", Self.convert)
        } else if head.starts(with: [0x08]), head.dropFirst(2).starts(with: [0x12]), text.contains("pytorch") || text.contains("onnx") {
            self.init("is an ONNX model", Self.convert)
        } else if head.count >= 512, head.allSatisfy({ $0 == 0 }) {
            self.init("begins with zeros: it was not copied whole", Self.fetch)
        } else if head.count > 8, head.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || (0x09...0x0D).contains($0) }) {
            self.init("is a text, not a model", Self.fetch)
        } else {
            return nil
        }
    }

    /// The value of general.architecture in a GGUF file of any version and with any types; nil if it cannot be found.
    private static func architecture(_ bytes: RawSpan) -> String? {
        var cursor = Cursor()
        guard cursor.take(4, bytes) != nil, let version = cursor.number(4, bytes), (2...16).contains(version), cursor.take(8, bytes) != nil,
            let keys = cursor.number(8, bytes)
        else { return nil }
        for _ in 0..<min(keys, 4096) {
            guard let key = cursor.text(limit: 65_536, bytes), let type = cursor.number(4, bytes) else { return nil }
            if key == "general.architecture" { return type == 8 ? cursor.text(limit: 1 << 20, bytes) : nil }
            guard cursor.skip(type, depth: 0, bytes) else { return nil }
        }
        return nil
    }

    /// Walks untrusted bytes; nil beyond their end.
    private struct Cursor {
        private var offset = 0

        mutating func take(_ count: Int, _ bytes: RawSpan) -> [UInt8]? {
            guard advance(count, bytes) else { return nil }
            return unsafe bytes.extracting((offset - count)..<offset).withUnsafeBytes { unsafe [UInt8]($0) }
        }

        /// Little endian; nil for one beyond 2⁶³ too.
        mutating func number(_ size: Int, _ bytes: RawSpan) -> Int? {
            take(size, bytes).flatMap { Int(exactly: $0.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }) }
        }

        mutating func text(limit: Int, _ bytes: RawSpan) -> String? {
            guard let count = number(8, bytes), count <= limit, let text = take(count, bytes) else { return nil }
            return String(decoding: text, as: UTF8.self)
        }

        /// False when a value of `type` does not fit.
        mutating func skip(_ type: Int, depth: Int, _ bytes: RawSpan) -> Bool {
            let sizes = [0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8]
            if let size = sizes[type] { return advance(size, bytes) }
            if type == 8 {
                guard let count = number(8, bytes) else { return false }
                return advance(count, bytes)
            }
            guard type == 9, depth < 4, let element = number(4, bytes), let count = number(8, bytes) else { return false }
            if let size = sizes[element] {
                let (total, overflow) = count.multipliedReportingOverflow(by: size)
                return !overflow && advance(total, bytes)
            }
            // Every text and array takes 8 bytes at least.
            guard count <= (bytes.byteCount - offset) / 8 else { return false }
            for _ in 0..<count where !skip(element, depth: depth + 1, bytes) { return false }
            return true
        }

        private mutating func advance(_ count: Int, _ bytes: RawSpan) -> Bool {
            guard count >= 0, count <= bytes.byteCount - offset else { return false }
            offset += count
            return true
        }
    }
}

/// The name of a `ggml_type`, e.g. "Q4_K (12)"; the number alone for one that is not known.
func elementTypeName(_ number: UInt32) -> String {
    let names: [UInt32: String] = [
        2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K",
        15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS",
        25: "I16",
        27: "I64", 28: "F64", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4",
    ]
    return names[number].map { "\($0) (\(number))" } ?? "\(number), which is newer than this program or none"
}
