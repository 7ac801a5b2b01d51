// Which fields a route knows, and what becomes of all others: none is dropped in silence. The rules, in their order:
// - a field that another dialect has for one of the route's is refused with the name to use, unless that one came too and says the same;
// - a field that means something on another route, or asks for what no model can do, is refused with the reason;
// - a slip of the finger is refused with the name that was meant;
// - any other is taken, has no effect, and is listed in the answer.
// Pure.
import SoradSystem

public struct FieldTable: Sendable {
    /// A field that is none of the route's own.
    public enum Foreign: Sendable, Equatable {
        /// Another name of this field.
        case name(String)
        /// Asks for this, which nothing here can do ("LoRA adapters"), unless its value is one of `fine`: what is done anyway.
        case unsupported(String, instead: String = "leave it out", fine: Set<String> = [])
        /// Belongs elsewhere, or to no clip: a clause after the field's name, e.g. "belongs to /v1/videos/extensions".
        case misplaced(String)
        /// May be left without effect.
        case harmless
    }

    /// The route's fields.
    public let known: Set<String>
    /// Members of fields that may be objects.
    private let members: [String: FieldTable]
    /// By folded name.
    private let foreign: [String: Foreign]
    /// Names that a slip may have been meant for, with the length of the folded name.
    private let knownNames: [(name: String, length: Int)]
    private let foreignNames: [(name: String, length: Int)]

    /// - Parameters:
    ///   - members: the members of fields that may be objects, by the field's name.
    ///   - foreign: by name, however it is written (`foldedName`).
    public init(_ known: Set<String>, members: [String: FieldTable] = [:], foreign: [String: Foreign] = [:]) {
        self.known = known
        self.members = members
        var folded: [String: Foreign] = [:]
        for (name, meaning) in foreign where !known.contains(name) { folded[foldedName(name)] = meaning }
        self.foreign = folded
        func measured(_ names: some Sequence<String>) -> [(name: String, length: Int)] {
            names.sorted().map { ($0, foldedName($0).count) }
        }
        knownNames = measured(known)
        // Short names are near to too many words.
        foreignNames = measured(foreign.keys).filter { $0.length >= 6 }
    }

    /// The meaning of a name that the route does not know; nil for one that nobody knows.
    /// - Parameter judgesSlips: false for the last of too many names, because each costs a look at all others.
    func meaning(of name: String, judgesSlips: Bool = true) -> Foreign? {
        let folded = foldedName(name)
        if let same = known.first(where: { foldedName($0) == folded }) { return .name(same) }
        if let found = foreign[folded] {
            // The field behind another name may itself be none of this route's.
            if case .name(let target) = found, !known.contains(target) { return foreign[foldedName(target)] ?? found }
            return found
        }
        guard judgesSlips, folded.count <= FieldTable.longestSlip else { return nil }
        func near(_ names: [(name: String, length: Int)]) -> String? {
            nearestName(to: name, among: names.filter { abs($0.length - folded.count) <= 2 }.map(\.name))
        }
        if let near = near(knownNames) { return .name(near) }
        // Another word at the front is another thing: a mask_image is no last_image.
        guard let near = near(foreignNames), foldedName(near).first == folded.first else { return nil }
        if case .harmless? = foreign[foldedName(near)] { return nil }
        return meaning(of: near)
    }

    private static let longestSlip = 40
}

extension Fields {
    private static let listedNames = 32

    /// Refuses fields that ask for something which would not be done.
    /// - Returns: the names of those that have no effect, at most 32.
    public func unused(by table: FieldTable) throws(APIError) -> [String] {
        var unused: [String] = []
        for name in names where has(name) {
            if table.known.contains(name) { continue }
            switch table.meaning(of: name, judgesSlips: unused.count < Fields.listedNames) {
            case .name(let target)? where !(has(target) && members[name]?.isSame(as: members[target]) == true):
                throw refused(name, "is unknown here; the name is \"\(target)\"", code: "unknown_parameter")
            case .unsupported(let what, let instead, let fine)? where members[name]?.asksForNothing(but: fine) != true:
                throw refused(name, "asks for \(what), which is not supported here; \(instead)", code: "unsupported_parameter")
            case .misplaced(let clause)?: throw refused(name, clause, code: "unsupported_parameter")
            case .name?, .unsupported?, .harmless?, nil: unused.append(String(name.prefix(64)))
            }
        }
        for (name, inner) in table.memberTables {
            guard let object = try? object(name) else { continue }
            unused += try object.unused(by: inner).map { "\(name).\($0)" }
        }
        return Array(unused.prefix(Fields.listedNames))
    }

    private func refused(_ name: String, _ problem: String, code: String) -> APIError {
        let shown = name.prefix(64)
        return APIError(.badRequest, "the field \"\(prefix)\(shown)\" \(problem)", param: "\(prefix)\(shown)", code: code)
    }
}

extension FieldTable {
    fileprivate var memberTables: [(name: String, table: FieldTable)] {
        members.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}

extension Fields.Value {
    /// The same number, truth value or text, whether it came as text or not.
    fileprivate func isSame(as other: Fields.Value?) -> Bool {
        guard let text = scalarText, let other = other?.scalarText else { return false }
        return text == other || (Double(text).map { $0 == Double(other) } ?? false)
    }

    private var scalarText: String? {
        switch self {
        case .bool(let bool): bool ? "true" : "false"
        case .number(let number): number.text
        case .text(let text): text
        case .null, .list, .object, .file: nil
        }
    }

    /// A way to write that something is not wanted, or one of `fine`.
    fileprivate func asksForNothing(but fine: Set<String>) -> Bool {
        switch self {
        case .null, .bool(false): true
        case .number(let number): number.double == 0
        case .text(let text): ["", "0", "false", "none", "off", "no"].contains(text.lowercased()) || fine.contains(text.lowercased())
        case .list(let list): list.isEmpty
        case .object(let members): members.isEmpty
        case .bool, .file: false
        }
    }
}
