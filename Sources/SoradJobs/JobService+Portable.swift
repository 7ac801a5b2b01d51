// Jobs that move between machines: what of a job travels, and a job that has come. docs/PORTABLE_JOBS.md is the contract.
public import SoradAPI
public import SoradSystem

extension JobService {
    /// The files of a job as another machine needs them. Of one that is being made the newest checkpoint may be half written; the next
    /// worker then takes an older one, or begins again.
    public func portableFiles(of job: Job) throws(SoradError) -> [TarArchive.Entry] {
        let portable = PortablePlan(job: job.id.text, plan: job.plan)
        var entries = [TarArchive.Entry(PortableFile.plan, .bytes(Array(portable.json.text(pretty: true).utf8)))]
        var results: [String] = []
        if let result = job.result {
            entries.append(.init(PortableFile.result, .bytes(Array(portable.json(result).text(pretty: true).utf8))))
            results = [result.video, result.thumbnail, result.spritesheet]
        }
        let directory = spool.directory(of: job.id)
        // A job of text alone has none before it is begun.
        let names = (try? fileNames(in: directory)) ?? []
        for name in names.sorted() where TarArchive.isName(name) && (PortableFile.isInput(name) || results.contains(name)) {
            entries.append(.init(name, .file("\(directory)/\(name)")))
        }
        return entries
    }

    /// Bytes of an archive of `entries`, about.
    public func portableBytes(of entries: [TarArchive.Entry]) -> Int {
        entries.reduce(1024) { sum, entry in
            guard case .file(let path) = entry.content else { return sum + 4096 }
            return sum + 1024 + Int((try? FileIdentity(path))?.size ?? 0)
        }
    }
}

extension JobDraft {
    /// Takes the files of a portable job.
    /// - Parameters:
    ///   - size: of the archive.
    ///   - read: as in `TarArchive.read`.
    /// - Returns: the plan.
    /// - Throws: `.badInput` with one sentence about the archive, `.conflict` for a job that is finished.
    public func unpack(size: Int, from read: (Int, Int) throws(SoradError) -> [UInt8]) throws(SoradError) -> ClipPlan {
        var plan: [UInt8] = []
        var isFinished = false
        try TarArchive.read(size: size, from: read) { name, size throws(SoradError) in
            switch name {
            case PortableFile.plan:
                guard size <= PortableFile.sizeLimit else { throw SoradError(.badInput, "\(name) is too large") }
                return { bytes throws(SoradError) in plan += bytes }
            case PortableFile.result: isFinished = true
            case PortableFile.request: break
            default:
                if PortableFile.isInput(name) { return try self.writer(of: name) }
            // A clip and its pictures, which go with a result.
            }
            return { _ throws(SoradError) in }
        }
        if isFinished { throw SoradError(.conflict, "the job is finished: its clip is in the folder") }
        guard !plan.isEmpty else {
            throw SoradError(.badInput, "the folder has no \(PortableFile.plan): sorad-worker --once or sorad-ctl export writes it")
        }
        do throws(JSONError) { return try PortablePlan(json: JSONValue(parsing: plan)).plan } catch {
            throw SoradError(.badInput, "\(PortableFile.plan) cannot be used: \(error)")
        }
    }

    private func writer(of name: String) throws(SoradError) -> ([UInt8]) throws(SoradError) -> Void {
        let file: OwnedFile
        do throws(Errno) { file = OwnedFile(try FileDescriptor(creating: path(named: name))) } catch { throw failure(error) }
        return { [self] bytes throws(SoradError) in
            do throws(Errno) { try file.descriptor.write(bytes) } catch { throw failure(error) }
        }
    }
}
