// What a finished clip consists of, as far as it is kept without loss: the latents of the frames that were made here, and the files of
// those that came from outside. A clip that is made from this one takes its frames from there and not from the H.264 file, so that no
// frame is ever compressed twice.
// Invariant: the parts in their order give the clip's frames, each frame once, bit for bit.
public import SoradSystem

/// A run of frames of a clip.
public struct ClipPart: Sendable, Equatable {
    public enum Kind: String, Sendable, CaseIterable {
        /// Frames that were decoded from a file of latents.
        case latents
        /// Frames of an MP4 file that came from outside.
        case mp4
    }

    public var kind: Kind
    /// Of the file's frames, the first that is shown, and how many are.
    public var first: Int
    public var count: Int

    public init(_ kind: Kind, first: Int, count: Int) {
        self.kind = kind
        self.first = first
        self.count = count
    }

    /// A clip of more parts is taken from its MP4 file.
    public static let limit = 256
}

extension ReferenceClip {
    /// The parts, one of which a clip without a list has: its MP4 file.
    public var allParts: [ClipPart] { parts.isEmpty ? [ClipPart(.mp4, first: 0, count: numFrames)] : parts }

    /// The name of a part's file in the job's directory.
    public func fileName(_ index: Int, as role: ReferenceFile) -> String { parts.isEmpty ? role.rawValue : "\(role.rawValue)-\(index)" }
}

extension ClipPlan {
    /// The name of the file of latents that a finished job keeps.
    public static let latentsName = "latents"

    /// The parts of the finished clip, and the names of their files in the job's directory. Those of a clip whose latents are not kept are
    /// of no use.
    public var parts: [(part: ClipPart, file: String)] {
        func frames(of clip: ReferenceClip?, _ role: ReferenceFile) -> [(part: ClipPart, file: String)] {
            guard let clip else { return [] }
            return clip.allParts.enumerated().map { ($1, clip.fileName($0, as: role)) }
        }
        let own = ClipPart(.latents, first: newFrames.lowerBound, count: newFrames.count)
        return frames(of: given?.before, .before) + [(own, ClipPlan.latentsName)]
            + (isAfterShown ? frames(of: given?.after, .after) : [])
    }
}

extension ClipPart: JSONRepresentable {
    public var json: JSONValue { ["kind": .string(kind.rawValue), "first": .integer(first), "count": .integer(count)] }

    public init(json: JSONValue) throws(JSONError) {
        let members = JSONMembers(json, of: "part of a clip")
        let name = try members.string("kind")
        guard let kind = Kind(rawValue: name) else { throw JSONError("a part of a clip is of the kind \"\(name)\"") }
        self.init(kind, first: try members.integer("first"), count: try members.integer("count"))
        guard (0...ReferenceClip.limit).contains(first), (1...ReferenceClip.limit).contains(count) else {
            throw JSONError("a part of a clip has \(count) frames from \(first) on")
        }
    }
}
