import SoradSystem
import Testing

@Suite struct Base64Tests {
    /// RFC 4648, section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy"),
    ])
    func knownPairs(text: String, encoded: String) {
        #expect(base64Encoded(Array(text.utf8)) == encoded)
        #expect(base64Decoded(encoded.utf8) == Array(text.utf8))
    }

    @Test func everyByteComesBack() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 * 37 + $0 >> 8) }
        for count in [1, 2, 3, 255, 256, 257, 1000] {
            #expect(base64Decoded(base64Encoded(Array(bytes.prefix(count))).utf8) == Array(bytes.prefix(count)))
        }
    }

    @Test(arguments: ["Z", "Zg", "Zg=", "Zg===", "====", "Z===", "Zg==Zg==", "Zg=a", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Zm-_"])
    func everythingElseIsRefused(text: String) {
        #expect(base64Decoded(text.utf8) == nil)
    }

    @Test func dataURLs() {
        #expect(dataURLContent("data:image/png;base64,Zm9v") == Array("foo".utf8))
        #expect(dataURLContent("DATA:;base64,Zm9v") == Array("foo".utf8))
        for url in ["data:,foo", "data:image/png,foo", "data:image/png;base64,@", "http://x/;base64,Zm9v", "", "data:;base64"] {
            #expect(dataURLContent(url) == nil)
        }
    }
}
