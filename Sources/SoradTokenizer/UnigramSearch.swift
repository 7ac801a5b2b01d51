// The most probable split of a normalized text into pieces (Viterbi over a unigram language model; Kudo 2018,
// "Subword Regularization", section 3.2).
// Invariant: every position that begins a character has a best path, because a character that no piece covers alone gets the
// unknown piece. Time is linear in the text: from each character at most the longest piece's bytes are walked.
// Scores are added in Float in the order of the sentencepiece library (`EncodeOptimized`, 0.2.3), because with another
// order or width two nearly equal splits would sometimes change places.

/// Splits normalized text.
struct UnigramSearch: Sendable {
    /// What an unknown character costs beyond the least probable piece.
    private static let unknownPenalty: Float = 10
    /// Path scores beyond this are shifted back to zero, so that a long text does not wear out a Float's digits.
    private static let scoreResetThreshold: Float = 100_000

    private let trie: PieceTrie
    /// [V] log probabilities; a user-defined piece has a score that always wins.
    private let scores: [Float]
    private let unknownID: Int32
    private let unknownScore: Float

    /// The best path that ends at a position.
    private struct PathEnd {
        var score: Float = 0
        /// Where its last piece begins, or -1 while there is no path.
        var start: Int32 = -1
        var id: Int32 = -1
    }

    init(_ model: SentencePieceModel) throws(TokenizerError) {
        let ids = model.types.indices.filter({ model.types[$0] == .normal || model.types[$0] == .userDefined })
        trie = try PieceTrie(pieces: model.pieces, ids: ids.map(Int32.init))
        var scores = model.scores
        var minimum = Float.greatestFiniteMagnitude
        for id in ids {
            if model.types[id] == .userDefined {
                scores[id] = Float(0.1 * Double(model.pieces[id].utf8.count - 1))
            } else {
                minimum = min(minimum, scores[id])
            }
        }
        self.scores = scores
        unknownID = model.unknownID
        unknownScore = minimum - Self.unknownPenalty
    }

    /// - Parameter text: normalized bytes.
    /// - Returns: the pieces' ids and byte ranges in `text`, in order, without gaps.
    func bestSplit(_ text: [UInt8]) -> [(id: Int32, range: Range<Int>)] {
        var ends = [PathEnd](repeating: PathEnd(), count: text.count + 1)
        var frontier = 0
        var start = 0
        while start < text.count {
            if ends[start].score.magnitude > Self.scoreResetThreshold {
                Self.shiftScores(&ends, from: start, through: frontier)
            }
            let characterEnd = min(start + Self.characterLength(text[start]), text.count)
            let coversCharacter = extendPaths(&ends, from: start, characterEnd: characterEnd, in: text, frontier: &frontier)
            if !coversCharacter {
                Self.offer(unknownID, score: unknownScore, from: start, to: characterEnd, &ends, &frontier)
            }
            start = characterEnd
        }
        return Self.backtrack(ends)
    }

    /// Offers every piece that begins at `start`. Returns whether one of them is exactly the character there.
    private func extendPaths(_ ends: inout [PathEnd], from start: Int, characterEnd: Int, in text: [UInt8], frontier: inout Int) -> Bool {
        var coversCharacter = false
        var node = PieceTrie.root
        var position = start
        while position < text.count, let next = trie.child(of: node, text[position]) {
            node = next
            position += 1
            guard let id = trie.pieceID(at: node) else { continue }
            Self.offer(id, score: scores[Int(id)], from: start, to: position, &ends, &frontier)
            if position == characterEnd { coversCharacter = true }
        }
        return coversCharacter
    }

    private static func offer(_ id: Int32, score: Float, from start: Int, to end: Int, _ ends: inout [PathEnd], _ frontier: inout Int) {
        frontier = max(frontier, end)
        let candidate = score + ends[start].score
        if ends[end].start == -1 || candidate > ends[end].score {
            ends[end] = PathEnd(score: candidate, start: Int32(start), id: id)
        }
    }

    private static func shiftScores(_ ends: inout [PathEnd], from start: Int, through frontier: Int) {
        let offset = ends[start].score
        for index in start...max(start, frontier) where index == start || ends[index].start != -1 {
            ends[index].score -= offset
        }
    }

    private static func backtrack(_ ends: [PathEnd]) -> [(id: Int32, range: Range<Int>)] {
        var result: [(id: Int32, range: Range<Int>)] = []
        var end = ends.count - 1
        while end > 0 {
            let last = ends[end]
            precondition(last.start >= 0 && last.start < end, "no path ends at byte \(end) of \(ends.count - 1)")
            result.append((last.id, Int(last.start)..<end))
            end = Int(last.start)
        }
        return result.reversed()
    }

    /// How many bytes the character that begins with `byte` has, judged by that byte alone.
    private static func characterLength(_ byte: UInt8) -> Int {
        switch byte {
        case 0xF0...0xFF: 4
        case 0xE0...0xEF: 3
        case 0xC0...0xDF: 2
        default: 1
        }
    }
}
