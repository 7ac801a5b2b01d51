// Threads that wait for a value get it, each of them, whoever changes it and when.
import SoradSystem
import Testing

@Suite struct MonitorTests {
    @Test func everyWaiterGetsItsValue() throws {
        let monitor = Monitor([Int: Int]())
        // Three wait for each number before anybody has written it.
        let waiters = try (0..<12).map { index in
            try SystemThread(name: "waiter") {
                let seen = monitor.wait { $0[index / 3] }
                monitor.change { $0[100 + index] = seen }
            }
        }
        for number in 0..<4 { monitor.change { $0[number] = number * number } }
        for waiter in waiters { waiter.join() }
        #expect(monitor.read { value in (0..<12).allSatisfy { value[100 + $0] == ($0 / 3) * ($0 / 3) } })
    }

    /// Two threads take turns, thousands of times: no change is missed, and none is lost.
    @Test func noChangeIsMissed() throws {
        let (monitor, rounds) = (Monitor(0), 20_000)
        let other = try SystemThread(name: "other") {
            for round in 0..<rounds {
                monitor.wait { $0 == 2 * round + 1 ? () : nil }
                monitor.change { $0 += 1 }
            }
        }
        for round in 0..<rounds {
            monitor.wait { $0 == 2 * round ? () : nil }
            monitor.change { $0 += 1 }
        }
        other.join()
        #expect(monitor.read { $0 } == 2 * rounds)
    }
}
