// A reload in two parts: everything is read and checked, and only then is anything changed. Owns the settings as they were at the start.
import SoradSystem

struct SettingsReload: Sendable {
    let arguments: Arguments
    let environment: [String: String]
    let keys: KeyRing
    private let atStart: [SettingsTable<DaemonSettings>.Effective]

    /// What a reload would change.
    struct Prepared: Sendable {
        let settings: DaemonSettings
        let keys: [KeyRing.Key]
        /// Settings that differ from those of the start and have no effect before the next one.
        let waiting: [String]
    }

    /// Settings that a reload puts into effect; the key file is the other thing.
    static let live: Set<String> = ["log-level", "model", "model-dir"]

    init(arguments: Arguments, environment: [String: String], keys: KeyRing) throws(SoradError) {
        self.arguments = arguments
        self.environment = environment
        self.keys = keys
        atStart = try DaemonSettings.effective(arguments, environment: environment, isRoot: isRoot())
    }

    /// Reads and checks all that a reload reads; changes nothing.
    /// - Throws: `.configuration` that names everything that is wrong, misspelt or not there.
    func prepare() throws(SoradError) -> Prepared {
        let problems = try DaemonSettings.problems(arguments, environment: environment, isRoot: isRoot())
        guard problems.isEmpty else { throw SoradError(.configuration, problems.joined(separator: "; ")) }
        let now = try DaemonSettings.effective(arguments, environment: environment, isRoot: isRoot())
        let waiting = zip(atStart, now).filter { $0.values != $1.values && !SettingsReload.live.contains($1.name) }.map(\.1.name)
        return Prepared(
            settings: try DaemonSettings.load(arguments, environment: environment, isRoot: isRoot()).settings, keys: try keys.read(),
            waiting: waiting)
    }
}
