// Reads the provenance mark of a clip by any program: the XMP packet and the comment that `Provenance` describes, the label of GB 45438,
// and whether there is a C2PA manifest (its content is not read: verifying its signatures needs certificates that are not available
// offline).
// Invariant: the file is untrusted. Only the boxes' heads and a few bounded boxes are read; nothing is decoded and ffmpeg does not run.
import Glibc
public import SoradAPI
public import SoradSystem

/// The provenance mark in the MP4 file at `path`.
/// - Throws: `.badInput` with one sentence when it is no MP4 file, or a damaged one; `.notFound`.
public func provenanceMark(at path: String) throws(SoradError) -> ProvenanceMark {
    do {
        let file = try FileDescriptor(openingForReading: path)
        let size = try file.regularFileSize()
        let head = try file.read(at: 0, count: 64)
        let format = try mediaFormat(of: head)
        guard format == .mp4 || format == .quickTime else {
            throw SoradError(.badInput, "the file is a \(format.name) \(format.isMovie ? "clip" : "picture"); give an MP4 clip")
        }
        guard size <= MediaLimits.clipBytes else {
            throw SoradError(.badInput, "the file has \(size) bytes, and \(MediaLimits.clipBytes) are accepted at most")
        }
        return try ProvenanceReader(size: size) { offset, count throws(SoradError) in
            do throws(Errno) { return try file.read(at: offset, count: count) } catch {
                throw SoradError(.internalFault, "cannot read the given file: \(error.reason)")
            }
        }.mark()
    } catch let error as Errno {
        throw SoradError(error.isNoSuchFile ? .notFound : .internalFault, "cannot read the given file: \(error.reason)")
    } catch let error as SoradError {
        throw error
    } catch { preconditionFailure("\(error)") }
}

/// Reads one MP4 file through `read`, which gets an offset and a number of bytes that lie within the file.
struct ProvenanceReader {
    let size: Int
    let read: (Int, Int) throws(SoradError) -> [UInt8]

    /// Bytes of a box that is read whole.
    private static let boxLimit = 16 << 20
    /// D8FEC3D6-1B0E-483C-9297-5828877EC481, C2PA's place in MP4.
    private static let manifestIdentifier: [UInt8] = [
        0xD8, 0xFE, 0xC3, 0xD6, 0x1B, 0x0E, 0x48, 0x3C, 0x92, 0x97, 0x58, 0x28, 0x87, 0x7E, 0xC4, 0x81,
    ]

    func mark() throws(SoradError) -> ProvenanceMark {
        let boxes = try MP4Box.walk(size: size, read: read)
        let index = boxes.first { $0.type == "moov" }
        guard boxes.first?.type == "ftyp", let index, boxes.contains(where: { $0.type == "mdat" }) else {
            throw SoradError(.badInput, "the MP4 file is damaged: it has no index, or no media")
        }
        var marks: [ProvenanceMark] = []
        for box in boxes where box.type == "uuid" && box.size >= 24 {
            let identifier = try read(box.offset + 8, 16)
            if identifier == ProvenanceReader.manifestIdentifier { marks.append(ProvenanceMark(state: .marked, evidence: ["c2pa"])) }
            guard identifier == MP4Box.xmpIdentifier else { continue }
            let content = box.size <= ProvenanceReader.boxLimit ? try read(box.offset + 24, box.size - 24) : []
            if let mark = ProvenanceMark(xmp: content) { marks.append(mark) }
            if let text = String(validating: content, as: UTF8.self), let label = xmpValue("TC260:AIGC", in: text, limit: 2_000),
                let mark = ProvenanceMark(aigc: label)
            {
                marks.append(mark)
            }
        }
        if index.size <= ProvenanceReader.boxLimit {
            let texts = MovieTexts(moov: try read(index.offset, index.size))
            if let mark = texts.comment.flatMap(ProvenanceMark.init(comment:)) { marks.append(mark) }
            if let mark = texts.aigc.flatMap(ProvenanceMark.init(aigc:)) { marks.append(mark) }
        }
        return ProvenanceMark(all: marks)
    }
}

/// The texts of an index that may be marks; nil where there is none, or anything on the way is not what it should be.
private struct MovieTexts {
    private(set) var comment: String?
    private(set) var aigc: String?

    /// moov/udta/meta, or moov/meta as QuickTime has it: iTunes's list (ilst/©cmt/data), or a list of keys and the values at their places.
    init(moov bytes: [UInt8]) {
        guard let moov = MovieTexts.child("moov", of: bytes) else { return }
        let places = [MovieTexts.child("udta", of: moov).flatMap { MovieTexts.child("meta", of: $0) }, MovieTexts.child("meta", of: moov)]
        for case let meta? in places {
            // Version and flags come first, but not in QuickTime's.
            for head in [4, 0] where meta.count > head {
                let content = Array(meta[head...])
                guard let list = MovieTexts.child("ilst", of: content) else { continue }
                let keys = MovieTexts.child("keys", of: content).map(MovieTexts.keys)
                read(list, keys)
                break
            }
        }
    }

