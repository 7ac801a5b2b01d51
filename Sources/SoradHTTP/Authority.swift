// `host [":" port]`, the authority in Host and in a target in absolute form. RFC 9110 section 7.2 wants a request with a malformed one refused.

enum Authority {
    /// RFC 3986 section 3.2 without user information; empty is valid, a request may name no host.
    static func isValid(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.first == UInt8(ascii: "[") else {
            let host = bytes.prefix { $0 != UInt8(ascii: ":") }
            return isName(host) && isPort(bytes[host.endIndex...])
        }
        guard let end = bytes.firstIndex(of: UInt8(ascii: "]")) else { return false }
        let address = bytes[bytes.index(after: bytes.startIndex)..<end]
        return isAddress(address) && isPort(bytes[bytes.index(after: end)...])
    }

    static func hasHost(_ bytes: ArraySlice<UInt8>) -> Bool { !bytes.isEmpty && bytes.first != UInt8(ascii: ":") }

    /// Nothing, or a colon and up to five digits.
    private static func isPort(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard let colon = bytes.first else { return true }
        let digits = bytes.dropFirst()
        return colon == UInt8(ascii: ":") && digits.count <= 5 && digits.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// The characters of an IPv6 address; nobody connects to it here.
    private static func isAddress(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.contains(UInt8(ascii: ":"))
            && bytes.allSatisfy { hexDigit($0) != nil || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") }
    }

    /// `*( unreserved / pct-encoded / sub-delims )`
    private static func isName(_ bytes: ArraySlice<UInt8>) -> Bool {
        var index = bytes.startIndex
        while index < bytes.endIndex {
            switch bytes[index] {
            case UInt8(ascii: "%"):
                guard index + 2 < bytes.endIndex, hexDigit(bytes[index + 1]) != nil, hexDigit(bytes[index + 2]) != nil else { return false }
                index += 3
            case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "="): index += 1
            // A token's characters but for those that no URI has.
            case let byte
            where isTokenByte(byte)
                && ![UInt8(ascii: "#"), UInt8(ascii: "^"), UInt8(ascii: "`"), UInt8(ascii: "|")].contains(byte):
                index += 1
            default: return false
            }
        }
        return true
    }
}
