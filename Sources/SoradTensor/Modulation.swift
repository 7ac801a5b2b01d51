// Owns per-token modulation (adaLN): tokens with the same timestep are scaled, shifted and gated by the same vectors, so a few vectors
// serve all rows.

/// Which of a few groups each row belongs to, as runs of neighboring rows.
public struct ModulationGroups: Sendable, Equatable {
    public struct Run: Sendable, Equatable {
        public let rows: Range<Int>
        public let group: Int

        public init(rows: Range<Int>, group: Int) {
            self.rows = rows
            self.group = group
        }
    }
    public private(set) var runs: [Run] = []

    public init() {}

    /// All rows in group 0.
    public init(all rows: Int) { append(rows, group: 0) }

    /// Adds `count` rows of `group` at the end.
    public mutating func append(_ count: Int, group: Int) {
        guard count > 0 else { return }
        if let last = runs.last, last.group == group {
            runs[runs.count - 1] = Run(rows: last.rows.lowerBound..<last.rows.upperBound + count, group: group)
        } else {
            runs.append(Run(rows: rowCount..<rowCount + count, group: group))
        }
    }

    public var rowCount: Int { runs.last?.rows.upperBound ?? 0 }

    /// The groups of the same rows `times` over.
    public func repeated(_ times: Int) -> ModulationGroups {
        var all = ModulationGroups()
        for _ in 0..<times {
            for run in runs { all.append(run.rows.count, group: run.group) }
        }
        return all
    }

    /// The part of `runs` within `rows`, counted from its first row.
    public func within(_ rows: Range<Int>) -> ModulationGroups {
        var part = ModulationGroups()
        for run in runs { part.append(run.rows.clamped(to: rows).count, group: run.group) }
        return part
    }
}

/// A vector [K] for every row: that of the row's group.
public struct RowModulation {
    /// [groups, vectors, K]
    public let table: Tensor
    /// Which of the vectors.
    public let index: Int
    public let groups: ModulationGroups

    public init(_ table: Tensor, _ index: Int, _ groups: ModulationGroups) {
        precondition(
            table.shape.rank == 3 && index < table.shape[1] && groups.runs.allSatisfy { $0.group < table.shape[0] },
            "vector \(index) of \(table.shape)")
        self.table = table
        self.index = index
        self.groups = groups
    }

    /// The vector of one group.
    public func vector(group: Int) -> Tensor {
        let width = table.shape[2]
        return Tensor(Shape(width), buffer: table.buffer, offset: table.offset + (group * table.shape[1] + index) * width * 4)
    }
}
