// Keys on the socket for administrators, and the sessions of browsers on the one for clients.
import SoradAPI
import SoradHTTP
import SoradSystem

/// /admin/keys: who may come by TCP.
struct KeyRoutes: Sendable {
    let keys: KeyRing
    let log: Log
    /// Ends what runs with a key.
    let end: @Sendable (String) -> Void

    @Sendable func list(_: Request) throws -> Response {
        .json(
            [
                "object": "list",
                "data": .array(
                    keys.keys.map { key in
                        [
                            "name": .string(key.name), "user": .integer(Int(key.user)), "user_name": .optional(userName(key.user)),
                            "created_at": .integer(key.created),
                        ]
                    }),
            ] as JSONValue)
    }

    @Sendable func add(_ request: Request) throws -> Response {
        let name = try request.fields.requiredText("name")
        let wanted = try request.fields.requiredText("user")
        guard let user = userIdentifier(wanted) else {
            throw APIError.notFound("there is no user \"\(wanted.prefix(64))\" on this system", code: "user_not_found", param: "user")
        }
        let key = try keys.add(name: name, user: user, created: TimeSource.system.unixSeconds())
        log.notice("key \(name) for uid \(user) made by uid \(request.peer.userID)", LogFields(.keyMade, user: request.peer.userID))
        return .json(["name": .string(name), "user": .integer(Int(user)), "key": .string(key)] as JSONValue)
    }

    @Sendable func remove(_ request: Request) throws -> Response {
        let name = request.parameter("name")
        guard try keys.remove(name: name) else { throw APIError.notFound("there is no key \"\(name)\"", code: "key_not_found") }
        end(name)
        log.notice("key \(name) removed by uid \(request.peer.userID)", LogFields(.keyRemoved, user: request.peer.userID))
        return .json(["name": .string(name), "deleted": true] as JSONValue)
    }
}

/// /v1/browser_sessions: a browser gets a key of the user whom the kernel names, and a forwarder gives up its own identity.
struct SessionRoutes: Sendable {
    let keys: KeyRing
    /// Where the page is served besides the Unix socket.
    let addresses: [NetworkAddress]

    func add(to routes: inout Routes) {
        routes.on(.post, "/v1/browser_sessions", body: .none) { request in
            try check(request)
            return .json(
                [
                    "object": "browser_session", "key": .string(keys.addSession(user: request.peer.userID)),
                    "expires_in": .integer(Int(KeyRing.sessionTime.components.seconds)),
                    "addresses": .array(addresses.map { .string("http://\($0)") }),
                ] as JSONValue)
        }
        // A forwarder calls this first on each connection, so that a page that reaches it has no rights without a key.
        routes.on(.post, "/v1/browser_sessions/surrender", body: .none) { request in
            try check(request)
            var response = Response(.noContent)
            response.surrendersIdentity = true
            return response
        }
    }

    private func check(_ request: Request) throws {
        guard request.key == nil else {
            throw APIError(.forbidden, "a key makes no further keys; ask on the Unix socket", code: "permission_denied")
        }
    }
}
