// Reads required members and says which one is missing.
import SoradSystem

struct JSONMembers {
    let value: JSONValue
    let name: String

    /// `name` is the value's name in errors, e.g. "video".
    init(_ value: JSONValue, of name: String) {
        self.value = value
        self.name = name
    }

    func string(_ key: String) throws(JSONError) -> String {
        guard let string = value[key]?.string else { throw JSONError("the \(name) has no text \"\(key)\"") }
        return string
    }

    func integer(_ key: String) throws(JSONError) -> Int {
        guard let integer = value[key]?.integer else { throw JSONError("the \(name) has no integer \"\(key)\"") }
        return integer
    }

    func array(_ key: String) throws(JSONError) -> [JSONValue] {
        guard let array = value[key]?.array else { throw JSONError("the \(name) has no list \"\(key)\"") }
        return array
    }

    func expect(_ key: String, _ expected: String) throws(JSONError) {
        guard value[key]?.string == expected else { throw JSONError("the \(name) does not say \"\(key)\": \"\(expected)\"") }
    }
}
