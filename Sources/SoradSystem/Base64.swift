// Base64 by RFC 4648 section 4, and `data:` URLs (RFC 2397) in the one form that carries a picture.

/// `bytes` with padding, without line breaks.
public func base64Encoded(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
        let part = bytes[index..<min(index + 3, bytes.count)]
        let value = part.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - part.count))
        for digit in 0..<4 { text.append(digit <= part.count ? alphabet[value >> (18 - 6 * digit) & 63] : UInt8(ascii: "=")) }
        index += 3
    }
    return String(decoding: text, as: UTF8.self)
}

/// The bytes of base64 with its padding; nil for anything else, unused bits that are not zero included.
public func base64Decoded(_ text: some Collection<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 4 * 3)
    var value = 0
    var digits = 0
    var padding = 0
    for byte in text {
        digits += 1
        if byte == UInt8(ascii: "="), digits > 2 {
            padding += 1
            value <<= 6
        } else {
            guard padding == 0, let digit = base64Digit(byte) else { return nil }
            value = value << 6 | digit
        }
        guard digits == 4 else { continue }
        let unused = padding == 0 ? 0 : padding == 1 ? value & 0xFF : value & 0xFFFF
        guard padding <= 2, unused == 0 else { return nil }
        for place in 0..<3 - padding { bytes.append(UInt8(truncatingIfNeeded: value >> (16 - 8 * place))) }
        value = 0
        digits = 0
        // Nothing may follow the padding.
        if padding > 0 { padding = 3 }
    }
    return digits == 0 ? bytes : nil
}

/// The content of `data:[type];base64,…`; nil for any other text.
public func dataURLContent(_ url: String) -> [UInt8]? {
    let utf8 = Array(url.utf8)
    guard let comma = utf8.prefix(1024).firstIndex(of: UInt8(ascii: ",")) else { return nil }
    let head = String(decoding: utf8[..<comma], as: UTF8.self).lowercased()
    guard head.hasPrefix("data:"), head.hasSuffix(";base64") else { return nil }
    return base64Decoded(utf8[(comma + 1)...])
}

private func base64Digit(_ byte: UInt8) -> Int? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(byte) - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(byte) - 97 + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte) - 48 + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
}
