// Who comes in by a listener, and as whom: asked with the head of each request, before its body. A Unix socket has the kernel's word about
// the client; elsewhere a key says it. A browser carries other people's pages, so Host and Origin are looked at in both.
// Invariant: the work is bounded by the length of a head, and nothing is remembered of a request that is refused.
public import SoradSystem

/// Knows the keys, and the proxies that may name a user. Asked on the I/O thread: be quick.
public protocol Credentials: Sendable {
    func owner(ofKey key: String) -> KeyOwner?
    /// Whether this client may name the user whose request it carries.
    func isTrustedProxy(_ peer: Peer, key: String?) -> Bool
    func user(named name: String) -> UInt32?
}

public struct KeyOwner: Sendable, Equatable {
    /// The key's name.
    public let name: String
    public let user: UInt32

    public init(name: String, user: UInt32) {
        self.name = name
        self.user = user
    }
}

/// What a door says of one request.
package struct Admission: Sendable {
    package var peer: Peer
    /// The name of the key that identified `peer`; nil where the kernel did.
    package var key: String?
    /// The user of that key, who pays for the connection.
    package var keyOwner: UInt32?
    /// Header fields of every answer to this request.
    package var headers = Headers()
    /// The request is refused, whatever it asks for.
    package var refusal: APIError?
    /// No valid key came: only open routes are served.
    package var missingKey: APIError?
    /// A browser asks whether it may send a request.
    package var isPreflight = false

    init(peer: Peer) { self.peer = peer }
}

public struct Door: Sendable {
    /// Names that Host may have, in lower case without a port; nil for any.
    public var hosts: Set<String>?
    /// Origins of other servers' pages that may send requests and read the answers, in lower case.
    public var origins: Set<String> = []
    /// Where clients are known by keys alone.
    public var needsKey = false
    /// Whether Host must be one of `hosts`; always where a key is needed.
    public var checksHosts = false
    public var credentials: (any Credentials)?

    /// The door of a Unix socket that takes whatever comes.
    public init() {}

    /// The name by which a proxy says whose request it carries.
    static let userField = "x-sorad-user"
    private static let longestKey = 256

    func admit(_ head: RequestHead, _ peer: Peer) -> Admission {
        var admission = Admission(peer: peer)
        if hosts == nil && !needsKey { return admission }
        do throws(APIError) {
            if needsKey || checksHosts { try checkHost(head) }
            try checkOrigin(head, &admission)
            guard !admission.isPreflight else { return admission }
            if needsKey { identify(head, &admission) }
            try takeNamedUser(head, &admission)
        } catch { admission.refusal = error }
        return admission
    }

    // MARK: where the request was sent to, and from which page

    /// DNS rebinding: the page of a foreign name that leads here sends that name.
    private func checkHost(_ head: RequestHead) throws(APIError) {
        let named = head.headers["host"] ?? ""
        for name in [named, head.target.authority ?? named] where !isKnown(name) {
            throw APIError(
                .misdirectedRequest,
                "this server is not known as \"\(Door.hostName(name).prefix(128))\"; ask for it as localhost, or name it with the setting host",
                code: "unknown_host")
        }
    }

    private func isKnown(_ authority: String) -> Bool { hosts?.contains(Door.hostName(authority)) ?? true }

    /// Without its port, in lower case.
    private static func hostName(_ authority: String) -> String {
        let text = authority.lowercased()
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") { return String(text[...end]) }
        return String(text.prefix { $0 != ":" })
    }

    private func checkOrigin(_ head: RequestHead, _ admission: inout Admission) throws(APIError) {
        if !origins.isEmpty { admission.headers.append("vary", "origin") }
        let sent = head.headers.all("origin")
        guard let origin = sent.first?.lowercased() else { return }
        let authority = (head.headers["host"] ?? "").lowercased()
        let isOwn = ["http://\(authority)", "https://\(authority)"].contains(origin) && isKnown(authority)
        if sent.count == 1, isOwn { return }
        guard sent.count == 1, origins.contains(origin) else {
            throw APIError(
                .forbidden,
                "pages of \"\(origin.prefix(128))\" may not ask this server; name that origin with the setting origin if it is yours",
                code: "foreign_origin")
        }
        admission.headers.append("access-control-allow-origin", sent[0])
        guard head.methodName == "OPTIONS", head.headers["access-control-request-method"] != nil else {
            admission.headers.append("access-control-expose-headers", Door.exposed)
            return
        }
        admission.isPreflight = true
        admission.headers.append("access-control-allow-methods", "GET, HEAD, POST, DELETE")
        admission.headers.append("access-control-max-age", "600")
        let asked = head.headers.tokens("access-control-request-headers")
        if !asked.isEmpty, asked.allSatisfy({ $0.utf8.allSatisfy(isTokenByte) }) {
            admission.headers.append("access-control-allow-headers", asked.joined(separator: ", "))
        }
    }

    private static let exposed =
        "content-range, etag, openai-poll-after-ms, retry-after, retry-after-ms, x-request-id, x-should-retry, x-sorad-reused"

    /// Answers what a browser asks before it sends a foreign page's request.
    static let preflight: Route = {
        var routes = Routes()
        routes.on(.get, "/") { _ in Response(.noContent) }
        guard case .found(let route, _) = routes.match(.get, path: [""]) else { preconditionFailure("a route that was just added") }
        return route
    }()

    // MARK: whose request it is

    private func identify(_ head: RequestHead, _ admission: inout Admission) {
        admission.peer = .nobody
        let sent = head.headers.all("authorization")
        guard let first = sent.first else {
            admission.missingKey = Door.unauthorized(
                "a key is needed here: send \"Authorization: Bearer KEY\"; sorad-ctl key add NAME makes one", code: "missing_api_key")
            return
        }
        let words = first.split(separator: " ", omittingEmptySubsequences: true)
        guard sent.count == 1, words.count == 2, words[0].lowercased() == "bearer", words[1].utf8.count <= Door.longestKey,
            let owner = credentials?.owner(ofKey: String(words[1]))
        else {
            admission.missingKey = Door.unauthorized("this key is not valid here, or no longer", code: "invalid_api_key")
            return
        }
        admission.peer = Peer(user: owner.user)
        admission.key = owner.name
        admission.keyOwner = owner.user
    }

    private static func unauthorized(_ message: String, code: String) -> APIError {
        APIError(.unauthorized, message, code: code, headers: ["www-authenticate": "Bearer realm=\"sorad\""])
    }

    /// A proxy that the operator trusts names the user; anybody else who tries is refused rather than not listened to.
    private func takeNamedUser(_ head: RequestHead, _ admission: inout Admission) throws(APIError) {
        let names = head.headers.all(Door.userField)
        guard let name = names.first, admission.missingKey == nil else { return }
        guard let credentials, credentials.isTrustedProxy(admission.peer, key: admission.key) else {
            throw APIError(
                .forbidden, "only a proxy that the setting trusted-proxy names may send \(Door.userField)", code: "untrusted_proxy")
        }
        guard names.count == 1, let user = credentials.user(named: name), user != 0 else {
            throw APIError(
                .forbidden, "\(Door.userField) names no user of this system: \"\(name.prefix(64))\"", code: "unknown_user")
        }
        admission.peer = Peer(user: user)
    }
}
