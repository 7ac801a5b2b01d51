// The directory of a zip archive of stored entries, as `torch.save` writes it. The heads of the entries have no sizes there (flag 8), so the
// directory at the end is what counts; a head only tells where its data begin.
//
// Invariant: entries have unique names, are stored without compression or encryption, lie inside the file and do not overlap.
// Format: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.3 (zip64).
import SoradSystem

struct ZipDirectory {
    /// Data of each entry by name.
    let entries: [String: MappedRange]

    private static let entryLimit = 1 << 17
    private static let directoryLimit = 64 << 20
    private static let endSize = 22
    private static let commentLimit = 65535

    init(_ file: MappedFile) throws(SoradError) {
        let place = "the zip archive \(file.path)"
        let (start, size, count) = try Self.directoryPlace(file, place)
        var reader = ByteReader(MappedRange(file: file, offset: start, count: size).array, place: place)
        var entries: [String: MappedRange] = [:]
        for _ in 0..<count {
            let (name, head, size) = try Self.entry(&reader)
            let range = try Self.data(file, place, name, head: head, size: size, before: start)
            guard entries.updateValue(range, forKey: name) == nil else { throw reader.bad("has the entry \(name) twice") }
        }
        var end = 0
        for (name, range) in entries.sorted(by: { ($0.value.offset, $0.value.count) < ($1.value.offset, $1.value.count) }) {
            guard range.offset >= end else { throw reader.bad("lets the entry \(name) overlap another") }
            end = range.offset + range.count
        }
        self.entries = entries
    }

    /// Where the directory lies, by the record at the end of the file or its zip64 form.
    private static func directoryPlace(_ file: MappedFile, _ place: String) throws(SoradError) -> (start: Int, size: Int, count: Int) {
        let tailSize = min(file.size, endSize + commentLimit)
        let tailStart = file.size - tailSize
        var reader = ByteReader(MappedRange(file: file, offset: tailStart, count: tailSize).array, place: place)
        guard tailSize >= endSize,
            let end = (0...(tailSize - endSize)).last(where: { reader.bytes[$0..<$0 + 4].elementsEqual([0x50, 0x4B, 5, 6]) })
        else { throw reader.bad("has no directory at its end: it is cut short or damaged") }
        try reader.move(to: end + 4)
        guard try reader.number(UInt32.self) == 0 else { throw reader.bad("is one part of several") }
        try reader.skip(2)
        var count = Int(try reader.number(UInt16.self))
        var size = Int(try reader.number(UInt32.self))
        var start = Int(try reader.number(UInt32.self))
        if count == 0xFFFF || size == 0xFFFF_FFFF || start == 0xFFFF_FFFF {
            (start, size, count) = try zip64Place(file, &reader, locator: end - 20, tailStart: tailStart)
        }
        guard count <= entryLimit, size <= directoryLimit else {
            throw reader.bad("claims a directory of \(count) entries and \(size) bytes; \(entryLimit) and \(directoryLimit) are possible")
        }
        guard start <= file.size, size <= file.size - start, count * 46 <= size else {
            throw reader.bad("has its directory outside itself")
        }
        return (start, size, count)
    }

    private static func zip64Place(_ file: MappedFile, _ tail: inout ByteReader, locator: Int, tailStart: Int) throws(SoradError) -> (
        start: Int, size: Int, count: Int
    ) {
        try tail.move(to: locator)
        guard try tail.number(UInt32.self) == 0x0706_4B50 else { throw tail.bad("has no zip64 directory where it names one") }
        try tail.skip(4)
        guard let record = Int(exactly: try tail.number(UInt64.self)), record <= file.size - 56 else {
            throw tail.bad("has its zip64 directory outside itself")
        }
        var reader = ByteReader(MappedRange(file: file, offset: record, count: 56).array, place: tail.place)
        guard try reader.number(UInt32.self) == 0x0606_4B50 else { throw reader.bad("has no zip64 directory where it names one") }
        try reader.skip(28)
        var numbers: [Int] = []
        for _ in 0..<3 {
            guard let number = Int(exactly: try reader.number(UInt64.self)) else {
                throw reader.bad("has its zip64 directory outside itself")
            }
            numbers.append(number)
        }
        return (numbers[2], numbers[1], numbers[0])
    }

    /// The next entry of the directory: name, position of its head, bytes of its data.
    private static func entry(_ reader: inout ByteReader) throws(SoradError) -> (name: String, head: Int, size: Int) {
        guard try reader.number(UInt32.self) == 0x0201_4B50 else { throw reader.bad("has a damaged directory") }
        try reader.skip(4)
        let flags = try reader.number(UInt16.self)
        let method = try reader.number(UInt16.self)
        try reader.skip(8)
        var numbers = [UInt64(try reader.number(UInt32.self)), UInt64(try reader.number(UInt32.self))]
        let (nameLength, extraLength) = (Int(try reader.number(UInt16.self)), Int(try reader.number(UInt16.self)))
        let commentLength = Int(try reader.number(UInt16.self))
        try reader.skip(8)
        numbers.append(UInt64(try reader.number(UInt32.self)))
        let name = try reader.text(nameLength)
        let extraEnd = reader.offset + extraLength
        // Sizes that do not fit stand in an extra field, those alone: data, stored data, position of the head.
        while extraEnd - reader.offset >= 4 {
            let (field, length) = (try reader.number(UInt16.self), Int(try reader.number(UInt16.self)))
            let fieldEnd = reader.offset + length
            guard fieldEnd <= extraEnd else { throw reader.bad("has a damaged extra field at \(name)") }
            if field == 1 {
                for index in [1, 0, 2] where numbers[index] == 0xFFFF_FFFF && fieldEnd - reader.offset >= 8 {
                    numbers[index] = try reader.number(UInt64.self)
                }
            }
            try reader.move(to: fieldEnd)
        }
        try reader.move(to: extraEnd)
        try reader.skip(commentLength)
        guard method == 0, numbers[0] == numbers[1] else {
            throw reader.bad("has the entry \(name) compressed, and only stored entries are read")
        }
        guard flags & 1 == 0 else { throw reader.bad("has the entry \(name) encrypted") }
        guard let size = Int(exactly: numbers[1]), let head = Int(exactly: numbers[2]) else {
            throw reader.bad("has \(name) outside itself")
        }
        return (name, head, size)
    }

    private static func data(
        _ file: MappedFile, _ place: String, _ name: String, head: Int, size: Int, before end: Int
    ) throws(SoradError) -> MappedRange {
        let outside = SoradError(
            .badInput, "\(place) has the entry \(name) outside itself: it is cut short or damaged", hint: "fetch the file again")
        guard head <= file.size - 30 else { throw outside }
        var reader = ByteReader(MappedRange(file: file, offset: head, count: 30).array, place: place)
        guard try reader.number(UInt32.self) == 0x0403_4B50 else { throw outside }
        try reader.skip(22)
        let start = head + 30 + Int(try reader.number(UInt16.self)) + Int(try reader.number(UInt16.self))
        guard start <= end, size <= end - start else { throw outside }
        return MappedRange(file: file, offset: start, count: size)
    }
}
