// What libFuzzer calls. Only part of the build that `make fuzz` makes; the variable SORAD_FUZZ names the target there and here. With
// SORAD_FUZZ_DAMAGED the damaged inputs of CorpusTests are checked instead, and counted.
import Glibc

private let target: FuzzTarget = {
    let name = unsafe getenv("SORAD_FUZZ").map { unsafe String(cString: $0) } ?? ""
    guard let target = FuzzTarget.all.first(where: { $0.name == name }) else {
        fatalError("set SORAD_FUZZ to one of \(FuzzTarget.all.map(\.name).joined(separator: ", "))")
    }
    return target
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
    if let complaint = target.check(input) { fatalError("\(target.name): \(complaint)") }
    return 0
}

@_cdecl("LLVMFuzzerInitialize")
public func initialize(
    _ count: UnsafeMutablePointer<CInt>?, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>?
) -> CInt {
    guard unsafe getenv("SORAD_FUZZ_DAMAGED") != nil else { return 0 }
    var checked = 0
    do {
        try DamagedInputs.each(of: target) { name, bytes in
            if let complaint = target.check(bytes) { fatalError("\(target.name)/\(name): \(complaint)") }
            checked += 1
        }
    } catch { fatalError("\(target.name): \(error)") }
    print(checked)
    exit(0)
}
