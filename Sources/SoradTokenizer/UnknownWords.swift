// Which words of a text a model does not know: a hint for people, and nothing that the tokens depend on.
// Where a list says which words the model's captions had, every other word is unknown: a vocabulary has pieces for words that no caption
// had. Without a list the vocabulary tells what it can:
// A character that falls apart into bytes, or is the unknown piece, is one that the model never saw. A vocabulary of few pieces is made of
// the words of its captions and of parts that several of them share, and of letters for all others. There a word without a piece of two
// thirds of it is unknown too when more than a third of it is letters ("piano" of "p", "i", "an", "o"), or when no piece begins like it
// ("kitten" of " ", "k", "it", "te", "n"). "blue" of "bl" and "ue" is known, and "rolls" of "roll" and "s". In a large vocabulary most
// words are several pieces.

extension UnigramTokenizer {
    /// Below this number of pieces a vocabulary is one of whole words. Published ones of parts of words have 32,000 and more.
    static let wholeWordVocabulary = 16_384
    /// Characters of a word that are listed.
    private static let wordLimit = 48

    /// The words of `text` that are not known: each once, whatever its case, as it is written first; at most `limit`.
    /// - Parameters:
    ///   - tokens: those of `text`.
    ///   - known: the words that the model's captions had; nil where nobody says.
    public func unknownWords(in text: String, tokens: [Token], known: CaptionWords? = nil, limit: Int) -> [String] {
        var unknown: [String] = []
        var seen: Set<String> = []
        var next = 0
        for word in TextWord.words(of: text) {
            // Tokens lie in the order of the text, and so do words.
            while next < tokens.count, tokens[next].range.upperBound <= word.range.lowerBound { next += 1 }
            guard known.map({ !$0.contains(word.text) }) ?? isUnknown(word, tokens, from: next),
                seen.insert(word.text.lowercased()).inserted
            else { continue }
            unknown.append(String(word.text.prefix(Self.wordLimit)))
            if unknown.count == limit { break }
        }
        return unknown
    }

    private func isUnknown(_ word: TextWord, _ tokens: [Token], from first: Int) -> Bool {
        // Bytes of the word in its largest piece, and in pieces of one letter.
        var (largest, letters) = (0, 0)
        for token in tokens[first...] {
            if token.range.lowerBound >= word.range.upperBound { break }
            if isFallback(token.id) { return true }
            let bytes = token.range.clamped(to: word.range).count
            largest = max(largest, bytes)
            if isLetter(token.id) { letters += bytes }
        }
        guard vocabularySize < Self.wholeWordVocabulary, largest * 3 < word.range.count * 2 else { return false }
        return letters * 3 > word.range.count || first > 0 && isLoneSpace(tokens[first - 1].id)
    }
}

/// The words that a model's captions had. Endings make no difference: who has read "rolls" and "rolling" has an idea of "rolled".
public struct CaptionWords: Sendable {
    private let stems: Set<String>

    /// - Parameter words: in lower case; an ideograph is a word.
    public init(_ words: [String]) { stems = Set(words.map(CaptionWords.stem)) }

    func contains(_ word: String) -> Bool { stems.contains(CaptionWords.stem(CaptionWords.folded(word))) }

    /// Lower case; full-width letters as plain ones, as tokenizers fold them.
    private static func folded(_ word: String) -> String {
        var folded = String.UnicodeScalarView()
        for scalar in word.unicodeScalars {
            let isWide = (0xFF01...0xFF5E).contains(scalar.value)
            folded.append(isWide ? Unicode.Scalar(scalar.value - 0xFEE0) ?? scalar : scalar == "\u{2019}" ? "'" : scalar)
        }
        return String(folded).lowercased()
    }

    /// The word without an ending of English, an "e" and a double consonant before it: "bounc" of "bounces" and "bouncing", "spin" of
    /// "spinning" and "spins". Short words are whole.
    private static func stem(_ word: String) -> String {
        var stem = word
        for ending in ["ing", "ed", "s"] where stem.hasSuffix(ending) && stem.utf8.count - ending.utf8.count >= 3 {
            stem.removeLast(ending.count)
            break
        }
        if stem.utf8.count > 3, stem.hasSuffix("e") { stem.removeLast() }
        let end = Array(stem.utf8.suffix(2))
        if stem.utf8.count > 3, end[0] == end[1] { stem.removeLast() }
        return stem
    }
}

/// A run of letters and digits with apostrophes between them, one ideograph, or one symbol.
struct TextWord: Equatable {
    var text: String
    /// Bytes of the text.
    var range: Range<Int>

    static func words(of text: String) -> [TextWord] {
        var words: [TextWord] = []
        var current = String.UnicodeScalarView()
        var (start, position) = (0, 0)
        func close(at end: Int) {
            var word = String(current)
            current = String.UnicodeScalarView()
            // A quotation mark at the end, and the genitive, are none of the word.
            for ending in ["\u{2019}s", "'s", "'", "\u{2019}"] where word.hasSuffix(ending) && word.count > ending.count {
                word.unicodeScalars.removeLast(ending.unicodeScalars.count)
            }
            if !word.isEmpty { words.append(TextWord(text: word, range: start..<start + word.utf8.count)) }
            start = end
        }
        for scalar in text.unicodeScalars {
            let length = UTF8.width(scalar)
            switch kind(of: scalar) {
            case .letter:
                if current.isEmpty { start = position }
                current.append(scalar)
            case .apostrophe where !current.isEmpty: current.append(scalar)
            case .alone:
                close(at: position)
                current.append(scalar)
                close(at: position + length)
            case .apostrophe, .gap: close(at: position)
            }
            position += length
        }
        close(at: position)
        return words
    }

    private enum Kind { case letter, alone, apostrophe, gap }

    private static func kind(of scalar: Unicode.Scalar) -> Kind {
        if scalar == "'" || scalar == "\u{2019}" { return .apostrophe }
        if scalar.properties.isIdeographic { return .alone }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber, .letterNumber,
            .otherNumber,
            .nonspacingMark, .spacingMark, .enclosingMark:
            return .letter
        case .otherSymbol: return .alone
        default: return .gap
        }
    }
}
