// A thread of the operating system: for loops that block, which must not sit on the cooperative pool.
import CSoradLinux
import Glibc

/// Runs a body on a thread of its own until it returns. Invariant: joined or detached, exactly once.
public final class SystemThread: Sendable {
    private let thread: pthread_t

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// - Parameter name: at most 15 bytes, shown by ps and debuggers.
    public init(name: String, stackSize: Int = 512 << 10, _ body: @escaping @Sendable () -> Void) throws(Errno) {
        precondition(name.utf8.count <= 15, "thread name \(name)")
        var attributes = pthread_attr_t()
        unsafe pthread_attr_init(&attributes)
        defer { unsafe pthread_attr_destroy(&attributes) }
        unsafe pthread_attr_setstacksize(&attributes, stackSize)
        let context = unsafe Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let code = unsafe pthread_create(
            &thread, &attributes,
            { context in
                unsafe Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        guard code == 0 else {
            unsafe context.release()
            throw Errno(code: code, call: "pthread_create")
        }
        self.thread = thread
        unsafe sorad_linux_thread_name(thread, name)
    }

    /// Waits for the end of the body. Call exactly once, from another thread.
    public func join() {
        let code = pthread_join(thread, nil)
        precondition(code == 0, "pthread_join: \(code)")
    }

    /// Lets it end by itself: nobody waits for it. Its body holds the objects that it uses.
    public func detach() {
        let code = pthread_detach(thread)
        precondition(code == 0, "pthread_detach: \(code)")
    }
}
