// Owns operations that wait: between the packings of an attention every operation of a small model works on rows of its own, so each
// thread takes a band of rows through several operations, and the threads meet once instead of after each.
//
// Invariant: within a band operations run in the order in which they were handed over, each on exactly the rows that it would have alone;
// no kernel's result depends on which rows it is called for, so no bit depends on the bands.
/// An operation of M rows, cut into tasks of some rows and of one of `columns` parts of the row.
struct RowOperation {
    let rows: Int
    /// Rows of a task, a multiple of the kernels' unit.
    let step: Int
    let columns: Int
    /// What it does, made for each band again: threads count references to a shared object together, and that takes longer than a
    /// small task.
    let body: () -> (_ rows: Range<Int>, _ column: Int, _ thread: Int) -> Void

    func tasks(_ band: Range<Int>) -> Int { (band.count + step - 1) / step * columns }

    /// Down a column first: its weights are then still near.
    func tasks(of band: Range<Int>) -> (_ task: Int, _ thread: Int) -> Void {
        let (step, body) = (step, body())
        let down = (band.count + step - 1) / step
        return { task, thread in
            let first = band.lowerBound + task % down * step
            body(first..<min(first + step, band.upperBound), task / down, thread)
        }
    }
}

extension CPUBackend {
    public func alongRows(_ operations: () -> Void) {
        guard pool.activeCount > 1, !isAlongRows else { return operations() }
        isAlongRows = true
        operations()
        runWaiting()
        isAlongRows = false
    }

    /// Whether an operation waits for others of the same rows. Those of wide models take longer than the threads take to meet, and read
    /// weights that threads should read together.
    func waits(rows: Int, width: Int) -> Bool {
        isAlongRows && width <= Self.widestRow && rows >= 2 * pool.activeCount * rowGranularity
    }

    /// Inputs times outputs up to which a linear layer waits likewise.
    static let mostWeights = 1 << 20
    private static let widestRow = 1024

    func wait(_ operation: RowOperation) {
        if let first = waiting.first, first.rows != operation.rows { runWaiting() }
        waiting.append(operation)
    }

    /// Runs what waits; before any operation that does not.
    func runWaiting() {
        guard let rows = waiting.first?.rows else { return }
        let operations = waiting
        waiting.removeAll(keepingCapacity: true)
        let active = pool.activeCount
        let units = (rows + rowGranularity - 1) / rowGranularity
        let bands = (0..<active).map { band in
            min(rows, units * band / active * rowGranularity)..<min(rows, units * (band + 1) / active * rowGranularity)
        }
        let steps = bands.map { band in operations.map { $0.tasks(of: band) } }
        chains.run(bands.map { band in operations.map { $0.tasks(band) } }, on: pool) { band, step, task, thread in
            steps[band][step](task, thread)
        }
    }
}
