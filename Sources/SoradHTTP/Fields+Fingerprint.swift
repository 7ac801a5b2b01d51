// A digest of a request's fields: the same for the same fields, in whatever order, whatever the multipart boundary.
// Invariant: every value is written with its kind and its length, so that no two different requests write the same bytes.
public import SoradSystem

extension Fields {
    /// 64 hexadecimal digits over `route` and all fields, files with their contents and without their names.
    public func fingerprint(of route: String) throws(SoradError) -> String {
        var sum = SHA256()
        sum.add("route", Array(route.utf8))
        try Fields.add(.object(members), to: &sum)
        return SHA256.hexadecimal(sum.finalize())
    }

    private static func add(_ value: Value, to sum: inout SHA256) throws(SoradError) {
        switch value {
        case .null: sum.add("null", [])
        case .bool(let bool): sum.add("bool", [bool ? 1 : 0])
        case .number(let number): sum.add("number", Array(number.text.utf8))
        case .text(let text): sum.add("text", Array(text.utf8))
        case .list(let values):
            sum.add("list", Array("\(values.count)".utf8))
            for value in values { try add(value, to: &sum) }
        case .object(let members):
            sum.add("object", Array("\(members.count)".utf8))
            for (key, value) in members.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                sum.add("key", Array(key.utf8))
                try add(value, to: &sum)
            }
        case .file(let upload): sum.add("file", try upload.digest())
        }
    }
}

extension SHA256 {
    fileprivate mutating func add(_ kind: String, _ bytes: [UInt8]) {
        update(Array("\(kind) \(bytes.count)\n".utf8))
        update(bytes)
    }
}
