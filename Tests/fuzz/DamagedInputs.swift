// Damaged copies of the kept inputs: what a fuzzer does first, bits, places and lengths. The same ones in every run.
import Glibc
import SoradSystem

enum DamagedInputs {
    private static let corpus = "/" + #filePath.split(separator: "/").dropLast().joined(separator: "/") + "/corpus"

    /// Copies of each kept input: 10,000 in all of the formats that the converter reads.
    private static let rounds = ["media": 400, "checkpoint": 72, "pickle": 72, "mlx": 72, "lora": 72, "folder": 72]

    /// The kept inputs of a target, by name.
    static func kept(_ target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let folder = "\(corpus)/\(target.name)"
        return try fileNames(in: folder).sorted().map { name in
            let file = try FileDescriptor(openingForReading: "\(folder)/\(name)")
            return (name, try file.read(at: 0, count: file.regularFileSize()))
        }
    }

    /// Calls `body` with every damaged copy and a name for it.
    static func each(of target: FuzzTarget, _ body: (_ name: String, _ bytes: [UInt8]) -> Void) throws {
        var random = SplitMix64(seed: 15)
        for (name, whole) in try kept(target) {
            for round in 0..<rounds[target.name, default: 8] where !whole.isEmpty {
                body("\(name), damage \(round)", damaged(whole, &random))
            }
        }
    }

    private static func damaged(_ whole: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        func below(_ count: Int) -> Int { count > 0 ? Int(random.next() % UInt64(count)) : 0 }
        var bytes = whole
        for _ in 0...below(3) where !bytes.isEmpty {
            let place = below(below(2) == 0 ? min(bytes.count, 400) : bytes.count)
            switch below(5) {
            case 0: bytes[place] ^= 1 << UInt8(below(8))
            case 1: for index in place..<min(place + 1 << below(4), bytes.count) { bytes[index] = [0, 0x7F, 0x80, 0xFF][below(4)] }
            case 2: bytes.removeSubrange(place..<min(bytes.count, place + 1 + below(64)))
            case 3: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 1 + below(64))], at: place)
            default: bytes.removeLast(below(bytes.count - place) + 1)
            }
        }
        return bytes
    }
}
