// The list of settings in docs/CONFIGURATION.md is the daemon's own.
import SoradSystem
import Testing

@Suite struct SettingsDocumentTests {
    private static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }

    private func output(_ option: String) throws -> String {
        let output = try captureOutput(of: .init(executableDirectory() + "/sorad", [option]), timeout: .seconds(20), limit: 1 << 20)
        try #require(output.ending == .exited(0), "\(String(decoding: output.standardError, as: UTF8.self))")
        return String(decoding: output.standardOutput, as: UTF8.self)
    }

    @Test func theListInTheManualIsTheTable() throws {
        let file = try FileDescriptor(openingForReading: SettingsDocumentTests.root + "/docs/CONFIGURATION.md")
        let manual = String(decoding: try file.read(at: 0, count: try file.regularFileSize()), as: UTF8.self)
        let parts = manual.split(separator: "<!-- settings: sorad --print-settings -->\n", maxSplits: 1)
        try #require(parts.count == 2)
        let list = parts[1].prefix { $0 != "<" }
        #expect(
            String(list) == (try output("--print-settings")),
            "docs/CONFIGURATION.md is not what sorad --print-settings prints; run make settings")
    }

    /// A daemon takes the sample as it is, and names nothing in it as unknown.
    @Test func theSampleFileIsASettingsFile() throws {
        let sample = try output("--print-config")
        #expect(sample.contains("\n#keep-digests-days = 365\n") && sample.contains("\n#log-level = info\n"))
        #expect(sample.split(separator: "\n").allSatisfy { $0.hasPrefix("#") && $0.count <= 100 })
    }
}
