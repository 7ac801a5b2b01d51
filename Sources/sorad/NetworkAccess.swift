// The TCP sockets and who may use them: off unless an operator asks. Everything here is decided at the start.
import SoradHTTP
import SoradSystem

/// Settings that a client by TCP, or a browser, meets.
struct NetworkSettings: Sendable {
    /// "ADDRESS:PORT"
    var listen: [String] = []
    var hosts: [String] = []
    var origins: [String] = []
    var trustedProxies: [String] = []

    private static let ownNames: Set<String> = ["localhost", "127.0.0.1", "[::1]"]

    func addresses() throws(SoradError) -> [NetworkAddress] {
        try listen.map { text throws(SoradError) in
            guard let address = NetworkAddress(text) else {
                throw NetworkSettings.wrong("listen", "a numeric address and a port, like 127.0.0.1:8790 or [::1]:8790", text)
            }
            return address
        }
    }

    func proxies() throws(SoradError) -> [TrustedProxy] {
        try trustedProxies.map { text throws(SoradError) in
            guard let proxy = TrustedProxy(text) else {
                throw NetworkSettings.wrong("trusted-proxy", "user:NAME of a user of this system, or key:NAME of a key", text)
            }
            return proxy
        }
    }

    /// The rules of browsers for every door; that of TCP also needs a key.
    /// - Parameter credentials: nil where nobody is known by a key.
    func door(_ credentials: KeyRing?, needsKey: Bool) throws(SoradError) -> Door {
        var door = Door()
        door.hosts = NetworkSettings.ownNames
        for host in hosts {
            guard NetworkSettings.isHost(host) else {
                throw NetworkSettings.wrong("host", "a name without a port, like sorad.example", host)
            }
            door.hosts?.insert(host.lowercased())
        }
        for origin in origins {
            guard NetworkSettings.isOrigin(origin) else {
                throw NetworkSettings.wrong(
                    "origin", "one origin, like https://app.example; * would let in every page of the world", origin)
            }
            door.origins.insert(origin.lowercased())
        }
        door.needsKey = needsKey
        door.credentials = credentials
        return door
    }

    private static func wrong(_ name: String, _ wanted: String, _ text: String) -> SoradError {
        SoradError(.configuration, "the setting \(name) must be \(wanted); not \"\(text)\"", param: name)
    }

    private static func isHost(_ text: String) -> Bool {
        if text.hasPrefix("["), text.hasSuffix("]") { return NetworkAddress("\(text):0") != nil }
        return !text.isEmpty && text.utf8.allSatisfy(isNameByte)
    }

    private static func isOrigin(_ text: String) -> Bool {
        for scheme in ["http://", "https://"] where text.lowercased().hasPrefix(scheme) {
            let rest = text.dropFirst(scheme.count)
            let host = rest.hasPrefix("[") ? rest.prefix { $0 != "]" } + "]" : rest.prefix { $0 != ":" }
            let port = rest.dropFirst(host.count)
            return isHost(String(host)) && (port.isEmpty || port.hasPrefix(":") && UInt16(port.dropFirst()) != nil)
        }
        return false
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

enum NetworkListeners {
    /// The sockets that were handed over and those that the settings name.
    /// - Throws: `.configuration` for an address beyond the loopback as long as there are no keys.
    static func open(
        _ handedOver: [ListeningSocket], _ addresses: [NetworkAddress], keys: KeyRing, log: Log
    ) throws(SoradError) -> [ListeningSocket] {
        let wanted = handedOver.compactMap(\.address) + addresses
        if let far = wanted.first(where: { !$0.isLoopback }) {
            guard !keys.keys.isEmpty else {
                throw SoradError(
                    .configuration, "\(far) can be reached from other machines, and there are no keys",
                    hint:
                        "listen on 127.0.0.1, make a key with sorad-ctl key add NAME --user USER, and put a proxy that speaks TLS in front",
                    param: "listen")
            }
            log.warning(
                "\(far) can be reached from other machines without TLS: keys and clips are readable on the way; put a proxy in front")
        }
        var listeners = handedOver
        for address in addresses {
            do throws(SoradError) { listeners.append(try ListeningSocket(listeningAt: address)) } catch {
                guard !handedOver.isEmpty || ChildProcess.currentEnvironment()["INVOCATION_ID"] != nil else { throw error }
                throw SoradError(
                    error.kind, error.message, hint: "under systemd use sorad-tcp.socket: the service itself may open no network socket")
            }
        }
        for listener in listeners { log.notice("listening on http://\(listener.address.map { "\($0)" } ?? "?") for clients with a key") }
        return listeners
    }
}
