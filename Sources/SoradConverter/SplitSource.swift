// Queries, keys and values that a checkpoint keeps in one matrix, as the three that layouts ask for.
import SoradSystem

/// A source whose `….qkv` tensors are three of a third of their rows each: `….q_proj`, `….k_proj`, `….v_proj`.
struct SplitSource: TensorSource {
    private let source: any TensorSource
    /// The joined tensor and the place of the part, by the part's name.
    private var parts: [String: (name: String, index: Int)] = [:]

    private static let names = ["q_proj", "k_proj", "v_proj"]

    init(_ source: any TensorSource) throws(SoradError) {
        self.source = source
        for name in source.names.sorted() {
            guard let joint = ["weight", "bias"].first(where: { name.hasSuffix(".qkv." + $0) }) else { continue }
            guard let rows = source.shape(of: name)?.first, rows % 3 == 0 else {
                throw SoradError(.badInput, "\(source.path): the tensor \(name) has no rows for queries, keys and values")
            }
            let stem = name.dropLast("qkv.".utf8.count + joint.utf8.count)
            for (index, part) in Self.names.enumerated() { parts["\(stem)\(part).\(joint)"] = (name, index) }
        }
    }

    var path: String { source.path }
    var names: [String] {
        let joined = Set(parts.values.map(\.name))
        return source.names.filter { !joined.contains($0) } + parts.keys
    }

    func shape(of name: String) -> [Int]? {
        guard let part = parts[name] else { return source.shape(of: name) }
        return source.shape(of: part.name).map { [$0[0] / 3] + $0.dropFirst() }
    }

    func location(of name: String) -> String { source.location(of: parts[name]?.name ?? name) }
    func range(of name: String) -> MappedRange? { source.range(of: parts[name]?.name ?? name) }

    func floats(of name: String, in range: Range<Int>) throws(SoradError) -> [Float] {
        guard let part = parts[name], let count = shape(of: name)?.reduce(1, *) else { return try source.floats(of: name, in: range) }
        return try source.floats(of: part.name, in: range.lowerBound + part.index * count..<range.upperBound + part.index * count)
    }

    func int8Rows(of name: String) throws(SoradError) -> Int8Rows? { parts[name] == nil ? try source.int8Rows(of: name) : nil }
}
