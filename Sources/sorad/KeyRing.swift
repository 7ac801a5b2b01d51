// Who is known by a key instead of by the kernel: the keys of the file STATE-DIR/keys, and the sessions of browsers, which are in memory
// alone. A line of the file is "NAME USER-ID SHA-256 UNIX-TIME".
//
// A key is 256 random bits, so its plain SHA-256 is enough: nobody can try that many, and a slow password hash would only let others
// spend this machine's time. Digests are compared without stopping at the first difference.
// Invariant: memory and file agree; a key that was removed is not known from the moment on in which the removal is answered.
import Glibc
import SoradHTTP
import SoradSystem
import Synchronization

final class KeyRing: Credentials {
    struct Key: Sendable, Equatable {
        let name: String
        let user: UInt32
        let digest: [UInt8]
        /// Unix time in seconds.
        let created: Int
    }

    private struct Session {
        let name: String
        let user: UInt32
        let digest: [UInt8]
        let end: MonotonicTime
    }

    private struct State {
        var keys: [Key] = []
        var sessions: [Session] = []
        var sessionCount = 0
        /// Names that proxies have sent: looking one up may ask the network.
        var users: [String: UInt32] = [:]
    }

    static let sessionTime = Duration.seconds(12 * 3_600)
    private static let mostKeys = 1_000
    private static let mostSessionsOfUser = 16
    private static let mostSessions = 1_000
    private static let mostNames = 1_000

    private let path: String
    private let proxies: [TrustedProxy]
    private let state = Mutex(State())

    /// Reads the file at `path`; none is no key.
    /// - Throws: `.configuration` when others may read or write it, or a line cannot be understood.
    init(path: String, proxies: [TrustedProxy]) throws(SoradError) {
        self.path = path
        self.proxies = proxies
        take(try read())
    }

    // MARK: asking

    func owner(ofKey key: String) -> KeyOwner? {
        let digest = SHA256.hash(Array(key.utf8))
        let now = MonotonicTime.now()
        return state.withLock { state in
            var found: KeyOwner?
            for key in state.keys where KeyRing.areSame(key.digest, digest) { found = KeyOwner(name: key.name, user: key.user) }
            for session in state.sessions where KeyRing.areSame(session.digest, digest) && session.end > now {
                found = KeyOwner(name: session.name, user: session.user)
            }
            return found
        }
    }

    /// Takes the same time wherever they differ.
    private static func areSame(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        var difference = UInt8(truncatingIfNeeded: first.count ^ second.count)
        for (one, other) in zip(first, second) { difference |= one ^ other }
        return difference == 0
    }

    func isTrustedProxy(_ peer: Peer, key: String?) -> Bool {
        proxies.contains { proxy in
            switch proxy {
            case .user(let user): key == nil && peer.userID == user
            case .key(let name): key == name
            }
        }
    }

    func user(named name: String) -> UInt32? {
        if let known = state.withLock({ $0.users[name] }) { return known }
        guard name.utf8.count <= 64, let user = userIdentifier(name), user != Peer.nobody.userID else { return nil }
        state.withLock { state in
            if state.users.count >= KeyRing.mostNames { state.users = [:] }
            state.users[name] = user
        }
        return user
    }

    var keys: [Key] { state.withLock { $0.keys } }

    // MARK: changing

    /// Makes a key.
    /// - Returns: the key itself, which is nowhere else from then on.
    func add(name: String, user: UInt32, created: Int) throws(SoradError) -> String {
        guard KeyRing.isName(name) else {
            throw SoradError(.badInput, "the name of a key must be 1 to 64 letters, digits, dots, dashes and underscores", param: "name")
        }
        guard user != 0 && user != Peer.nobody.userID else {
            throw SoradError(
                .badInput, "a key for root would see everybody's jobs; name the user whose jobs its holder may see", param: "user")
        }
        let text = KeyRing.newKey()
        let key = Key(name: name, user: user, digest: SHA256.hash(Array(text.utf8)), created: created)
        try change { keys throws(SoradError) in
            guard !keys.contains(where: { $0.name == name }) else {
                throw SoradError(
                    .badInput, "there is a key \"\(name)\" already", hint: "choose another name, or remove that one first", param: "name")
            }
            guard keys.count < KeyRing.mostKeys else { throw SoradError(.busy, "there are \(keys.count) keys; remove one first") }
            keys.append(key)
        }
        return text
    }

    /// False when there is none of this name.
    func remove(name: String) throws(SoradError) -> Bool {
        var isThere = false
        try change { keys throws(SoradError) in
            isThere = keys.contains { $0.name == name }
            keys.removeAll { $0.name == name }
        }
        return isThere
    }

