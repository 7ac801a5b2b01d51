import Glibc
import SoradCPU
import SoradTensor
import Synchronization
import Testing

@Suite struct ThreadPoolTests {
    @Test(arguments: [1, 2, 3, 7]) func everyPieceIsDoneExactlyOnce(threads: Int) {
        let pool = ThreadPool(threads: threads)
        let done = (0..<64).map { _ in Counter() }
        for round in 1...2000 {
            let tasks = 1 + round % 64
            pool.run(tasks) { task, thread in
                precondition(thread < threads)
                done[task].value.add(1, ordering: .relaxed)
            }
            let finished = done[tasks - 1].value.load(ordering: .relaxed)
            #expect(finished >= 1, "run returned before task \(tasks - 1) of round \(round) was done")
        }
        // Piece p takes part in every round whose count is above p.
        for (task, counter) in done.enumerated() {
            let expected = (1...2000).filter { 1 + $0 % 64 > task }.count
            #expect(counter.value.load(ordering: .relaxed) == expected, "task \(task)")
        }
    }

    /// While one thread is held up in its queue, the others do theirs, and what is left of its too.
    @Test(arguments: [2, 3, 7]) func eachThreadBeginsWithAShareOfItsOwn(threads: Int) {
        // All of them must come, however busy the machine is.
        let pool = ThreadPool(threads: threads, adapts: false)
        for _ in 0..<50 {
            let (begun, done, astray) = (Counter(), Counter(), Counter())
            pool.run(4 * threads) { task, thread in
                // The first of a queue.
                if task % 4 == 0 {
                    if task != 4 * thread { astray.value.add(1, ordering: .relaxed) }
                    begun.value.add(1, ordering: .sequentiallyConsistent)
                    while begun.value.load(ordering: .sequentiallyConsistent) < threads {}
                }
                // The caller waits in its first task for all tasks but those that others are in.
                if task == 0 { while done.value.load(ordering: .sequentiallyConsistent) < 4 * threads - 1 {} }
                done.value.add(1, ordering: .sequentiallyConsistent)
            }
            #expect(astray.value.load(ordering: .relaxed) == 0)
            #expect(done.value.load(ordering: .relaxed) == 4 * threads)
        }
    }

    @Test func resultsOfPiecesAreSeenByTheCaller() {
        let pool = ThreadPool(threads: 2)
        let sums = Tensor(Shape(8))
        for round in 0..<500 {
            pool.run(8) { task, _ in
                sums.withMutableElements { $0[task] = Float(round * 8 + task) }
            }
            #expect(sums.elements == (0..<8).map { Float(round * 8 + $0) })
        }
    }

    @Test(arguments: [2, 3, 7]) func threadsThatHoldUpTheOthersAreDroppedAndNothingIsLost(threads: Int) {
        let pool = ThreadPool(threads: threads)
        let done = Counter()
        var runs = 0
        // A CPU that is kept busy looks like this: the caller is soon done, the others stand still.
        while pool.activeCount > 1, runs < 500 {
            pool.run(threads) { _, thread in
                usleep(thread > 0 ? 20_000 : 1_000)
                done.value.add(1, ordering: .relaxed)
            }
            runs += 1
        }
        #expect(pool.activeCount == 1)
        #expect(done.value.load(ordering: .relaxed) == runs * threads)
        for tasks in 1...200 {
            let counter = Counter()
            pool.run(tasks) { task, thread in
                precondition(thread < threads)
                counter.value.add(task + 1, ordering: .relaxed)
            }
            #expect(counter.value.load(ordering: .relaxed) == tasks * (tasks + 1) / 2)
        }
    }

    @Test func aPoolThatSleptWakesAgain() {
        let pool = ThreadPool(threads: 3)
        let total = Counter()
        for _ in 0..<5 {
            // Longer than a thread spins before it sleeps.
            _ = (0..<3_000_000).reduce(0 as UInt64) { ($0 ^ UInt64($1)) &* 0x9E37_79B9_7F4A_7C15 }
            pool.run(30) { _, _ in total.value.add(1, ordering: .relaxed) }
        }
        #expect(total.value.load(ordering: .relaxed) == 150)
    }
}

private final class Counter: Sendable {
    let value = Atomic<Int>(0)
}
