// The known name that somebody meant with an unknown one: of options, commands, settings, variables and request fields. Pure.

/// The one of `names` that `word` is a slip of the finger for; nil when none is near enough. Case, dashes and underscores do not count.
/// At most one letter may differ in words of 3 to 5 letters, at most two in longer ones, and none in shorter ones; two letters that have
/// changed places are one difference.
public func nearestName(to word: String, among names: [String]) -> String? {
    let wanted = foldedName(word)
    guard (1...64).contains(wanted.count) else { return nil }
    let allowed = wanted.count < 3 ? 0 : wanted.count < 6 ? 1 : 2
    let nearest = names.map { (name: $0, distance: editDistance(wanted, foldedName($0))) }.min { $0.distance < $1.distance }
    guard let nearest, nearest.distance <= allowed else { return nil }
    return nearest.name
}

/// A name without the differences between ways of writing it: "num_frames" of "numFrames", "Num-Frames" and "NUM_FRAMES" is "numframes".
public func foldedName(_ name: String) -> String { String(name.lowercased().filter { $0 != "_" && $0 != "-" && $0 != " " }) }

/// Characters to insert, delete, replace or swap with their neighbor (optimal string alignment; Damerau 1964).
func editDistance(_ first: String, _ second: String) -> Int {
    let (first, second) = (Array(first), Array(second))
    var rows = [Array(0...second.count)]
    for i in first.indices {
        var row = [i + 1]
        for j in second.indices {
            var least = min(rows[i][j] + (first[i] == second[j] ? 0 : 1), rows[i][j + 1] + 1, row[j] + 1)
            if i > 0, j > 0, first[i] == second[j - 1], first[i - 1] == second[j] { least = min(least, rows[i - 1][j - 1] + 1) }
            row.append(least)
        }
        rows.append(row)
    }
    return rows[first.count][second.count]
}
