// What an operator adds to the mark that every clip has: an identity for GB 45438, words in the picture, a program that signs. The daemon
// checks it, the worker does it. Pure values.
public import SoradSystem

public struct ClipMarking: Sendable, Equatable {
    /// Name or code of who offers the service; with it each file has the AIGC label.
    public var producer: String?
    /// Words in the corner of every frame.
    public var visibleLabel: String?
    /// Path of a program that gets the finished clip and writes the one that is kept.
    public var command: String?

    public init(producer: String? = nil, visibleLabel: String? = nil, command: String? = nil) {
        self.producer = producer
        self.visibleLabel = visibleLabel
        self.command = command
    }

    private static let producerLimit = 128
    private static let labelLimit = 32
    /// The characters that can be drawn into a picture.
    public static let drawable = Set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 !'()+,-./:\u{751F}\u{6210}\u{5408}")

    /// - Throws: `.configuration` that names the setting at fault.
    public func check() throws(SoradError) {
        if let producer {
            let isPlain = !producer.unicodeScalars.contains(where: \.commandsTerminal)
            guard isPlain, (1...ClipMarking.producerLimit).contains(producer.utf8.count) else {
                throw SoradError(
                    .configuration, "the setting aigc-producer must be 1 to \(ClipMarking.producerLimit) bytes of plain text",
                    param: "aigc-producer")
            }
        }
        if let visibleLabel {
            let odd = visibleLabel.filter { !ClipMarking.drawable.contains($0) }
            guard odd.isEmpty, (1...ClipMarking.labelLimit).contains(visibleLabel.count) else {
                let what = odd.isEmpty ? "" : "; it cannot draw \"\(odd.prefix(8))\""
                throw SoradError(
                    .configuration,
                    "the setting visible-label must be 1 to \(ClipMarking.labelLimit) letters, digits and simple marks, or 生成 and 合成\(what)",
                    param: "visible-label")
            }
        }
    }

    /// As options of the worker.
    public var workerArguments: [String] {
        [("--aigc-producer", producer), ("--visible-label", visibleLabel), ("--marking-command", command)].flatMap { name, value in
            value.map { [name, $0] } ?? []
        }
    }
}
