import CSoradKernels
import Testing

@Test func scalarKernelsAreAlwaysAvailable() throws {
    let kernels = unsafe sorad_kernels_for(SORAD_ISA_SCALAR)
    var a: [Float] = [1, 2], o: [Float] = [0, 0]
    unsafe kernels!.pointee.add(&a, &a, &o, 2)
    #expect(o == [2, 4])
}
