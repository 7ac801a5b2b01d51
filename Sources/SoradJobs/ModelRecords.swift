// Descriptions of model files from earlier scans, so that a start need not read every file whole again. Rows name the state of a file and of
// the worker that described it; a file or a worker that has changed has no row.
// Invariant: losing this table costs time and nothing else. The worker checks a file's checksum again whenever it loads it.
package import SoradAPI
package import SoradSystem

/// Where descriptions of model files are remembered.
package protocol ModelRecords: Sendable {
    /// nil when nothing is known about this file as this worker describes it.
    func describedModel(_ key: ModelRecordKey) -> ModelInfo?
    /// Replaces all records.
    func replaceDescribedModels(_ models: [(key: ModelRecordKey, info: ModelInfo)])
}

package struct ModelRecordKey: Sendable, Hashable {
    package let file: FileIdentity
    package let worker: FileIdentity

    package init(file: FileIdentity, worker: FileIdentity) {
        self.file = file
        self.worker = worker
    }

    var text: String { "\(file.text)/\(worker.text)" }
}

extension JobStore {
    func describedModel(_ key: ModelRecordKey) throws(DatabaseError) -> ModelInfo? {
        guard let text = try database.run("SELECT info FROM model_file WHERE key = ?", .text(key.text)).first?.first?.text else {
            return nil
        }
        // A record that cannot be read is as good as none.
        guard let json = try? JSONValue(parsing: Array(text.utf8)), let info = try? ModelInfo(json: json) else { return nil }
        return info
    }

    func replaceDescribedModels(_ models: [(key: ModelRecordKey, info: ModelInfo)]) throws(DatabaseError) {
        try database.transaction { () throws(DatabaseError) in
            try database.run("DELETE FROM model_file")
            for (key, info) in models {
                try database.run("INSERT OR REPLACE INTO model_file (key, info) VALUES (?, ?)", .text(key.text), .text(info.json.text()))
            }
        }
    }
}

extension JobService: ModelRecords {
    package func describedModel(_ key: ModelRecordKey) -> ModelInfo? {
        withStore { store throws(DatabaseError) in try store.describedModel(key) } ?? nil
    }

    package func replaceDescribedModels(_ models: [(key: ModelRecordKey, info: ModelInfo)]) {
        withStore { store throws(DatabaseError) in try store.replaceDescribedModels(models) }
    }
}
