// Every limit and deadline of the server, with its default. All of them can be set, so that tests need not wait.

public struct ServerSettings: Sendable {
    // Connections
    /// Connections served at once; more are answered with 503 and closed.
    public var connections = 1_280
    /// The same for one user id.
    public var connectionsPerUser = 1_152
    /// Connections above `connections` that are kept long enough to be told so; beyond them the backlog waits.
    public var shedConnections = 128
    /// Connections by TCP that have shown no valid key yet; one more ends the oldest of them.
    public var anonymousConnections = 256
    /// Requests that wait for a handler thread; more are answered with 503.
    public var queuedRequests = 1_024
    public var handlerThreads = 2
    /// The same for requests whose body has more than `largeBody` bytes: reading it and inspecting its pictures takes long.
    /// So few threads also bound the memory that reading takes, which is about three times the body's bytes.
    public var queuedLargeBodies = 64
    public var largeBodyThreads = 2
    public var largeBody = 64 << 10

    // Sizes in bytes
    public var requestLine = 8 << 10
    public var headerLine = 8 << 10
    public var headerFields = 64
    /// All header lines together.
    public var headerBytes = 16 << 10
    /// A JSON body (pictures may come as data URLs).
    public var jsonBody = 24 << 20
    /// A multipart body.
    public var formBody = 256 << 20
    public var multipart = MultipartLimits()
    /// Body bytes held in memory over all connections; more are answered with 503.
    public var bodyMemory = 128 << 20
    /// Body bytes read and thrown away so that a refused request's connection can be kept.
    public var discardedBody = 1 << 20
    /// Directory for uploads that do not stay in memory; nil refuses them with 413.
    public var uploadDirectory: String?
    /// Space on disk of uploads; nil holds them to the limit of a body alone.
    public var uploadSpace: UploadSpace?

    // Deadlines
    /// From the first byte of a request to the end of its head.
    public var headTime: Duration = .seconds(10)
    /// A body may take `bodyGrace` plus its bytes at `bodyRate` bytes per second.
    public var bodyGrace: Duration = .seconds(10)
    public var bodyRate = 16 << 10
    /// Between two requests of a connection, and before the first.
    public var idleTime: Duration = .seconds(60)
    /// A response may take `writeGrace` plus its bytes at `writeRate` bytes per second; each piece of a stream alike.
    public var writeGrace: Duration = .seconds(20)
    public var writeRate = 16 << 10
    /// After the last response of a closing connection, for the client to read it.
    public var lingerTime: Duration = .seconds(2)
    /// Seconds that shed clients shall wait, as their answer says.
    public var retryAfter = 1

    public init() {}

    /// Lowers the numbers of connections to what `descriptors` allow: each has a socket and perhaps a file that it sends or receives.
    /// Nine tenths of them may be one user's.
    /// - Returns: files that uploads may have open.
    public mutating func fit(descriptors: Int) -> Int {
        let pairs = max(11, descriptors / 2)
        guard pairs < connections + shedConnections else { return connections }
        connections = pairs * 10 / 11
        shedConnections = pairs - connections
        connectionsPerUser = max(1, connections * 9 / 10)
        anonymousConnections = max(1, connections / 5)
        return connections
    }
}

public struct MultipartLimits: Sendable, Equatable {
    public var parts = 64
    /// Header bytes of one part.
    public var partHeader = 4 << 10
    /// One text field.
    public var textField = 1 << 20
    /// A file part longer than this goes to disk.
    public var fileInMemory = 64 << 10

    public init() {}
}
