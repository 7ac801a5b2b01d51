// Work on many tensors by several threads, whose results come in the order of the tensors: the same conversion, in less time. No thread runs
// far ahead of the one that takes the results, so that few of them lie in memory.
import Glibc
import SoradSystem
import Synchronization

/// Results of `work` on items 0..<count, taken one by one by several threads.
final class ParallelWork<Output: Sendable>: Sendable {
    private struct State {
        var results: [Int: Result<Output, SoradError>] = [:]
        /// The first item that failed; none behind it is begun.
        var failed: Int?
        /// The next item to begin, and how many were taken.
        var next = 0, taken = 0
    }

    private enum Chance {
        case begin(Int), wait, end
    }

    private let count: Int
    private let work: @Sendable (Int) throws(SoradError) -> Output
    /// Items that may be done before they are taken.
    private let ahead: Int
    private let state = Mutex(State())

    private init(_ count: Int, ahead: Int, _ work: @escaping @Sendable (Int) throws(SoradError) -> Output) {
        self.count = count
        self.ahead = ahead
        self.work = work
    }

    /// - Parameters:
    ///   - threads: at least 1, the calling one included.
    ///   - work: of one item; called by several threads at once.
    ///   - take: gets each result in the order of the items, on the calling thread, now and then and at the end.
    /// - Throws: what `work` throws of the first item that fails, behind the results before it; what `take` throws.
    static func run(
        _ count: Int, threads: Int, work: @escaping @Sendable (Int) throws(SoradError) -> Output,
        take: (Int, Output) throws(SoradError) -> Void
    ) throws(SoradError) {
        let own = ParallelWork(count, ahead: 2 * max(1, threads), work)
        let others = (1..<max(1, min(threads, count))).compactMap { _ in
            // With fewer threads it takes longer, and no more. Quantization keeps large arrays, not large frames.
            try? SystemThread(name: "convert", stackSize: 2 << 20) { while own.doOne() {} }
        }
        var taken = 0
        var failure: SoradError?
        func takeFinished() throws(SoradError) {
            while let result = own.state.withLock({ $0.results.removeValue(forKey: taken) }) {
                switch result {
                case .success(let output): try take(taken, output)
                case .failure(let error): throw error
                }
                taken += 1
                own.state.withLock { $0.taken = taken }
            }
        }
        do throws(SoradError) {
            while own.doOne() { try takeFinished() }
        } catch { failure = error }
        own.state.withLock { if failure != nil { $0.failed = 0 } }
        for thread in others { thread.join() }
        if let failure { throw failure }
        try takeFinished()
    }

    /// Does one item, or waits a moment for those before it; false when there is none left.
    private func doOne() -> Bool {
        let chance = state.withLock { state -> Chance in
            guard state.next < count, state.failed.map({ state.next < $0 }) ?? true else { return .end }
            guard state.next < state.taken + ahead else { return .wait }
            defer { state.next += 1 }
            return .begin(state.next)
        }
        switch chance {
        case .end: return false
        case .wait: usleep(1000)
        case .begin(let index):
            let result: Result<Output, SoradError>
            do throws(SoradError) { result = .success(try work(index)) } catch { result = .failure(error) }
            state.withLock { state in
                state.results[index] = result
                if case .failure = result { state.failed = min(state.failed ?? index, index) }
            }
        }
        return true
    }
}

extension ParallelWork where Output == Never {
    /// Threads for work of which each item takes `bytes` of memory: as many as there are CPUs, and as fit.
    static func threads(itemBytes bytes: Int) -> Int {
        let free = MemoryHeadroom.ofThisProcess()?.available ?? 1 << 30
        return max(1, min(ProcessorCount.usable(), free / 2 / max(1, bytes), 16))
    }
}
