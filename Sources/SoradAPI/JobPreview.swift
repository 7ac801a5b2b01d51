// A tiny picture of a clip that is being denoised.
public import SoradSystem

public struct JobPreview: Sendable, Equatable {
    /// Pixels, 1…`longestSide`.
    public var width: Int
    public var height: Int
    /// A PNG file as base64.
    public var png: String

    public static let longestSide = 128
    /// A stored picture of the largest size, its mark and base64's third.
    private static let longestText = 128 << 10

    public init(width: Int, height: Int, png: String) {
        self.width = width
        self.height = height
        self.png = png
    }

    /// For a page: an address that holds the picture itself.
    public var dataURL: String { "data:image/png;base64," + png }
}

extension JobPreview: JSONRepresentable {
    public var json: JSONValue { ["width": .integer(width), "height": .integer(height), "png": .string(png)] }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "preview")
        width = try members.integer("width")
        height = try members.integer("height")
        png = try members.string("png")
        let sides = 1...JobPreview.longestSide
        guard sides.contains(width), sides.contains(height), png.utf8.count <= JobPreview.longestText else {
            throw JSONError("a preview of \(width)×\(height) pixels and \(png.utf8.count) characters is too large")
        }
    }
}
