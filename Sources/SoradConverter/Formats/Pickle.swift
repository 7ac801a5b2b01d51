// Reads the pickles of `torch.save`. A pickle is a program for a small stack machine that may call anything; this machine calls nothing. It
// knows the opcodes of dictionaries, lists, tuples, numbers and texts, and the few names by which torch describes tensors; any other name or
// opcode is refused by name. Source: the module pickletools of Python; torch/serialization.py, torch/_utils.py.
//
// Invariant: the work is bounded by the length of the pickle. Containers live in tables and values name them by number, so that nothing is
// copied, and a pickle that contains itself or nests without end is as good as another.
package import SoradSystem

/// A value of a pickle.
enum PickleValue {
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case text(String)
    /// Numbers in the machine's tables.
    case tuple(Int)
    case dictionary(Int)
    /// Lists are not looked into.
    case list
    /// "module.name", one of the known ones.
    case global(String)
    case storage(PickledStorage)
    case tensor(PickledTensor)
    /// Something that torch keeps besides tensors and that says nothing about them.
    case other
}

/// Where the elements of tensors lie: `count` of `type` in the entry `key`.
struct PickledStorage {
    /// As safetensors spells it; empty for bytes whose type the tensor says.
    let type: String
    let key: String
    let count: Int
}

/// A part of a storage, in elements.
struct PickledTensor {
    let storage: PickledStorage
    let type: String
    let offset: Int
    let shape: [Int]
    let strides: [Int]
}

package struct Pickle {
    let root: PickleValue
    /// Items of each dictionary in order, by number.
    let dictionaries: [[(key: PickleValue, value: PickleValue)]]

    /// - Parameter place: what errors call the pickle.
    package init(_ bytes: [UInt8], place: String) throws(SoradError) {
        var machine = PickleMachine(bytes, place: place)
        root = try machine.run()
        dictionaries = machine.dictionaries
    }
}

private struct PickleMachine {
    private var reader: ByteReader
    private var stack: [PickleValue] = []
    /// Heights of the stack at the marks.
    private var marks: [Int] = []
    private var memo: [Int: PickleValue] = [:]
    private(set) var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []
    private var tuples: [[PickleValue]] = []

    private static let storages = [
        "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "DoubleStorage": "F64", "LongStorage": "I64",
        "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8", "BoolStorage": "BOOL",
    ]
    private static let dtypes = [
        "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64", "int32": "I32", "int16": "I16",
        "int8": "I8", "uint8": "U8", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    ]
    private static let globals: Set<String> = Set(
        ["torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_parameter", "torch.Size"]
            + ["collections.OrderedDict", "torch.storage.UntypedStorage"] + storages.keys.map { "torch.\($0)" }
            + dtypes.keys.map { "torch.\($0)" })

    init(_ bytes: [UInt8], place: String) { reader = ByteReader(bytes, place: place) }

    mutating func run() throws(SoradError) -> PickleValue {
        while true {
            let opcode = try reader.number(UInt8.self)
            if opcode == UInt8(ascii: ".") {
                guard marks.isEmpty, stack.count == 1 else { throw reader.bad("ends with \(stack.count) values instead of one") }
                return stack[0]
            }
            try step(opcode)
        }
    }

