import Glibc
import SoradSystem
import Testing

@Suite struct FrameChannelTests {
    /// A channel and the raw other end of its socket.
    private struct Ends: ~Copyable {
        let channel: FrameChannel
        let peer: FileDescriptor
        init(limit: Int = 1000) throws {
            let pair = try SocketPair()
            channel = FrameChannel(owning: pair.first, limit: limit)
            peer = pair.second
        }
    }

    @Test func framesArriveWholeAndInOrder() throws {
        let pair = try SocketPair()
        let left = FrameChannel(owning: pair.first, limit: 1 << 20)
        let right = FrameChannel(owning: pair.second, limit: 1 << 20)
        try left.send([1])
        try left.send([UInt8](repeating: 7, count: 70_000))
        #expect(try right.receive() == .frame([1]))
        #expect(try right.receive() == .frame([UInt8](repeating: 7, count: 70_000)))
        try right.send([9, 9])
        #expect(try left.receive() == .frame([9, 9]))
    }

    @Test func aFrameInPiecesIsKeptUntilItIsWhole() throws {
        let ends = try Ends()
        #expect(try ends.channel.receive(timeout: .zero) == .timedOut)
        try ends.peer.write([3, 0])
        #expect(try ends.channel.receive(timeout: .zero) == .timedOut)
        try ends.peer.write([0, 0, 10, 11])
        #expect(try ends.channel.receive(timeout: .milliseconds(5)) == .timedOut)
        try ends.peer.write([12, 1, 0, 0, 0, 99])
        #expect(try ends.channel.receive(timeout: .zero) == .frame([10, 11, 12]))
        #expect(try ends.channel.receive(timeout: .zero) == .frame([99]))
    }

    @Test(
        arguments: [([0, 0, 0, 0], UInt32(0)), ([0xe9, 3, 0, 0], 1001), ([0xff, 0xff, 0xff, 0xff], UInt32.max)] as [([UInt8], UInt32)])
    func aLengthOutsideTheLimitIsRefused(header: [UInt8], length: UInt32) throws {
        let ends = try Ends(limit: 1000)
        try ends.peer.write(header)
        #expect(throws: FrameChannel.Failure.frameLength(length, limit: 1000)) { try ends.channel.receive() }
    }

    @Test func theEndBetweenFramesDiffersFromTheEndInsideOne() throws {
        let pair = try SocketPair()
        let channel = FrameChannel(owning: pair.first, limit: 10)
        let peer = pair.second
        try peer.write([1, 0, 0, 0, 5])
        _ = shutdown(peer.rawValue, Int32(SHUT_WR))
        #expect(try channel.receive() == .frame([5]))
        #expect(try channel.receive() == .endOfStream)

        let cut = try Ends()
        try cut.peer.write([4, 0, 0, 0, 5])
        _ = shutdown(cut.peer.rawValue, Int32(SHUT_WR))
        #expect(throws: FrameChannel.Failure.endInsideFrame) { try cut.channel.receive() }
    }

    @Test func aPeerThatDoesNotReadCannotHoldTheSender() throws {
        let ends = try Ends(limit: 1 << 20)
        let big = [UInt8](repeating: 1, count: 1 << 20)
        #expect(throws: FrameChannel.Failure.sendTimedOut) { try ends.channel.send(big, timeout: .milliseconds(20)) }
    }

    @Test func sendingToAClosedPeerIsAnErrorNotASignal() throws {
        let pair = try SocketPair()
        let channel = FrameChannel(owning: pair.first, limit: 10)
        do { let peer = pair.second; _ = shutdown(peer.rawValue, Int32(SHUT_RDWR)) }
        #expect(throws: FrameChannel.Failure.peerClosed) { try channel.send([1]) }
    }
}
