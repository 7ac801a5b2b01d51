// Base64 (RFC 4648) and `data:` URLs (RFC 2397). Written by the letter, read as the programs of others write it.

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

/// The bytes of base64 as programs write it: with or without padding, in the alphabet of section 4 or 5 (`-` and `_`), in lines. nil when
/// another character is in it, digits follow the padding, or the number of digits is impossible. Unused bits are ignored.
public func base64Decoded(_ text: some Collection<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count / 4 * 3)
    var value = 0
    var digits = 0
    var padding = 0
    for byte in text {
        switch byte {
        case 0x20, 0x09, 0x0A, 0x0D: continue
        case UInt8(ascii: "="): padding += 1
        default:
            guard padding == 0, let digit = base64Digit(byte) else { return nil }
            value = value << 6 | digit
            digits += 1
            guard digits == 4 else { continue }
            for place in 0..<3 { bytes.append(UInt8(truncatingIfNeeded: value >> (16 - 8 * place))) }
            value = 0
            digits = 0
        }
    }
    guard digits != 1, padding == 0 || digits > 0 && digits + padding == 4 else { return nil }
    if digits == 2 { bytes.append(UInt8(truncatingIfNeeded: value >> 4)) }
    if digits == 3 { bytes += [UInt8(truncatingIfNeeded: value >> 10), UInt8(truncatingIfNeeded: value >> 2)] }
    return bytes
}

/// The content of a `data:` URL (RFC 2397), in base64 or in percent form; base64 may be percent-encoded too. nil for any other text.
public func dataURLContent(_ url: String) -> [UInt8]? {
    let utf8 = Array(url.utf8.drop { $0 == 0x20 || (0x09...0x0D).contains($0) })
    guard let comma = utf8.prefix(1024).firstIndex(of: UInt8(ascii: ",")) else { return nil }
    let head = String(decoding: utf8[..<comma], as: UTF8.self).lowercased()
    guard head.hasPrefix("data:"), let content = percentDecoded(Array(utf8[(comma + 1)...])) else { return nil }
    return head.hasSuffix(";base64") ? base64Decoded(content) : content
}

/// `%41` to `A`; nil when a percent sign stands without two hexadecimal digits.
public func percentDecoded(_ text: [UInt8]) -> [UInt8]? {
    guard text.contains(UInt8(ascii: "%")) else { return text }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.count)
    var index = 0
    while index < text.count {
        if text[index] == UInt8(ascii: "%") {
            guard text.count - index > 2, let value = UInt8(String(decoding: text[index + 1...index + 2], as: UTF8.self), radix: 16),
                text[index + 1] != UInt8(ascii: "+")
            else { return nil }
            bytes.append(value)
            index += 3
        } else {
            bytes.append(text[index])
            index += 1
        }
    }
    return bytes
}

private func base64Digit(_ byte: UInt8) -> Int? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): Int(byte) - 65
    case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(byte) - 97 + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte) - 48 + 52
    case UInt8(ascii: "+"), UInt8(ascii: "-"): 62
    case UInt8(ascii: "/"), UInt8(ascii: "_"): 63
    default: nil
    }
}
