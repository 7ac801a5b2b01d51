// A bitmap font of a few dozen characters, drawn for this project: letters of 5×7 pixels, digits, some marks, and the three ideographs of
// the usual labels (生成, 合成), of 11×11.

enum BitmapFont {
    struct Glyph {
        /// Pixels.
        let width: Int
        /// From the top of the line; the leftmost pixel is the highest of `width` bits.
        let rows: [Int]
    }

    /// Pixels from one line's top to the next one's.
    static let lineHeight = 12

    static func glyph(_ character: Character) -> Glyph? { glyphs[character] }

    /// Pixels of a line, without the gap behind its last character.
    static func width(_ line: String) -> Int { max(0, line.compactMap { glyphs[$0]?.width }.reduce(0) { $0 + $1 + 1 } - 1) }

    private static let glyphs: [Character: Glyph] = {
        var glyphs: [Character: Glyph] = [" ": Glyph(width: 3, rows: [])]
        for line in letters.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 6, let character = words[0].first else { preconditionFailure("a line of the font: \(line)") }
            let columns = words.dropFirst().compactMap { Int($0, radix: 16) }
            // Two empty rows above, so that letters and ideographs share a middle.
            let rows = (0..<7).map { row in columns.reduce(0) { $0 << 1 | $1 >> row & 1 } }
            glyphs[character] = Glyph(width: 5, rows: [0, 0] + rows)
        }
        for (character, picture) in ideographs {
            let rows = picture.split(separator: "\n").map { row in row.reduce(0) { $0 << 1 | ($1 == "#" ? 1 : 0) } }
            glyphs[character] = Glyph(width: 11, rows: rows)
        }
        return glyphs
    }()

    /// A character and its five columns from the left; the lowest bit of a column is its top.
    private static let letters = """
        ! 00 00 5F 00 00
        ' 00 05 03 00 00
        ( 00 1C 22 41 00
        ) 00 41 22 1C 00
        + 08 08 3E 08 08
        , 00 50 30 00 00
        - 08 08 08 08 08
        . 00 60 60 00 00
        / 20 10 08 04 02
        0 3E 51 49 45 3E
        1 00 42 7F 40 00
        2 42 61 51 49 46
        3 21 41 45 4B 31
        4 18 14 12 7F 10
        5 27 45 45 45 39
        6 3C 4A 49 49 30
        7 01 71 09 05 03
        8 36 49 49 49 36
        9 06 49 49 29 1E
        : 00 36 36 00 00
        A 7E 11 11 11 7E
        B 7F 49 49 49 36
        C 3E 41 41 41 22
        D 7F 41 41 22 1C
        E 7F 49 49 49 41
        F 7F 09 09 09 01
        G 3E 41 49 49 7A
        H 7F 08 08 08 7F
        I 00 41 7F 41 00
        J 20 40 41 3F 01
        K 7F 08 14 22 41
        L 7F 40 40 40 40
        M 7F 02 0C 02 7F
        N 7F 04 08 10 7F
        O 3E 41 41 41 3E
        P 7F 09 09 09 06
        Q 3E 41 51 21 5E
        R 7F 09 19 29 46
        S 46 49 49 49 31
        T 01 01 7F 01 01
        U 3F 40 40 40 3F
        V 1F 20 40 20 1F
        W 3F 40 38 40 3F
        X 63 14 08 14 63
        Y 07 08 70 08 07
        Z 61 51 49 45 43
        a 20 54 54 54 78
        b 7F 48 44 44 38
        c 38 44 44 44 20
        d 38 44 44 48 7F
        e 38 54 54 54 18
        f 08 7E 09 01 02
        g 0C 52 52 52 3E
        h 7F 08 04 04 78
        i 00 44 7D 40 00
        j 20 40 44 3D 00
        k 7F 10 28 44 00
        l 00 41 7F 40 00
        m 7C 04 18 04 78
        n 7C 08 04 04 78
        o 38 44 44 44 38
        p 7C 14 14 14 08
        q 08 14 14 18 7C
        r 7C 08 04 04 08
        s 48 54 54 54 20
        t 04 3F 44 40 20
        u 3C 40 40 20 7C
        v 1C 20 40 20 1C
        w 3C 40 30 40 3C
        x 44 28 10 28 44
        y 0C 50 50 50 3C
        z 44 64 54 4C 44
        """

    private static let ideographs: [(Character, String)] = [
        (
            "生",
            """
            .....#.....
            ..#..#.....
            ..#..#.....
            .#########.
            #....#.....
            .....#.....
            ..#######..
            .....#.....
            .....#.....
            .....#.....
            ###########
            """
        ),
        (
            "成",
            """
            ......#.#..
            ......#..#.
            .##########
            .#....#....
            .#....#..#.
            .####.#..#.
            .#..#.#.#..
            .#..#..##..
            .#..#..#..#
            #..##.#.#.#
            #....#...##
            """
        ),
        (
            "合",
            """
            .....#.....
            ....#.#....
            ...#...#...
            ..#.....#..
            ##.#####.##
            ...........
            ..#######..
            ..#.....#..
            ..#.....#..
            ..#######..
            ..#.....#..
            """
        ),
    ]
}
