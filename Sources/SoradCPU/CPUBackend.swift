// Owns the threads, the kernel table and the kernels' scratch memory of the CPU backend; the operations are in its extensions.
//
// Invariant: work is split over rows, columns, heads or pixels, never over a sum, so no result depends on the thread count.
// Small operations run on the calling thread: waking another costs more than they do.
internal import CSoradKernels
public import SoradSystem
@_spi(HostMemory) public import SoradTensor

@safe public final class CPUBackend: ComputeBackend {
    public let instructionSet: InstructionSet
    let pool: ThreadPool
    let kernels: sorad_kernels
    /// One scratch block per thread, grown when an operation first needs more, and where each begins.
    private var scratch: [ByteBuffer]
    let scratchStarts: UnsafeMutablePointer<UnsafeMutableRawPointer>
    /// Room for the image that an int8 convolution reads, and lowest and highest value by thread, [threads, 2].
    var sharedImage = Tensor(Shape(0))
    let ranges: Tensor
    /// Within `alongRows`, and the operations that wait there; see CPUBackend+AlongRows.swift.
    var isAlongRows = false
    var waiting: [RowOperation] = []
    let chains: TaskChains

    /// - Parameters:
    ///   - threads: nil means as many as the CPUs that this process may use, and fewer while its quota pays for fewer.
    ///   - instructionSet: nil means what SORAD_ISA says, or the best there is.
    /// - Throws: `.configuration` when SORAD_ISA names no instruction set.
    public init(threads: Int? = nil, instructionSet: InstructionSet? = nil) throws(SoradError) {
        let chosen = if let instructionSet { instructionSet } else { try InstructionSet.fromEnvironment() }
        self.instructionSet = chosen
        unsafe kernels = chosen.kernels.pointee
        pool = threads.map { ThreadPool(threads: $0) } ?? ThreadPool(threads: ProcessorCount.affinity(), followsQuota: true)
        ranges = Tensor(Shape(pool.threadCount, 2))
        scratch = (0..<pool.threadCount).map { _ in ByteBuffer(count: 0) }
        unsafe scratchStarts = .allocate(capacity: scratch.count)
        for (thread, block) in scratch.enumerated() { unsafe (scratchStarts + thread).initialize(to: block.pointer()) }
        chains = TaskChains(most: pool.threadCount)
    }

    deinit { unsafe scratchStarts.deallocate() }

    public var description: String { "cpu \(instructionSet), \(pool.threadCount) thread\(pool.threadCount == 1 ? "" : "s")" }

    /// Makes sure that every thread has `count` bytes of scratch.
    func reserveScratch(_ count: Int) {
        for thread in scratch.indices where scratch[thread].count < count {
            scratch[thread] = ByteBuffer(count: count)
            unsafe scratchStarts[thread] = scratch[thread].pointer()
        }
    }

    /// Runs `body` over 0..<total cut into tasks of `step`, on all threads if the `cost` (multiply-adds, or ten times that in
    /// simple float operations) is worth it.
    func split(_ total: Int, step: Int, cost: Int, _ body: @escaping (_ range: Range<Int>, _ thread: Int) -> Void) {
        runWaiting()
        guard cost >= Self.parallelCost, pool.threadCount > 1, total > step else {
            body(0..<total, 0)
            return
        }
        pool.run((total + step - 1) / step) { task, thread in
            body(task * step..<min((task + 1) * step, total), thread)
        }
    }

    /// About ten microseconds of one core.
    static let parallelCost = 200_000

    /// A grain (rows, columns or elements of a task) that gives each thread about `perThread` tasks, in multiples of `unit`.
    func grain(_ total: Int, unit: Int = 1, perThread: Int = 4) -> Int {
        let tasks = pool.activeCount * perThread
        let units = (total + unit - 1) / unit
        return max(1, (units + tasks - 1) / tasks) * unit
    }
}
