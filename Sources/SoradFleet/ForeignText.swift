// Text that a box, or HTCondor, wrote: safe to print, and short, so that no machine can fill a message or a record.
import SoradSystem

/// `text` in the form of `printable`, at most `limit` bytes and the end of one character.
func short(_ text: String, _ limit: Int = 500) -> String {
    let safe = printable(text)
    return safe.utf8.count <= limit ? safe : String(decoding: safe.utf8.prefix(limit), as: UTF8.self) + "…"
}
