import Glibc
import SoradSystem
import Testing

/// Whether an emulator runs this program, see Tests/arm/emulate.
let isEmulated = unsafe getenv("SORAD_EMULATED") != nil

@Suite struct ChildProcessTests {
    /// Runs a shell command with `descriptors`; what it wrote to its standard output, and how it ended.
    private func shell(
        _ script: String, environment: [String: String] = [:], workingDirectory: String? = nil,
        limits: [(resource: Int32, value: UInt64)] = []
    ) throws -> (output: String, ending: ChildProcess.Ending?) {
        let pipe = try Pipe()
        let output = pipe.readEnd
        let child: ChildProcess
        do {
            let input = pipe.writeEnd
            child = try ChildProcess(
                .init(
                    "/bin/sh", ["-c", script], environment: environment, workingDirectory: workingDirectory,
                    descriptors: [1: input.rawValue], limits: limits))
        }
        var bytes: [UInt8] = []
        while true {
            let more = try output.read(upTo: 4096)
            if more.isEmpty { break }
            bytes += more
        }
        return (String(decoding: bytes, as: UTF8.self), child.wait(timeout: .seconds(10)))
    }

    @Test func exitStatusAndSignalsAreTold() throws {
        #expect(try shell("exit 0").ending == .exited(0))
        #expect(try shell("exit 65").ending == .exited(65))
        #expect(try shell("kill -9 $$").ending == .killed(signal: SIGKILL))
    }

    @Test func environmentAndDirectoryAreTheGivenOnes() throws {
        let result = try shell(
            "echo \"$A:$B\"; pwd; /usr/bin/env | grep -c ^HOME=", environment: ["A": "one", "B": "two=2"], workingDirectory: "/usr")
        #expect(result.output == "one:two=2\n/usr\n0\n")
    }

    @Test func onlyNamedDescriptorsReachTheChild() throws {
        let leaked = try FileDescriptor(opening: "/dev/null", flags: O_RDONLY)
        _ = fcntl(leaked.rawValue, F_SETFD, 0)  // even without close-on-exec
        // `ls` itself opens one more for the directory.
        let result = try shell("ls /proc/self/fd")
        #expect(result.output == "0\n1\n2\n3\n")
    }

    @Test func descriptorsMayBeSwapped() throws {
        let first = try Pipe()
        let second = try Pipe()
        let child = try ChildProcess(
            .init(
                "/bin/bash", ["-c", "echo a >&\(second.writeEnd.rawValue); echo b >&\(first.writeEnd.rawValue)"],
                descriptors: [
                    first.writeEnd.rawValue: second.writeEnd.rawValue, second.writeEnd.rawValue: first.writeEnd.rawValue,
                ]))
        try #require(child.wait(timeout: .seconds(10)) == .exited(0))
        #expect(try first.readEnd.read(upTo: 10) == Array("a\n".utf8))
        #expect(try second.readEnd.read(upTo: 10) == Array("b\n".utf8))
    }

    @Test func limitsHold() throws {
        #expect(
            try shell("ulimit -n; ulimit -f", limits: [(Int32(RLIMIT_NOFILE.rawValue), 77), (Int32(RLIMIT_FSIZE.rawValue), 1024)]).output
                == "77\n2\n")
    }

    @Test(.disabled(if: isEmulated, "an emulator makes vfork(2) fork(2), so the child cannot say why it did not start"))
    func aProgramThatCannotStartIsAnErrorWithTheReason() throws {
        let missing = #expect(throws: Errno.self) { try ChildProcess(.init("/nonexistent/program", [])) }
        #expect(missing?.code == ENOENT)
        #expect(missing?.description == "start /nonexistent/program: execute the program: No such file or directory")
        let directory = #expect(throws: Errno.self) { try ChildProcess(.init("/bin/sh", [], workingDirectory: "/nonexistent")) }
        #expect(directory?.description.contains("enter the working directory") == true)
    }

    @Test func waitingIsBoundedAndKillingEndsIt() throws {
        let child = try ChildProcess(.init("/bin/sleep", ["600"]))
        #expect(child.wait(timeout: .milliseconds(10)) == nil)
        child.kill(SIGTERM)
        #expect(child.wait(timeout: .seconds(10)) == .killed(signal: SIGTERM))
        child.kill(SIGKILL)  // after the end: nothing
        #expect(child.wait() == .killed(signal: SIGTERM))
    }

    @Test func aForgottenChildIsKilled() throws {
        var child: ChildProcess? = try ChildProcess(.init("/bin/sleep", ["600"]))
        let pid = child!.pid
        #expect(kill(pid, 0) == 0)
        child = nil
        #expect(kill(pid, 0) == -1 && errno == ESRCH)
    }
}
