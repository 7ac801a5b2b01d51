// The implicit label of GB 45438-2025 (appendix E), as its practice guides write it into files. Pure.
import SoradSystem

/// The implicit label of GB 45438-2025 (appendix E): a JSON text under the key AIGC, in MP4 as metadata, in pictures in the XMP namespace
/// of TC260. Members without a value are empty.
public struct AIGCLabel: Sendable, Equatable {
    public static let xmpNamespace = "http://www.tc260.org.cn/ns/AIGC/1.0/"

    /// Name or code of who offers the service.
    public var producer: String
    /// Names the clip among those of the producer.
    public var produceID: String

    public init(producer: String, produceID: String) {
        self.producer = producer
        self.produceID = produceID
    }

    /// "1": the content is generated.
    public var json: String {
        let label: JSONValue = [
            "Label": "1", "ContentProducer": .string(producer), "ProduceID": .string(produceID), "ReservedCode1": "",
            "ContentPropagator": "", "PropagateID": "", "ReservedCode2": "",
        ]
        return label.text()
    }
}