    private mutating func step(_ opcode: UInt8) throws(SoradError) {
        switch opcode {
        case 0x80:  // PROTO
            let version = try reader.number(UInt8.self)
            guard (2...5).contains(version) else { throw reader.bad("is of version \(version), and 2 to 5 are read") }
        case 0x95: try reader.skip(8)  // FRAME
        case UInt8(ascii: "("): marks.append(stack.count)
        case UInt8(ascii: "0"): _ = try pop()
        case UInt8(ascii: "N"): stack.append(.none)
        case 0x88: stack.append(.bool(true))
        case 0x89: stack.append(.bool(false))
        case UInt8(ascii: "K"): stack.append(.integer(Int(try reader.number(UInt8.self))))
        case UInt8(ascii: "M"): stack.append(.integer(Int(try reader.number(UInt16.self))))
        case UInt8(ascii: "J"): stack.append(.integer(Int(try reader.number(Int32.self))))
        case 0x8A: stack.append(.integer(try longInteger()))
        case UInt8(ascii: "G"): stack.append(.float(Double(bitPattern: try reader.number(UInt64.self).byteSwapped)))
        case UInt8(ascii: "X"): stack.append(.text(try reader.text(Int(try reader.number(UInt32.self)))))
        case 0x8C: stack.append(.text(try reader.text(Int(try reader.number(UInt8.self)))))
        case UInt8(ascii: "}"): pushDictionary()
        case UInt8(ascii: "]"): stack.append(.list)
        case UInt8(ascii: ")"): pushTuple([])
        case UInt8(ascii: "t"): pushTuple(try popToMark())
        case 0x85...0x87: pushTuple(try pop(Int(opcode) - 0x84))
        case UInt8(ascii: "s"):
            let pair = try pop(2)
            try set([pair[0], pair[1]])
        case UInt8(ascii: "u"): try set(try popToMark())
        case UInt8(ascii: "a"):
            _ = try pop()
            try requireList()
        case UInt8(ascii: "e"):
            _ = try popToMark()
            try requireList()
        case UInt8(ascii: "q"): memo[Int(try reader.number(UInt8.self))] = try top()
        case UInt8(ascii: "r"): memo[Int(try reader.number(UInt32.self))] = try top()
        case 0x94: memo[memo.count] = try top()  // MEMOIZE
        case UInt8(ascii: "h"): try get(Int(try reader.number(UInt8.self)))
        case UInt8(ascii: "j"): try get(Int(try reader.number(UInt32.self)))
        case UInt8(ascii: "c"): stack.append(.global(try global(try line(), try line())))
        case 0x93:  // STACK_GLOBAL
            let names = try pop(2)
            guard case .text(let module) = names[0], case .text(let name) = names[1] else { throw reader.bad("names a thing by no text") }
            stack.append(.global(try global(module, name)))
        case UInt8(ascii: "Q"): stack.append(.storage(try storage(try pop())))
        case UInt8(ascii: "R"):
            let call = try pop(2)
            stack.append(try rebuilt(call[0], call[1]))
        case UInt8(ascii: "b"): _ = try pop()  // BUILD: attributes, such as a dictionary's _metadata
        default:
            throw reader.bad("has the opcode 0x\(String(opcode, radix: 16)) at byte \(reader.offset - 1), which describes no weights")
        }
    }

    // MARK: stack

    private func top() throws(SoradError) -> PickleValue {
        guard let value = stack.last, stack.count > (marks.last ?? 0) else { throw reader.bad("takes a value where there is none") }
        return value
    }

    private mutating func pop() throws(SoradError) -> PickleValue {
        let value = try top()
        stack.removeLast()
        return value
    }

    private mutating func pop(_ count: Int) throws(SoradError) -> [PickleValue] {
        guard stack.count - count >= marks.last ?? 0 else { throw reader.bad("takes a value where there is none") }
        defer { stack.removeLast(count) }
        return Array(stack.suffix(count))
    }

    private mutating func popToMark() throws(SoradError) -> [PickleValue] {
        guard let mark = marks.popLast() else { throw reader.bad("takes values to a mark where there is none") }
        defer { stack.removeLast(stack.count - mark) }
        return Array(stack[mark...])
    }

    private mutating func get(_ number: Int) throws(SoradError) {
        guard let value = memo[number] else { throw reader.bad("takes the value \(number), which it has not stored") }
        stack.append(value)
    }

    private mutating func pushDictionary() {
        stack.append(.dictionary(dictionaries.count))
        dictionaries.append([])
    }

    private mutating func pushTuple(_ parts: [PickleValue]) {
        stack.append(.tuple(tuples.count))
        tuples.append(parts)
    }

    private func requireList() throws(SoradError) {
        guard case .list = try top() else { throw reader.bad("appends to something that is no list") }
    }

    private mutating func set(_ items: [PickleValue]) throws(SoradError) {
        guard case .dictionary(let number) = try top(), items.count % 2 == 0 else {
            throw reader.bad("sets items of something that is no dictionary")
        }
        for i in stride(from: 0, to: items.count, by: 2) { dictionaries[number].append((items[i], items[i + 1])) }
    }

