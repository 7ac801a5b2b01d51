// An administrator's controls, which a restart keeps: whether jobs are taken in, whether they are begun, and the quotas.
// Two axes, as printers have them: intake and processing.
import SoradSystem

struct Controls: Sendable, Equatable {
    /// New jobs are refused; those that wait are done.
    var isDraining = false
    /// Nothing new is begun; running jobs continue to their end.
    var isPaused = false
    var quotas = QuotaTable.initial

    private static let intake = "draining"
    private static let processing = "paused"
    private static let quotaTable = "quotas"

    init(_ store: JobStore) throws(DatabaseError) {
        isDraining = try store.setting(Controls.intake)?.bool ?? false
        isPaused = try store.setting(Controls.processing)?.bool ?? false
        guard let json = try store.setting(Controls.quotaTable) else { return }
        do throws(JSONError) { quotas = try QuotaTable(json: json) } catch {
            throw DatabaseError(code: 11, message: "the record of the quotas is damaged: \(error)", statement: "setting")
        }
    }

    /// Makes the differences from `before` durable.
    func record(in store: JobStore, before: Controls) throws(DatabaseError) {
        if isDraining != before.isDraining { try store.set(Controls.intake, .bool(isDraining)) }
        if isPaused != before.isPaused { try store.set(Controls.processing, .bool(isPaused)) }
        if quotas != before.quotas { try store.set(Controls.quotaTable, quotas.json) }
    }
}