    private mutating func read(_ list: [UInt8], _ keys: [String]?) {
        for box in (try? MP4Box.topLevel(of: list)) ?? [] where box.size >= 8 {
            let number = list[box.offset + 4..<box.offset + 8].reduce(0) { $0 << 8 | Int($1) }
            let name = keys.map { (1...$0.count).contains(number) ? $0[number - 1] : "" } ?? box.type
            // Of `data` the first eight bytes are type and language.
            guard let data = MovieTexts.child("data", of: Array(list[box.offset + 8..<box.offset + box.size])), data.count >= 8,
                let text = String(validating: data[8...], as: UTF8.self)
            else { continue }
            switch name {
            case "comment", "\u{FFFD}cmt": comment = comment ?? text
            case "AIGC": aigc = aigc ?? text
            default: break
            }
        }
    }

    /// The names of a `keys` box: after version, flags and number, each with its length and a namespace before it.
    private static func keys(_ content: [UInt8]) -> [String] {
        var names: [String] = []
        var rest = content.dropFirst(8)
        while rest.count >= 8, names.count < 1_000 {
            let size = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            guard size >= 8, size <= rest.count else { break }
            names.append(String(decoding: rest.prefix(size).dropFirst(8), as: UTF8.self))
            rest = rest.dropFirst(size)
        }
        return names
    }

    private static func child(_ type: String, of bytes: [UInt8]) -> [UInt8]? {
        guard let box = (try? MP4Box.topLevel(of: bytes))?.first(where: { $0.type == type }), box.size >= 8 else { return nil }
        return Array(bytes[box.offset + 8..<box.offset + box.size])
    }
}

extension ProvenanceMark {
    /// What several marks say together: the one that names a program counts before the others.
    init(all marks: [ProvenanceMark]) {
        let readable = marks.filter { $0.state == .marked }
        self = readable.first { $0.program != nil } ?? readable.first ?? marks.first ?? ProvenanceMark(state: .unmarked)
        evidence = marks.flatMap(\.evidence).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        producer = marks.compactMap(\.producer).first
        produceID = marks.compactMap(\.produceID).first
    }

    /// nil for a text that is not the label of GB 45438 with a member Label; "1" and "2" of it say that the content is, or may be,
    /// generated.
    package init?(aigc text: String) {
        guard let json = try? JSONValue(parsing: Array(text.utf8.prefix(4_000))), let label = json["Label"]?.string, !label.isEmpty else {
            return nil
        }
        self.init(state: .marked, evidence: ["aigc"])
        producer = json["ContentProducer"]?.string.flatMap(shown)
        produceID = json["ProduceID"]?.string.flatMap(shown)
    }

    /// nil for a packet that says nothing about the origin, or that a person or a camera made it.
    init?(xmp packet: [UInt8]) {
        guard let text = String(validating: packet, as: UTF8.self), text.contains("<rdf:RDF"), text.contains("</rdf:RDF>") else {
            self.init(state: .unreadable, evidence: ["xmp"])
            return
        }
        guard let source = xmpValue("DigitalSourceType", in: text), source.lowercased().hasSuffix("algorithmicmedia") else { return nil }
        let tool = xmpValue("CreatorTool", in: text)
        self.init(state: .marked, program: tool, evidence: ["xmp"])
        // "sorad 0.1.0 (sorad-mini)"
        if let tool, tool.hasSuffix(")"), let open = tool.lastIndex(of: "("), open > tool.startIndex {
            program = String(tool[..<tool.index(before: open)])
            model = String(tool[tool.index(after: open)...].dropLast())
        }
    }

    /// nil for any other comment than `Provenance` writes.
    init?(comment: String) {
        let opening = "Generated by AI: "
        guard comment.hasPrefix(opening) else { return nil }
        self.init(state: .marked, evidence: ["comment"])
        let words = comment.dropFirst(opening.count)
        if let place = words.firstRange(of: ", model ") {
            program = String(words[..<place.lowerBound])
            model = String(words[place.upperBound...])
        } else {
            program = String(words)
        }
    }
}

/// The value of a property, written as an attribute or as an element.
private func xmpValue(_ name: String, in text: String, limit: Int = 200) -> String? {
    guard let place = text.firstRange(of: name) else { return nil }
    let rest = text[place.upperBound...].drop(while: \.isWhitespace)
    if rest.first == ">" { return unescaped(rest.dropFirst().prefix { $0 != "<" }, limit) }
    let quoted = rest.dropFirst().drop(while: \.isWhitespace)
    guard rest.first == "=", let quote = quoted.first, quote == "\"" || quote == "'" else { return nil }
    return unescaped(quoted.dropFirst().prefix { $0 != quote }, limit)
}

/// A value that ends up in answers and logs; nil for an empty one.
private func shown(_ text: String) -> String? {
    let plain = String(text.prefix(200).map { $0.unicodeScalars.contains(where: \.commandsTerminal) ? " " : $0 })
    return plain.isEmpty ? nil : plain
}

/// At most `limit` characters, none of them a control character: they end up in answers and logs.
private func unescaped(_ text: Substring, _ limit: Int) -> String {
    var result = ""
    var rest = text.prefix(5 * limit)
    while let character = rest.first, result.count < limit {
        let entity = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")].first { rest.hasPrefix($0.0) }
        result += entity?.1 ?? (character.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control } ? String(character) : " ")
        rest = rest.dropFirst(entity?.0.count ?? 1)
    }
    return result
}
