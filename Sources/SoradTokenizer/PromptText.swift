// What happens to a prompt before it is tokenized: white space is folded, nothing else.
// The reference pipeline (`prompt_clean` in diffusers' `pipeline_wan.py`) also repairs mojibake with ftfy, where that is
// installed, and decodes HTML entities twice. Both are for text scraped from the web. Here a person or a program writes the
// prompt, and "&amp;" or a rare letter means what it says. Folding is kept because not every vocabulary's rules do it: plain
// NFKC leaves a line break or a tab as an unknown character.

/// The text of a prompt.
public enum PromptText {
    /// `text` with each run of white space replaced by one space and none at the ends: `re.sub(r"\s+", " ", text).strip()` in Python.
    public static func whitespaceCleaned(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var pendingSpace = false
        for scalar in text.unicodeScalars {
            if isSpace(scalar) {
                pendingSpace = !result.isEmpty
            } else {
                if pendingSpace { result.append(" ") }
                pendingSpace = false
                result.append(scalar)
            }
        }
        return String(result)
    }

    /// What Python's `\s` matches in a `str`: Unicode's White_Space and the four information separators U+001C to U+001F.
    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || (0x1C...0x1F).contains(scalar.value)
    }
}
