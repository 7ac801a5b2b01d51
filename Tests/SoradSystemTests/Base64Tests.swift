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

    @Test(arguments: [
        "Z", "Zg=", "Zg===", "====", "=", "Z===", "Zg==Zg==", "Zg=a", "Zm9v=", "Zm9v====", "Zm9v!", "Zm9vZ", "Zm\u{A0}9v", "Zm.v",
    ])
    func everythingElseIsRefused(text: String) {
        #expect(base64Decoded(text.utf8) == nil)
    }

    /// As Python's encodebytes, `base64`, JavaScript's base64url and PEM programs write it.
    @Test(arguments: [
        ("Zm9v\nYmFy\n", "foobar"), ("Zm9v\r\n YmE=\r\n", "fooba"), ("Zg", "f"), ("Zm8", "fo"), ("Zh==", "f"), ("Zm8\n=", "fo"),
        ("Pz8_", "???"), ("Pz8/", "???"),
        ("fn5-", "~~~"), ("fn5+", "~~~"),
    ])
    func otherWritingsAreTaken(encoded: String, text: String) {
        #expect(base64Decoded(encoded.utf8) == Array(text.utf8))
    }

    @Test func dataURLs() {
        for url in [
            "data:image/png;base64,Zm9v", "DATA:;base64,Zm9v", "data:image/png;base64,Zm%39v", "data:image/png;base64,Zm9v%0A", "data:,foo",
            "data:image/png;base64,Z m\n9v", "data:image/png,f%6Fo", "data:text/plain;charset=utf-8,%66oo",
        ] { #expect(dataURLContent(url) == Array("foo".utf8), "\(url)") }
        #expect(dataURLContent("data:image/png,%89PNG%0d%0a") == [0x89, 0x50, 0x4E, 0x47, 13, 10])
        for url in [
            "data:image/png;base64,@", "http://x/;base64,Zm9v", "", "data:;base64", "data:image/png,%8", "data:,%zz", "data:,%+1", "foo",
            "data:image/png;base64,Zm9v%",
        ] { #expect(dataURLContent(url) == nil, "\(url)") }
    }
}
