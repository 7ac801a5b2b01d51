// Uploads leave the space that must stay free, and every user leaves as much as they take.
import SoradAPI
import SoradHTTP
import SoradSystem
import Synchronization
import Testing

@Suite struct UploadSpaceTests {
    private static let mebibyte = 1 << 20

    private func kind(_ body: () throws -> Void) -> SoradError.Kind? {
        do {
            try body()
            return nil
        } catch { return (error as? SoradError)?.kind }
    }

    @Test func whatMustStayFreeStays() throws {
        let free = Atomic<Int>(10 << 20)
        let space = UploadSpace(bytes: 1 << 40, files: 10) { free.load(ordering: .relaxed) }
        let share = try space.share(of: 1)
        try share.grow(from: 0, by: 100)
        // Asked in steps: the disk is not looked at for every piece.
        #expect(space.bytesTaken == Self.mebibyte)
        free.store(0, ordering: .relaxed)
        try share.grow(from: 100, by: 1000)
        #expect(kind { try share.grow(from: Self.mebibyte, by: 1) } == .storageFull)
        #expect(space.bytesTaken == Self.mebibyte)
    }

    @Test func oneUserTakesHalfAtMost() throws {
        // A disk from whose free space the uploads are taken as they are written.
        let disk = Mutex(100 << 20)
        let space = UploadSpace(bytes: 1 << 40, files: 1000) { disk.withLock { $0 } }
        func fill(_ user: UInt32) throws -> (taken: Int, shares: [UploadSpace.Share]) {
            var shares: [UploadSpace.Share] = []
            while true {
                let share = try space.share(of: user)
                guard kind({ try share.grow(from: 0, by: Self.mebibyte) }) == nil else { return (shares.count, shares) }
                disk.withLock { $0 -= Self.mebibyte }
                shares.append(share)
            }
        }
        let first = try fill(1)
        #expect(first.taken == 50)
        // As much as the first left, again but for half.
        let second = try fill(2)
        #expect((24...26).contains(second.taken))
        withExtendedLifetime((first, second)) {}
    }

    @Test func allTogetherAndTheirFilesAreBounded() throws {
        let space = UploadSpace(bytes: 3 << 20, files: 4) { nil }
        let shares = try (0..<2).map { _ in try space.share(of: 1) }
        #expect(kind { _ = try space.share(of: 1) } == .busy, "half of the files")
        let others = try (0..<2).map { try space.share(of: UInt32(2 + $0)) }
        #expect(kind { _ = try space.share(of: 9) } == .busy)
        try shares[0].grow(from: 0, by: 2 << 20)
        try others[0].grow(from: 0, by: Self.mebibyte)
        #expect(kind { try others[1].grow(from: 0, by: 1) } == .busy)
        withExtendedLifetime((shares, others)) {}
    }

    @Test func aShareThatEndsGivesEverythingBack() throws {
        let space = UploadSpace(bytes: 2 << 20, files: 1) { nil }
        for _ in 0..<10 {
            let share = try space.share(of: 1)
            try share.grow(from: 0, by: 2 << 20)
            #expect(space.bytesTaken == 2 << 20)
        }
        #expect(space.bytesTaken == 0)
    }

    @Test func aFormBeyondTheSpaceIsRefusedAndLeavesNothing() throws {
        var settings = ServerSettings()
        settings.multipart.fileInMemory = 1000
        settings.uploadSpace = UploadSpace(bytes: 1 << 40, files: 10) { 0 }
        try withServer(
            settings, routes: { routes, _ in routes.on(.post, "/form", body: .fields) { _ in .text("taken") } },
            { server in
                let client = try RawClient(server.path, method: .post)
                let body =
                    "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n"
                    + String(repeating: "x", count: 5000) + "\r\n--b--\r\n"
                try client.send(
                    "POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                        + "Content-Length: \(body.utf8.count)\r\n\r\n" + body)
                #expect(try client.answer()?.status == 507)
                #expect(try fileNames(in: server.directory).filter { $0.hasPrefix("upload-") } == [])
            })
    }

    @Test(arguments: [64, 256, 1024, 4096, 65_536]) func connectionsFollowFromTheDescriptors(descriptors: Int) {
        var settings = ServerSettings()
        let files = settings.fit(descriptors: descriptors)
        #expect(settings.connections + settings.shedConnections + files <= max(21, descriptors))
        #expect(settings.connections <= ServerSettings().connections)
        #expect((1..<settings.connections).contains(settings.connectionsPerUser))
        // One user's connections, and those that are being refused, leave some for others.
        #expect(settings.connectionsPerUser + max(1, settings.shedConnections / 2) < settings.connections + settings.shedConnections)
    }
}