    // MARK: values

    private mutating func line() throws(SoradError) -> String {
        guard let end = reader.bytes[reader.offset...].prefix(200).firstIndex(of: UInt8(ascii: "\n")) else {
            throw reader.bad("has a name without an end")
        }
        let text = try reader.text(end - reader.offset)
        try reader.skip(1)
        return text
    }

    private mutating func longInteger() throws(SoradError) -> Int {
        let bytes = try reader.take(Int(try reader.number(UInt8.self)))
        guard bytes.count <= 8 else { throw reader.bad("has a number of \(bytes.count) bytes") }
        var value: UInt64 = bytes.last.map { $0 & 0x80 != 0 } == true ? .max : 0
        for byte in bytes.reversed() { value = value << 8 | UInt64(byte) }
        return Int(Int64(bitPattern: value))
    }

    private func global(_ module: String, _ name: String) throws(SoradError) -> String {
        let full = "\(module).\(name)"
        guard Self.globals.contains(full) else {
            throw SoradError(
                .badInput, "\(reader.place) names \"\(full.filter { $0.isASCII && !$0.isNewline })\", which describes no weights",
                hint: "it may run code in other programs; fetch the weights as safetensors")
        }
        return full
    }

    /// The description behind a persistent id: ("storage", type, key, device, elements).
    private func storage(_ id: PickleValue) throws(SoradError) -> PickledStorage {
        guard let parts = parts(of: id), parts.count == 5, case .text("storage") = parts[0], case .global(let type) = parts[1],
            case .text(let key) = parts[2], case .integer(let count) = parts[4], count >= 0
        else { throw reader.bad("describes a storage in an unknown way") }
        if type == "torch.storage.UntypedStorage" { return PickledStorage(type: "", key: key, count: count) }
        guard let dtype = Self.storages[String(type.dropFirst("torch.".count))] else {
            throw reader.bad("describes a storage in an unknown way")
        }
        return PickledStorage(type: dtype, key: key, count: count)
    }

    /// What a call describes; the call itself is not made.
    private mutating func rebuilt(_ callee: PickleValue, _ arguments: PickleValue) throws(SoradError) -> PickleValue {
        guard case .global(let name) = callee, let arguments = parts(of: arguments) else { throw reader.bad("calls something unknown") }
        switch name {
        case "collections.OrderedDict" where arguments.isEmpty:
            pushDictionary()
            return try pop()
        case "torch.Size": return .other
        case "torch._utils._rebuild_parameter":
            guard let first = arguments.first, case .tensor = first else {
                throw reader.bad("has a parameter of something that is no tensor")
            }
            return first
        case "torch._utils._rebuild_tensor_v2" where (5...7).contains(arguments.count): return try tensor(arguments, type: nil)
        case "torch._utils._rebuild_tensor_v3" where arguments.count >= 7: return try tensor(arguments, type: arguments[6])
        default: throw reader.bad("calls \(name), which describes no weights so")
        }
    }

    private func tensor(_ arguments: [PickleValue], type: PickleValue?) throws(SoradError) -> PickleValue {
        guard case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1], offset >= 0,
            let shape = integers(arguments[2]), let strides = integers(arguments[3]), shape.count == strides.count
        else { throw reader.bad("describes a tensor in an unknown way") }
        var dtype = storage.type
        if let type {
            guard case .global(let name) = type, let known = Self.dtypes[String(name.dropFirst("torch.".count))] else {
                throw reader.bad("describes a tensor of an unknown type")
            }
            dtype = known
        }
        guard !dtype.isEmpty else { throw reader.bad("describes a tensor of an unknown type") }
        return .tensor(PickledTensor(storage: storage, type: dtype, offset: offset, shape: shape, strides: strides))
    }

    private func parts(of value: PickleValue) -> [PickleValue]? { if case .tuple(let number) = value { tuples[number] } else { nil } }

    private func integers(_ value: PickleValue) -> [Int]? {
        guard let parts = parts(of: value), parts.count <= 8 else { return nil }
        var integers: [Int] = []
        for part in parts {
            guard case .integer(let number) = part, number >= 0 else { return nil }
            integers.append(number)
        }
        return integers
    }
}
