import SoradSystem
import Testing

@Suite struct NetworkAddressTests {
    @Test(arguments: [
        ("127.0.0.1:8790", true), ("127.1.2.3:0", true), ("[::1]:65535", true), ("0.0.0.0:1", false), ("192.168.1.2:80", false),
        ("[::]:80", false), ("[fe80::1]:80", false), ("[::ffff:127.0.0.1]:80", false),
    ]) func addresses(_ text: String, _ isLoopback: Bool) throws {
        let address = try #require(NetworkAddress(text))
        #expect(address.isLoopback == isLoopback && address.description == text)
    }

    @Test(arguments: [
        "", ":", "8790", "localhost:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:x", "::1:80", "[::1]",
        "[127.0.0.1]:80", "[::1:80", "127.0.0.1:80\n", " 127.0.0.1:80", "1:2:3",
    ]) func others(_ text: String) {
        // "::1:80" is an address without a port, as far as anybody can tell.
        #expect(NetworkAddress(text) == nil)
    }

    @Test func aPortOfItsOwn() throws {
        let listener = try ListeningSocket(listeningAt: try #require(NetworkAddress("127.0.0.1:0")))
        let address = try #require(listener.address)
        #expect(address.port > 0 && address.isLoopback)
        #expect(throws: SoradError.self) { _ = try ListeningSocket(listeningAt: address) }
    }
}

@Suite struct NearestSizeTests {
    private let sizes = ClipSizes(
        model: "mini", native: (128, 128), sizeMultiple: 32, maxWidth: 256, maxHeight: 256, frameMultiple: 4, maxNumFrames: 81,
        maxPixels: 1_392_640)

    @Test(arguments: [
        ((1280, 720), (160, 96)), ((720, 1280), (96, 160)), ((1024, 1024), (128, 128)), ((100, 100), (128, 128)), ((256, 256), (256, 256)),
        ((32, 64), (32, 64)), ((16_384, 1), (256, 32)), ((1, 16_384), (32, 256)),
    ]) func nearest(_ asked: (Int, Int), _ made: (Int, Int)) {
        let size = sizes.nearest(width: asked.0, height: asked.1)
        #expect(size.width == made.0 && size.height == made.1)
    }

    @Test func mostFrames() {
        #expect(sizes.mostFrames(width: 128, height: 128) == 81)
        #expect(sizes.mostFrames(width: 256, height: 256) == 21)
    }
}
