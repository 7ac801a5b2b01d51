// The pages of a mapping that a part of it has for itself. Owns nothing.

/// The whole pages of `page` bytes within `part` of a mapping that begins on a page; empty where there is none. Pages that reach beyond
/// it hold bytes of the neighbors too.
/// - Parameters part: bytes from the start of the mapping; page: the system's, a power of two (4, 16 or 64 KiB on ARM).
package func wholePages(in part: Range<Int>, page: Int) -> Range<Int> {
    let first = (part.lowerBound + page - 1) / page * page
    return first..<max(first, part.upperBound / page * page)
}
