// Which handler answers which path. A pattern is literal segments and `{name}` segments; a literal one wins over a name at the same
// place, whatever the order of declaration, and is then the only candidate: GET on a path that only POST serves is 405, not an id.

/// The kind of body that a route takes.
public enum BodyKind: Sendable {
    /// None; a small one is read and ignored.
    case none
    /// A JSON object or a multipart form.
    case fields
}

package struct Route: Sendable {
    let method: Method
    let segments: [Segment]
    package let body: BodyKind
    /// Nobody needs a key for it.
    let isOpen: Bool
    let handler: DeferredHandler

    enum Segment: Sendable, Equatable {
        case literal(String)
        case name(String)
    }
}

public struct Routes: Sendable {
    private var routes: [Route] = []
    /// What to call instead of a call that is not served, by method and path.
    private var otherCalls: [String: String] = [:]

    public init() {}

    /// Adds a route. `pattern` begins with "/", e.g. "/v1/videos/{id}/content". HEAD is served by the GET route.
    /// `isOpen`: it may be asked without a key where keys are needed; it must say nothing of users.
    public mutating func on(
        _ method: Method, _ pattern: String, body: BodyKind = .none, isOpen: Bool = false, _ handler: @escaping Handler
    ) {
        onDeferred(method, pattern, body: body, isOpen: isOpen) { request, reply in
            do { reply.send(try handler(request)) } catch { reply.send(Response(failure: error)) }
        }
    }

    /// Adds a route whose handler may answer after it has returned.
    public mutating func onDeferred(
        _ method: Method, _ pattern: String, body: BodyKind = .none, isOpen: Bool = false, _ handler: @escaping DeferredHandler
    ) {
        precondition(pattern.hasPrefix("/") && method != .head, "route \(method) \(pattern)")
        let segments = pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map { part -> Route.Segment in
            part.hasPrefix("{") && part.hasSuffix("}") ? .name(String(part.dropFirst().dropLast())) : .literal(String(part))
        }
        precondition(!routes.contains { $0.method == method && $0.segments == segments }, "route \(method) \(pattern) twice")
        routes.append(Route(method: method, segments: segments, body: body, isOpen: isOpen, handler: handler))
    }

    /// Has the refusal of a call that other servers know, and this one does not, say what to call here. `path` has no names.
    public mutating func advise(_ method: Method, _ path: String, _ sentence: String) {
        precondition(method != .head && !path.contains("{"), "advice for \(method) \(path)")
        otherCalls["\(method.rawValue) \(path)"] = sentence
    }

    /// `path`: decoded segments.
    func advice(_ method: Method, path: [String]) -> String? { otherCalls["\(method.rawValue) /\(path.joined(separator: "/"))"] }

    enum Match: Sendable {
        case found(Route, parameters: [String: String])
        case methodNotAllowed(allowed: [Method])
        case notFound
    }

    /// `path`: decoded segments.
    func match(_ method: Method, path: [String]) -> Match {
        let candidates = routes.filter { Routes.fits($0.segments, path) }
        guard let best = candidates.map({ Routes.rank($0.segments) }).max(by: { $0.lexicographicallyPrecedes($1) }) else {
            return .notFound
        }
        let here = candidates.filter { Routes.rank($0.segments) == best }
        let wanted = method == .head ? Method.get : method
        guard let route = here.first(where: { $0.method == wanted }) else {
            var allowed = here.map(\.method)
            if allowed.contains(.get) { allowed.append(.head) }
            return .methodNotAllowed(allowed: Method.allCases.filter { allowed.contains($0) })
        }
        var parameters: [String: String] = [:]
        for (segment, value) in zip(route.segments, path) {
            if case .name(let name) = segment { parameters[name] = value }
        }
        return .found(route, parameters: parameters)
    }

    private static func fits(_ segments: [Route.Segment], _ path: [String]) -> Bool {
        segments.count == path.count
            && zip(segments, path).allSatisfy { segment, value in
                switch segment {
                case .literal(let text): text == value
                case .name: isParameter(value)
                }
            }
    }

    /// 1 for a literal, 0 for a name: greater is more specific, from the left.
    private static func rank(_ segments: [Route.Segment]) -> [Int] { segments.map { if case .literal = $0 { 1 } else { 0 } } }

    /// The one pattern for every id in a path.
    static func isParameter(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count) && !text.hasPrefix(".")
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
