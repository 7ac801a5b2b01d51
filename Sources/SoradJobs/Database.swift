// The only file that speaks SQLite's C interface: one connection, prepared statements, transactions.
// Invariant: used by one thread at a time (its owner holds a lock), and a failed commit leaves nothing of its transaction.
import CSQLite
import SoradSystem

/// An error of SQLite, in its own words.
package struct DatabaseError: Error, Sendable, Equatable, CustomStringConvertible {
    package let code: Int32
    package let message: String
    package let statement: String

    /// The operating system's errno; 0 for none.
    package let systemCode: Int32

    init(code: Int32, message: String, statement: String, systemCode: Int32 = 0) {
        self.code = code
        self.message = message
        self.statement = statement
        self.systemCode = systemCode
    }

    /// No space is left, or no quota; nothing was changed, and it may be tried again when there is some. SQLite calls only ENOSPC in a
    /// write "full". A failed sync never counts as this, whatever its reason: the lost data are unknown.
    var isFull: Bool {
        let hasNoSpace = Errno(code: systemCode, call: "").isOutOfSpace
        return code & 0xff == SQLITE_FULL || (hasNoSpace && DatabaseError.beforeTheSync.contains(code))
    }
    /// Reading, writing or syncing failed for another reason than a lack of space: the content of the disk is unknown.
    var isDiskFailure: Bool { code & 0xff == SQLITE_IOERR && !isFull }
    /// SQLITE_IOERR_WRITE and SQLITE_IOERR_SHMSIZE, macros that Swift does not import.
    private static let beforeTheSync = [SQLITE_IOERR | 3 << 8, SQLITE_IOERR | 19 << 8]
    var isNotADatabase: Bool { code & 0xff == SQLITE_NOTADB || code & 0xff == SQLITE_CORRUPT }
    package var description: String { "\(message) (SQLite code \(code), \(statement))" }
}

package enum DatabaseValue: Sendable, Equatable {
    case null
    case integer(Int64)
    case text(String)

    var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    var text: String? { if case .text(let value) = self { value } else { nil } }
}

@safe package final class Database {
    private let path: String
    /// nil between a `reopen` that failed and the next; every call then is an error.
    private var handle: OpaquePointer?
    private var statements: [String: OpaquePointer] = unsafe [:]
    /// The error with which the next transactions end instead of a commit; for tests.
    package var fault: (code: Int32, count: Int)?

    /// Opens or makes the file at `path`.
    package init(path: String) throws(DatabaseError) {
        self.path = path
        unsafe handle = try Database.open(path)
    }

    /// Closes the file and opens it again.
    func reopen() throws(DatabaseError) {
        close()
        unsafe handle = try Database.open(path)
    }

    private static func open(_ path: String) throws(DatabaseError) -> OpaquePointer {
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW
        let code = unsafe sqlite3_open_v2(path, &handle, flags, nil)
        guard code == SQLITE_OK, let opened = unsafe handle else {
            let message = unsafe String(cString: sqlite3_errstr(code))
            unsafe sqlite3_close_v2(handle)
            throw DatabaseError(code: code, message: message, statement: "open")
        }
        return unsafe opened
    }

    deinit { close() }

    private func close() {
        unsafe statements.values.forEach { unsafe _ = sqlite3_finalize($0) }
        unsafe statements = [:]
        unsafe sqlite3_close_v2(handle)
        unsafe handle = nil
    }

    /// Runs statements without values or rows.
    package func execute(_ sql: String) throws(DatabaseError) {
        try check(unsafe sqlite3_exec(handle, sql, nil, nil, nil), sql)
    }

    /// Runs one statement; the rows, each a list of columns. It is prepared once and kept.
    @discardableResult
    package func run(_ sql: String, _ values: DatabaseValue...) throws(DatabaseError) -> [[DatabaseValue]] {
        let statement = unsafe try prepared(sql)
        defer {
            unsafe sqlite3_reset(statement)
            unsafe sqlite3_clear_bindings(statement)
        }
        for (index, value) in values.enumerated() { unsafe try bind(value, at: Int32(index + 1), of: statement, sql) }
        var rows: [[DatabaseValue]] = []
        while true {
            switch unsafe sqlite3_step(statement) {
            case SQLITE_ROW: unsafe rows.append((0..<sqlite3_column_count(statement)).map { unsafe Database.column($0, of: statement) })
            case SQLITE_DONE: return rows
            case let code: throw error(code, sql)
            }
        }
    }

    /// All of `body` or nothing, durable when it returns.
    func transaction(_ body: () throws(DatabaseError) -> Void) throws(DatabaseError) {
        try execute("BEGIN IMMEDIATE")
        do throws(DatabaseError) {
            try body()
            if let fault, fault.count > 0 {
                self.fault = (fault.code, fault.count - 1)
                throw DatabaseError(code: fault.code, message: "an injected fault", statement: "COMMIT")
            }
            try execute("COMMIT")
        } catch {
            // Fails when SQLite has rolled back by itself.
            _ = unsafe sqlite3_exec(handle, "ROLLBACK", nil, nil, nil)
            throw error
        }
    }

    private func prepared(_ sql: String) throws(DatabaseError) -> OpaquePointer {
        if let known = unsafe statements[sql] { return unsafe known }
        var statement: OpaquePointer?
        try check(unsafe sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil), sql)
        guard let ready = unsafe statement else { preconditionFailure("empty statement: \(sql)") }
        unsafe statements[sql] = ready
        return unsafe ready
    }

    private func bind(_ value: DatabaseValue, at index: Int32, of statement: OpaquePointer, _ sql: String) throws(DatabaseError) {
        switch value {
        case .null: try check(unsafe sqlite3_bind_null(statement, index), sql)
        case .integer(let integer): try check(unsafe sqlite3_bind_int64(statement, index, integer), sql)
        case .text(let text):
            let count = Int32(text.utf8.count)
            try check(unsafe sqlite3_bind_text(statement, index, text, count, sorad_sqlite_transient()), sql)
        }
    }

    private static func column(_ index: Int32, of statement: OpaquePointer) -> DatabaseValue {
        switch unsafe sqlite3_column_type(statement, index) {
        case SQLITE_INTEGER: return .integer(unsafe sqlite3_column_int64(statement, index))
        case SQLITE_TEXT:
            guard let text = unsafe sqlite3_column_text(statement, index) else { return .null }
            let bytes = unsafe UnsafeBufferPointer(start: text, count: Int(sqlite3_column_bytes(statement, index)))
            return .text(unsafe String(decoding: bytes, as: UTF8.self))
        default: return .null
        }
    }

    private func check(_ code: Int32, _ sql: String) throws(DatabaseError) {
        if code != SQLITE_OK { throw error(code, sql) }
    }

    private func error(_ code: Int32, _ sql: String) -> DatabaseError {
        DatabaseError(
            code: code, message: unsafe String(cString: sqlite3_errmsg(handle)), statement: String(sql.prefix(60)),
            systemCode: unsafe sqlite3_system_errno(handle))
    }
}
