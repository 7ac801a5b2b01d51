import Glibc
import SoradSystem
import Testing

@Suite struct MappedPagesTests {
    @Test(arguments: [4096, 16384, 65536]) func onlyWholePagesAreGivenBack(page: Int) {
        for lower in [0, 1, page - 1, page, page + 1, 2 * page] {
            for upper in [1, page - 1, page, page + 1, 2 * page - 1, 2 * page, 3 * page] where upper >= lower {
                let pages = wholePages(in: lower..<upper, page: page)
                #expect(pages.lowerBound % page == 0 && pages.upperBound % page == 0)
                #expect(pages.isEmpty || pages.lowerBound >= lower && pages.upperBound <= upper)
                // All that there are: none fits in front or behind, and none was missed where one fits.
                #expect(pages.isEmpty || pages.lowerBound - lower < page && upper - pages.upperBound < page)
                #expect(!pages.isEmpty || upper - lower < 2 * page - 1)
            }
        }
    }

    /// A model file of tensors that are smaller than the page of a large machine.
    @Test func aPartWithinOnePageKeepsIt() {
        #expect(wholePages(in: 4096..<12288, page: 4096) == 4096..<12288)
        #expect(wholePages(in: 4096..<12288, page: 16384).isEmpty)
        #expect(wholePages(in: 4096..<40960, page: 16384) == 16384..<32768)
        #expect(wholePages(in: 4096..<40960, page: 65536).isEmpty)
    }

    @Test func thisSystemsPageIsAPowerOfTwo() {
        let page = sysconf(Int32(_SC_PAGESIZE))
        #expect(page >= 4096 && page & (page - 1) == 0)
    }
}
