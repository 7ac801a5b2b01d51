// Wan 2.1 and 2.2 text-to-video transformers (diffusers WanTransformer3DModel), sorad-mini among them.
package import SoradModelFile
package import SoradSystem

package struct WanFamily: ModelFamily {
    package let architecture = "sorad-wan"

    package init() {}

    package func configuration(_ data: Metadata) throws(SoradError) -> any NetworkConfiguration { try WanConfiguration(data) }
}
