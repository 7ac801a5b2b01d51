// The door of a TCP port, without a socket: who gets in, as whom.
import SoradHTTP
import SoradSystem
import Testing

@Suite struct DoorTests {
    private struct Keys: Credentials {
        func owner(ofKey key: String) -> KeyOwner? { key == "right" ? KeyOwner(name: "one", user: 7) : nil }
        func isTrustedProxy(_ peer: Peer, key: String?) -> Bool { key == "one" && peer.userID == 7 }
        func user(named name: String) -> UInt32? { UInt32(name) }
    }

    private static let door: Door = {
        var door = Door()
        door.hosts = ["localhost", "[::1]"]
        door.origins = ["https://app.example"]
        door.needsKey = true
        door.credentials = Keys()
        return door
    }()

    private func conversation(_ lines: [String], door: Door = DoorTests.door, peer: Peer = .nobody) -> Conversation {
        var conversation = Conversation()
        conversation.state = ServerConnectionState(
            routes: Conversation.routes, settings: ServerSettings(), isShed: false, now: .zero, door: door, peer: peer)
        conversation.send(request("GET /ping HTTP/1.1", lines))
        return conversation
    }

    @Test(arguments: [
        (["Host: localhost", "Authorization: Bearer right"], 200),
        (["Host: LOCALHOST:80", "authorization: BEARER right"], 200),
        (["Host: [::1]:80", "Authorization: Bearer right", "Origin: http://[::1]:80"], 200),
        (["Host: localhost", "Authorization: Bearer right", "Origin: https://APP.example"], 200),
        (["Host: localhost"], 401),
        (["Host: localhost", "Authorization: Bearer wrong"], 401),
        (["Host: localhost", "Authorization: Bearer right right"], 401),
        (["Host: localhost", "Authorization: Bearer right", "Authorization: Bearer right"], 401),
        (["Host: localhost", "Authorization: Basic right"], 401),
        (["Host: evil.example", "Authorization: Bearer right"], 421),
        (["Host: localhost.evil.example", "Authorization: Bearer right"], 421),
        (["Host:", "Authorization: Bearer right"], 421),
        (["Host: localhost", "Authorization: Bearer right", "Origin: https://evil.example"], 403),
        (["Host: localhost", "Authorization: Bearer right", "Origin: null"], 403),
        (["Host: localhost", "Authorization: Bearer right", "Origin: http://localhost:1"], 403),
        (["Host: localhost", "Authorization: Bearer right", "Origin: http://localhost", "Origin: https://app.example"], 403),
        (["Host: localhost", "Authorization: Bearer right", "X-Sorad-User: 9"], 200),
        (["Host: localhost", "Authorization: Bearer right", "X-Sorad-User: 0"], 403),
        (["Host: localhost", "Authorization: Bearer right", "X-Sorad-User: 9", "X-Sorad-User: 10"], 403),
    ]) func answers(_ lines: [String], _ status: Int) {
        #expect(conversation(lines).statuses == [status])
    }

    @Test func aKeyIsItsUserAndAProxyNamesAnother() {
        #expect(conversation(["Host: localhost", "Authorization: Bearer right"]).state.admission.peer.userID == 7)
        #expect(conversation(["Host: localhost", "Authorization: Bearer right", "X-Sorad-User: 9"]).state.admission.peer == Peer(user: 9))
        #expect(conversation(["Host: localhost"]).state.admission.peer == .nobody)
    }

    @Test func aGuessEndsTheConnection() {
        var conversation = conversation(["Host: localhost", "Authorization: Bearer wrong"])
        conversation.send(request("GET /ping HTTP/1.1", ["Host: localhost", "Authorization: Bearer right"]))
        #expect(conversation.statuses == [401])
    }

    /// The kernel says who it is; a foreign page behind a forwarder is refused all the same.
    @Test func aUnixSocketNeedsNoKey() {
        var door = DoorTests.door
        door.needsKey = false
        let peer = Peer(processID: 1, userID: 5, groupID: 5)
        #expect(conversation(["Host: anything"], door: door, peer: peer).state.admission.peer == peer)
        #expect(conversation(["Host: anything"], door: door, peer: peer).statuses == [200])
        #expect(conversation(["Host: evil.example", "Origin: http://evil.example"], door: door, peer: peer).statuses == [403])
        #expect(conversation(["Host: anything", "X-Sorad-User: 9"], door: door, peer: peer).statuses == [403])
    }
}
