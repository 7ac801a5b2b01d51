// swift-tools-version: 6.3
import PackageDescription

// Set by `make build-arm`: the standard library is older than the compiler, and where the compiler's own library wants `unsafe` that one
// may not. A word too many is a warning without a diagnostic group, so no single warning can be excepted; `make build` has none.
let hasOlderLibrary = Context.environment["SORAD_OLDER_LIBRARY"] != nil

// Every Swift target is held to the same rules; see docs/ARCHITECTURE.md for who may import whom.
let swiftRules: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: hasOlderLibrary ? .warning : .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]
let cRules: [CSetting] = [
    .treatAllWarnings(as: .error),
    .enableWarning("all"),
    .enableWarning("extra"),
]

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftRules)
}
func cLibrary(_ name: String, exclude: [String] = [], linked: [LinkerSetting] = []) -> Target {
    .target(name: name, exclude: exclude, cSettings: cRules, linkerSettings: linked)
}
func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: swiftRules)
}
func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: swiftRules)
}

let package = Package(
    name: "sorad",
    dependencies: [],
    targets: [
        // Layer 0: C
        cLibrary("CSoradKernels"),
        cLibrary("CSoradLinux"),
        cLibrary("CSoradPage", exclude: ["files"]),
        cLibrary("CSoradVulkan", exclude: ["shaders"]),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        // Layer 1
        library("SoradSystem", ["CSoradLinux"]),
        // Layer 2
        library("SoradAPI", ["SoradSystem"]),
        library("SoradTensor", ["SoradSystem", "CSoradKernels"]),
        library("SoradTokenizer", []),
        // Layer 3
        library("SoradCPU", ["SoradSystem", "SoradTensor", "CSoradKernels"]),
        library("SoradJobs", ["SoradSystem", "SoradAPI", "CSQLite"]),
        library("SoradHTTP", ["SoradSystem", "SoradAPI"]),
        library("SoradMedia", ["SoradSystem", "SoradAPI"]),
        library("SoradFleet", ["SoradSystem", "SoradAPI", "SoradMedia"]),
        library("SoradModelFile", ["SoradSystem", "SoradTensor"]),
        // Layer 4
        library("SoradModel", ["SoradSystem", "SoradTensor", "SoradTokenizer", "SoradModelFile"]),
        library("SoradVulkan", ["SoradSystem", "SoradTensor", "SoradCPU", "CSoradVulkan"]),
        // Layer 5
        library("SoradConverter", ["SoradSystem", "SoradTensor", "SoradTokenizer", "SoradModelFile", "SoradModel"]),
        library(
            "SoradPipeline",
            ["SoradSystem", "SoradAPI", "SoradTensor", "SoradTokenizer", "SoradModelFile", "SoradModel", "SoradMedia"]),
        // Layer 6: wiring only
        program("sorad", ["SoradSystem", "SoradAPI", "SoradHTTP", "SoradJobs", "CSoradPage"]),
        program("sorad-worker", ["SoradSystem", "SoradAPI", "SoradTensor", "SoradCPU", "SoradVulkan", "SoradPipeline"]),
        program("sorad-fleet", ["SoradSystem", "SoradAPI", "SoradFleet"]),
        program("sorad-ctl", ["SoradSystem", "SoradAPI", "SoradHTTP"]),
        program("sorad-quantize", ["SoradSystem", "SoradTensor", "SoradCPU", "SoradModelFile", "SoradConverter"]),
        program(
            "sorad-bench",
            [
                "SoradSystem", "SoradAPI", "SoradTensor", "SoradCPU", "SoradVulkan", "SoradModel", "SoradModelFile", "SoradConverter",
                "CSoradKernels",
            ]),
        // Tests
        tests("SoradKernelsTests", ["CSoradKernels", "SoradSystem"]),
        tests("SoradSystemTests", ["SoradSystem"]),
        .target(
            name: "SoradTestSupport", dependencies: ["SoradTensor", "SoradCPU", "SoradSystem"], path: "Tests/Support",
            swiftSettings: swiftRules),
        tests("SoradTensorTests", ["SoradTensor", "SoradCPU", "SoradTestSupport", "SoradSystem"]),
        tests("SoradCPUTests", ["SoradCPU", "SoradTensor", "SoradTestSupport", "SoradSystem", "CSoradKernels"]),
        tests("SoradVulkanTests", ["SoradVulkan", "SoradCPU", "SoradTensor", "SoradSystem"]),
        tests("SoradTokenizerTests", ["SoradTokenizer", "SoradSystem"], exclude: ["Fixtures"]),
        tests("SoradModelFileTests", ["SoradModelFile", "SoradTensor", "SoradSystem", "SoradTestSupport"]),
        tests(
            "SoradConverterTests",
            [
                "SoradConverter", "SoradCPU", "SoradModel", "SoradModelFile", "SoradTensor", "SoradSystem", "CSoradKernels",
                "SoradTestSupport",
            ]),
        tests(
            "SoradModelTests",
            [
                "SoradModel", "SoradModelFile", "SoradTensor", "SoradCPU", "SoradVulkan", "SoradTestSupport", "SoradConverter",
                "SoradSystem", "SoradTokenizer",
            ]),
        tests("SoradHTTPTests", ["SoradHTTP", "SoradAPI", "SoradSystem"]),
        tests("SoradJobsTests", ["SoradJobs", "SoradAPI", "SoradSystem"]),
        tests("SoradFleetTests", ["SoradFleet", "SoradAPI", "SoradSystem"]),
        tests("SoradMediaTests", ["SoradMedia", "SoradAPI", "SoradSystem"]),
        tests(
            "SoradPipelineTests",
            [
                "SoradPipeline", "SoradConverter", "sorad-worker", "SoradModel", "SoradModelFile", "SoradTensor", "SoradCPU",
                "SoradVulkan", "SoradAPI", "SoradSystem", "SoradMedia",
            ]),
        tests("SoradControlTests", ["SoradAPI", "SoradSystem", "SoradConverter", "sorad", "sorad-worker", "sorad-ctl"]),
        tests("SoradServiceTests", ["SoradHTTP", "SoradAPI", "SoradSystem", "SoradJobs"]),
    ]
)

// The fuzz targets: tests over the kept corpora, or, when SORAD_FUZZ is set (see Tests/fuzz/run), a program for libFuzzer.
let fuzzed: [Target.Dependency] = ["SoradHTTP", "SoradAPI", "SoradSystem", "SoradModelFile", "SoradTensor", "SoradConverter", "SoradMedia"]
if Context.environment["SORAD_FUZZ"] == nil {
    package.targets.append(
        .testTarget(
            name: "SoradFuzzTests", dependencies: fuzzed, path: "Tests/fuzz",
            exclude: ["corpus", "dictionaries", "run", "write-seeds.py", "LibFuzzerEntry.swift"], swiftSettings: swiftRules))
} else {
    package.targets.append(
        .executableTarget(
            name: "sorad-fuzz", dependencies: fuzzed, path: "Tests/fuzz",
            exclude: ["corpus", "dictionaries", "run", "write-seeds.py", "CorpusTests.swift"], swiftSettings: swiftRules))
}
