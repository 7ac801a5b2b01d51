// Owns the calls of the Videos API that the commands need, and the choice of the socket.
import Glibc
import SoradAPI
import SoradHTTP
import SoradSystem

struct DaemonConnection {
    let client: HTTPClient

    /// - Throws: `.unavailable` when no socket is named and none of the usual ones is there.
    init(_ arguments: Arguments) throws(SoradError) {
        var settings = ClientSettings()
        settings.timeout = .seconds(10)
        client = HTTPClient(
            socketPath: try chosenSocket(arguments["socket"], environment: ChildProcess.currentEnvironment()), settings: settings)
    }

    var socketPath: String { client.socketPath }

    /// Waits while the daemon looks at its model files for the first time, which takes minutes on a slow machine. Requests about models would
    /// wait for that too, and be given up.
    /// - Throws: `.interrupted` when the user wants to stop, where `interrupt` holds the signals back.
    func waitForModels(_ interrupt: Interrupt? = nil) throws(SoradError) {
        // A daemon that does not answer says so when it is asked for something.
        while (try? health())?["status"]?.string == "starting" {
            if interrupt?.wait(timeout: DaemonConnection.startPause) == true {
                throw SoradError(.interrupted, "interrupted while the daemon looks at its model files; no job was made")
            }
            var nothing: [PollEntry] = []
            if interrupt == nil { _ = try? poll(&nothing, timeout: DaemonConnection.startPause) }
        }
    }

    private static let startPause = Duration.milliseconds(200)

    func create(_ fields: JSONObject) throws(SoradError) -> Video {
        try client.fetch(ClientRequest(.post, "/v1/videos", body: .json(.object(fields))))
    }

    /// The clip of a finished job again, for another prompt.
    func remix(_ id: String, _ fields: JSONObject) throws(SoradError) -> Video {
        try client.fetch(ClientRequest(.post, path(id) + "/remix", body: .json(.object(fields))))
    }

    /// A clip with new frames at one of its ends.
    func extend(_ fields: JSONObject) throws(SoradError) -> Video {
        try client.fetch(ClientRequest(.post, "/v1/videos/extensions", body: .json(.object(fields))))
    }

    func video(_ id: String) throws(SoradError) -> Video { try client.fetch(ClientRequest(.get, path(id))) }

    /// One page, the newest first.
    func videos(after: String?, limit: Int) throws(SoradError) -> VideoList {
        let after = after.map { "&after=" + percentEncoded($0) } ?? ""
        return try client.fetch(ClientRequest(.get, "/v1/videos?order=desc&limit=\(limit)\(after)"))
    }

    func cancel(_ id: String) throws(SoradError) -> Video { try client.fetch(ClientRequest(.post, path(id) + "/cancel")) }

    func delete(_ id: String) throws(SoradError) -> DeletedVideo { try client.fetch(ClientRequest(.delete, path(id))) }

    /// Hands over the bytes of one file of a finished job as they come.
    func content(_ id: String, variant: String, onBytes: (ArraySlice<UInt8>) -> Bool) throws(SoradError) {
        try client.stream(ClientRequest(.get, path(id) + "/content?variant=\(variant)"), onBytes: onBytes)
    }

    func models() throws(SoradError) -> ModelList { try client.fetch(ClientRequest(.get, "/v1/models")) }

    func quota() throws(SoradError) -> JSONValue { try client.fetch(ClientRequest(.get, "/v1/quota")) }

    func health() throws(SoradError) -> JSONValue { try client.fetch(ClientRequest(.get, "/healthz")) }

    private func path(_ id: String) -> String { "/v1/videos/" + percentEncoded(id) }
}

/// The socket that was named, or the first of the usual ones that exists: the system's, then the user's own.
func chosenSocket(_ named: String?, environment: [String: String]) throws(SoradError) -> String {
    if let named { return named }
    let usual = ["/run/sorad/sorad.sock"] + (environment["XDG_RUNTIME_DIR"].map { ["\($0)/sorad/sorad.sock"] } ?? [])
    if let found = usual.first(where: { unsafe access($0, F_OK) == 0 }) { return found }
    throw SoradError(
        .unavailable, "cannot find the daemon: there is no socket at \(usual.joined(separator: " or "))",
        hint: "sudo systemctl start sorad.socket, or say where it is with --socket PATH")
}
