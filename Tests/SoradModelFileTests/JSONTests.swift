// JSON as RFC 8259 has it, and nothing else.
import SoradModelFile
import SoradSystem
import SoradTestSupport
import Testing

@Suite struct JSONTests {
    private static func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8), name: "test") }

    @Test func valuesAreRead() throws {
        let value = try Self.parse(" {\"a\" : [1, -2.5e3, true, null, \"x\\n\\u00e9\\ud83c\\udf88\\/\"], \"b\":{}}\r\n")
        let array = try #require(value["a"]?.array)
        #expect(
            array[0].wholeNumber == 1 && array[1].double == -2500 && array[1].wholeNumber == nil && array[2].bool == true
                && array[3] == .null)
        #expect(array[4].string == "x\né🎈/")
        #expect(value["b"] == [:] && value["c"] == nil)
    }

    @Test func whatIsWrittenIsRead() throws {
        let value: JSONValue = [
            "text \"\\\u{1}\n雪": "\u{7f}\t", "numbers": [-3, .double(0.1), .double(1e300)], "objects": [[:], ["k": false]], "none": nil,
        ]
        #expect(try Self.parse(value.text()) == value)
    }

    @Test(arguments: [
        "", " ", "{", "[", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":1,\"a\":2}", "tru", "nul", "truex", "1 2",
        "01", "-", "1.", ".5", "1e",
        "+1", "NaN", "Infinity", "0x10", "\"", "\"\\q\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"a\nb\"",
        "'a'", "[1}", "\u{feff}1",
        String(repeating: "[", count: 100_000), String(repeating: "{\"a\":", count: 65), String(repeating: "9", count: 100),
    ]) func everythingElseIsRefused(text: String) throws {
        let error = try #require(failure { _ = try Self.parse(text) })
        #expect(error.kind == .badInput && error.message.contains("test is not valid JSON"), "\(error.message)")
    }

    @Test func textThatIsNotUTF8IsRefused() {
        #expect(throws: SoradError.self) { try JSONValue(parsing: [0x22, 0xff, 0x22], name: "test") }
    }
}
