// The event log of HTCondor, as 23.9 writes it, whole and in pieces.
import SoradFleet
import Testing

@Suite struct EventLogTests {
    private static let log = """
        000 (0012.000.000) 2026-11-29 10:44:20 Job submitted from host: <10.85.0.1:9618?addrs=10.85.0.1-9618&alias=head>
        ...
        040 (0012.000.000) 2026-11-29 10:44:21 Started transferring input files
        \tTransferring to host: <10.85.0.2:9618?addrs=10.85.0.2-9618&alias=boxa&noUDP&sock=slot1_1>
        ...
        001 (0012.000.000) 2026-11-29 10:44:22 Job executing on host: <10.85.0.2:9618?addrs=10.85.0.2-9618&alias=boxa&noUDP>
        \tSlotName: slot1@boxa
        \tCpus = 1
        ...
        006 (0012.000.000) 2026-11-29 10:44:30 Image size of job updated: 72
        \t3  -  MemoryUsage of job (MB)
        ...
        022 (0012.000.000) 2026-11-29 10:45:10 Job disconnected, attempting to reconnect
            Socket between submit and execute hosts closed unexpectedly
            Trying to reconnect to slot1@boxa <10.85.0.2:9618>
        ...
        024 (0012.000.000) 2026-11-29 10:46:10 Job reconnection failed
            Job disconnected too long: JobLeaseDuration (60 seconds) expired
            Can not reconnect to slot1@boxa, rescheduling job
        ...
        001 (0012.000.000) 2026-11-29 10:46:22 Job executing on host: <10.85.0.3:9618?addrs=10.85.0.3-9618&alias=boxb&noUDP>
        ...
        012 (0012.000.000) 2026-11-29 10:47:00 Job was held.
        \tError from slot1@boxb: Failed to execute '/usr/libexec/sorad/sorad-worker': (errno=8: 'Exec format error')
        \tCode 6 Subcode 8
        ...
        013 (0012.000.000) 2026-11-29 10:48:00 Job was released.
        \tThe job attribute PeriodicRelease expression evaluated to TRUE
        ...
        004 (0012.000.000) 2026-11-29 10:49:00 Job was evicted.
        \t(1) Job was checkpointed.
        ...
        005 (0012.000.000) 2026-11-29 10:50:00 Job terminated.
        \t(1) Normal termination (return value 0)
        \t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Run Remote Usage
        ...

        """
    private static let events: [PoolEvent] = [
        .submitted, .executing(box: "boxa"), .disconnected, .lost("Job disconnected too long: JobLeaseDuration (60 seconds) expired"),
        .executing(box: "boxb"),
        .held("Error from slot1@boxb: Failed to execute '/usr/libexec/sorad/sorad-worker': (errno=8: 'Exec format error')"), .released,
        .evicted, .exited(0),
    ]

    @Test(arguments: [1, 2, 7, 100, 100_000]) func theEventsDependOnTheBytesAlone(piece: Int) {
        let bytes = Array(EventLogTests.log.utf8)
        var reader = EventLogReader()
        var events: [PoolEvent] = []
        for start in stride(from: 0, to: bytes.count, by: piece) {
            events += reader.append(Array(bytes[start..<min(bytes.count, start + piece)]))
        }
        #expect(events == EventLogTests.events)
    }

    /// As HTCondor writes it when there is space again: the next event continues in the middle of a line.
    @Test func anEventThatAFullDiskCutOffSpoilsOneEventAtMost() {
        let log = """
            004 (001.000.000) 2026-11-30 17:50:33 Job was evicted.
            \t(0) CPU times
            \t\tUsr 0 00040 (001.000.000) 2026-11-30 17:52:02 Started transferring input files
            \tTransferring to host: <10.86.0.4:9618?addrs=10.86.0.4-9618&alias=boxc>
            ...
            001 (001.000.000) 2026-11-30 17:52:03 Job executing on host: <10.86.0.4:9618?addrs=10.86.0.4-9618&alias=boxc>
            ...

            """
        var reader = EventLogReader()
        #expect(reader.append(Array(log.utf8)) == [.evicted, .executing(box: "boxc")])
    }

    @Test func otherEnds() {
        func events(_ text: String) -> [PoolEvent] {
            var reader = EventLogReader()
            return reader.append(Array(text.utf8))
        }
        #expect(events("005 (1.0.0) 11/29 10:50:00 Job terminated.\n\t(1) Normal termination (return value 74)\n...\n") == [.exited(74)])
        #expect(events("005 (1.0.0) 11/29 10:50:00 Job terminated.\n\t(0) Abnormal termination (signal 9)\n...\n") == [.killed(signal: 9)])
        #expect(
            events("009 (1.0.0) 11/29 10:50:00 Job was aborted.\n\tvia condor_rm (by user root)\n...\n") == [
                .removed("via condor_rm (by user root)")
            ])
        #expect(events("005 (1.0.0) 11/29 10:50:00 Job terminated.\n\t(1) Normal termination (return value 0)\n") == [])
        #expect(events("...\nnonsense\n...\n99\n...\n") == [])
        #expect(events("005 no more\n\treturn value 99999999999\n...\n") == [.killed(signal: 0)])
    }

    @Test func wordsOfABoxAreShortAndSafe() {
        var reader = EventLogReader()
        let reason = "\u{1B}[31m" + String(repeating: "é", count: 5_000)
        guard case .held(let told)? = reader.append(Array("012 (1.0.0) x\n\t\(reason)\n...\n".utf8)).first else {
            Issue.record("no hold")
            return
        }
        #expect(told.utf8.count < 520 && told.hasSuffix("…") && !told.contains("\u{1B}"))
    }

    @Test func aLineWithoutEndTakesNoMemory() {
        var reader = LineReader(limit: 4)
        #expect(reader.append(Array("123456789\nab\n".utf8)) == [Array("ab".utf8)])
        #expect(reader.append(Array("1234".utf8)) == [])
        #expect(reader.append(Array("\n".utf8)) == [Array("1234".utf8)])
    }
}