    /// A key for the browser of a user whom the kernel has identified; it ends with the daemon or after `sessionTime`.
    func addSession(user: UInt32) -> String {
        let text = KeyRing.newKey()
        let now = MonotonicTime.now()
        state.withLock { state in
            state.sessions.removeAll { $0.end <= now }
            let own = state.sessions.filter { $0.user == user }
            if own.count >= KeyRing.mostSessionsOfUser { state.sessions.removeAll { $0.name == own[0].name } }
            if state.sessions.count >= KeyRing.mostSessions { state.sessions.removeFirst() }
            state.sessionCount += 1
            state.sessions.append(
                Session(
                    name: "session \(state.sessionCount)", user: user, digest: SHA256.hash(Array(text.utf8)),
                    end: now + KeyRing.sessionTime))
        }
        return text
    }

    private static func newKey() -> String {
        "sorad-" + base64Encoded(randomBytes(32)).map { $0 == "+" ? "-" : $0 == "/" ? "_" : "\($0)" }.filter { $0 != "=" }.joined()
    }

    private static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count) && !name.hasPrefix(".")
            && name.utf8.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) && byte < 0x80
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || [UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_")].contains(byte)
            }
    }

    /// The file first: a key that was handed out is still valid after a power cut.
    private func change(_ body: (inout [Key]) throws(SoradError) -> Void) throws(SoradError) {
        let failure: SoradError? = state.withLock { state in
            do throws(SoradError) {
                var keys = state.keys
                try body(&keys)
                guard keys != state.keys else { return nil }
                try write(keys)
                state.keys = keys
                return nil
            } catch { return error }
        }
        if let failure { throw failure }
    }

    // MARK: the file

    /// From now on these keys are valid and no others, as `read` gave them.
    func take(_ keys: [Key]) { state.withLock { $0.keys = keys } }

    private func write(_ keys: [Key]) throws(SoradError) {
        var file = try AtomicFile(path, mode: 0o600)
        let lines = keys.map { "\($0.name) \($0.user) \(SHA256.hexadecimal($0.digest)) \($0.created)\n" }
        try file.write(Array(lines.joined().utf8))
        try file.commit()
    }

    /// The keys of the file as it is now.
    /// - Throws: as `init`.
    func read() throws(SoradError) -> [Key] {
        guard let place = FilePlace(path, followingLinks: false) else { return [] }
        guard place.kind == .regular, place.mode & 0o077 == 0, [0, effectiveUser()].contains(place.owner) else {
            throw SoradError(
                .configuration, "the key file \(path) must be a plain file that only the daemon's user may read and write",
                hint: "look at who could have changed it; then: chmod 600 \(path)")
        }
        let text: String
        do throws(Errno) {
            let file = try FileDescriptor(openingForReading: path)
            let size = try file.regularFileSize()
            guard size <= 1 << 20 else { throw Errno(code: EFBIG, call: "read") }
            text = String(decoding: try file.read(at: 0, count: size), as: UTF8.self)
        } catch { throw SoradError(.configuration, "cannot read the key file \(path): \(error.reason)") }
        var keys: [Key] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() where !line.isEmpty {
            guard !line.hasPrefix("#") else { continue }
            guard let key = KeyRing.key(line), !keys.contains(where: { $0.name == key.name }) else {
                throw SoradError(
                    .configuration, "line \(index + 1) of the key file \(path) is no key", hint: "remove it, or put the file back as it was"
                )
            }
            keys.append(key)
        }
        return keys
    }

    private static func key(_ line: Substring) -> Key? {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 4, isName(String(words[0])), let user = UInt32(words[1]), user != 0, user != Peer.nobody.userID,
            let digest = digest(words[2]), let created = Int(words[3])
        else { return nil }
        return Key(name: String(words[0]), user: user, digest: digest, created: created)
    }

    private static func digest(_ text: Substring) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        let bytes = stride(from: 0, to: 64, by: 2).compactMap { UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16) }
        return bytes.count == 32 ? bytes : nil
    }
}

/// A peer that may say whose requests it carries: a user on the Unix socket, or the holder of a key.
enum TrustedProxy: Sendable, Equatable {
    case user(UInt32)
    case key(String)

    /// "user:www-data", "key:gateway"; nil for text of another form or an unknown user.
    init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { return nil }
        switch parts[0] {
        case "key": self = .key(parts[1])
        case "user":
            guard let user = userIdentifier(parts[1]) else { return nil }
            self = .user(user)
        default: return nil
        }
    }
}
