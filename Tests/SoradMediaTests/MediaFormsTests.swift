// Real forms of one picture and of one clip, made by ffmpeg, ImageMagick, exiftool, cwebp, avifenc, cjxl, gifsicle, Pillow and mkvmerge: each is read as a player shows it. What is shown is
// known by construction: four quarters of known colors, upright; a clip that changes from one color to another at a known time.
import SoradAPI
import SoradMedia
import SoradSystem
import Testing

/// sRGB of the quarters: left above, right above, left below, right below.
private let quarters: [[Int]] = [[200, 40, 40], [40, 180, 60], [50, 70, 200], [128, 128, 128]]

private final class Workshop {
    let folder: ScratchDirectory
    var path: String { folder.path }

    init() throws {
        folder = try ScratchDirectory()
        try picture("base.ppm", 96, 64)
    }

    /// The picture as a PPM file.
    func picture(_ name: String, _ width: Int, _ height: Int) throws {
        var bytes = Array("P6\n\(width) \(height)\n255\n".utf8)
        for y in 0..<height {
            for x in 0..<width { bytes += quarters[(y * 2 / height) * 2 + x * 2 / width].map { UInt8($0) } }
        }
        try writeDurably(bytes, named: name, in: path)
    }

    /// Runs a tool there; `@` stands for the folder.
    func run(_ command: String) throws {
        let words = command.split(separator: " ").map { String($0.replacing("@", with: path).replacing("\t", with: " ")) }
        _ = try output(of: words[0], Array(words.dropFirst()))
    }

    func ffmpeg(_ arguments: String) throws { try run("ffmpeg -v error -y " + arguments) }
}

/// A picture, and how it is made of @/base.ppm.
private struct Form: CustomTestStringConvertible, Sendable {
    let name: String
    let commands: [String]
    /// The corner of the frame where nothing is drawn; most have none.
    var tolerance = 4
    /// Colors of the quarters where they are not the usual ones.
    var colors = quarters
    var size = (96, 64)
    var testDescription: String { name }

    init(_ name: String, _ commands: String..., tolerance: Int = 4, colors: [[Int]] = quarters, size: (Int, Int) = (96, 64)) {
        self.name = name
        self.commands = commands
        self.tolerance = tolerance
        self.colors = colors
        self.size = size
    }
}

/// ImageMagick's option that undoes an orientation.
private let undoing = ["", "", "-flop", "-rotate 180", "-flip", "-transpose", "-rotate 270", "-transverse", "-rotate 90"]

private func turned(_ type: String, _ orientation: Int) -> Form {
    let options = undoing[orientation].isEmpty ? "" : undoing[orientation] + " "
    return Form(
        "turned-\(orientation).\(type)", "convert-im6.q16 @/base.ppm \(options)-quality 98 @/turned-\(orientation).\(type)",
        "exiftool -q -n -overwrite_original -Orientation=\(orientation) @/turned-\(orientation).\(type)")
}

private let pictureForms: [Form] =
    (1...8).map { turned("jpg", $0) } + [3, 5, 6, 8].map { turned("png", $0) } + [2, 6, 7, 8].map { turned("webp", $0) }
    + [3, 6].map { turned("tiff", $0) } + [
        Form("progressive.jpg", "convert-im6.q16 @/base.ppm -interlace JPEG -quality 98 @/progressive.jpg"),
        Form("full-chroma.jpg", "convert-im6.q16 @/base.ppm -sampling-factor 1x1 -quality 98 @/full-chroma.jpg"),
        Form(
            "gray.jpg", "convert-im6.q16 @/base.ppm -colorspace Gray -quality 98 @/gray.jpg",
            colors: [74, 142, 75, 128].map { [$0, $0, $0] }, size: (96, 64)),
        Form("interlaced.png", "convert-im6.q16 @/base.ppm -interlace PNG @/interlaced.png"),
        Form("sixteen.png", "convert-im6.q16 @/base.ppm -depth 16 PNG48:@/sixteen.png"),
        Form("palette.png", "convert-im6.q16 @/base.ppm PNG8:@/palette.png"),
        // The right half is invisible, and shows as white, whatever color lies under it.
        Form(
            "hidden.png",
            "convert-im6.q16 @/base.ppm -alpha set -region 48x64+48+0 -channel A -evaluate set 0 +channel +region PNG32:@/hidden.png",
            colors: [quarters[0], [255, 255, 255], quarters[2], [255, 255, 255]]),
        Form(
            "half.png", "convert-im6.q16 @/base.ppm -alpha set -channel A -evaluate set 50% +channel PNG32:@/half.png",
            colors: quarters.map { $0.map { ($0 + 255) / 2 } }),
        Form(
            "half.webp",
            "convert-im6.q16 @/base.ppm -alpha set -channel A -evaluate set 50% +channel -define webp:lossless=true @/half.webp",
            colors: quarters.map { $0.map { ($0 + 255) / 2 } }),
        Form(
            "hidden.gif",
            "convert-im6.q16 @/base.ppm -alpha set -region 48x64+48+0 -channel A -evaluate set 0 +channel +region @/hidden.gif",
            colors: [quarters[0], [255, 255, 255], quarters[2], [255, 255, 255]]),
        Form(
            "hidden.tiff",
            "convert-im6.q16 @/base.ppm -alpha set -region 48x64+48+0 -channel A -evaluate set 0 +channel +region @/hidden.tiff",
            colors: [quarters[0], [255, 255, 255], quarters[2], [255, 255, 255]]),
        Form("plain.gif", "convert-im6.q16 @/base.ppm @/plain.gif"), Form("plain.bmp", "convert-im6.q16 @/base.ppm BMP3:@/plain.bmp"),
        Form("old.bmp", "convert-im6.q16 @/base.ppm BMP2:@/old.bmp"),
        Form("packed.tiff", "convert-im6.q16 @/base.ppm -compress LZW @/packed.tiff"),
        Form("density.jpg", "convert-im6.q16 @/base.ppm -units PixelsPerInch -density 300x150 -quality 98 @/density.jpg"),
        Form("density.png", "convert-im6.q16 @/base.ppm -units PixelsPerInch -density 300x150 @/density.png"),
        Form("plain.avif", "convert-im6.q16 @/base.ppm -quality 95 @/plain.avif", tolerance: 6),
        Form("plain.jxl", "ffmpeg -v error -y -i @/base.ppm -c:v libjxl -distance 0 @/plain.jxl"),
        Form("lossless.webp", "convert-im6.q16 @/base.ppm -define webp:lossless=true @/lossless.webp"),
        Form("lossy.webp", "convert-im6.q16 @/base.ppm -quality 98 @/lossy.webp", tolerance: 6),
        // A checksum of a text that is wrong is no damage to the picture.
        Form("comment.png", "convert-im6.q16 @/base.ppm -set comment sorad @/comment.png"),
    ]

private let toPNG = "convert-im6.q16 @/base.ppm @/base.png"
private let lightness = [88, 124, 79, 128].map { [$0, $0, $0] }

/// What Pillow makes of the picture `b`.
private func pillow(_ name: String, _ statement: String, colors: [[Int]] = quarters, tolerance: Int = 4) -> Form {
    // A word of a command has no spaces.
    Form(
        name, "/usr/bin/python3 -c from\tPIL\timport\tImage;b=Image.open('@/base.ppm');\(statement.replacing("OUT", with: "'@/\(name)'"))",
        tolerance: tolerance, colors: colors)
}

private let otherMakers: [Form] = [
    Form("cwebp.webp", toPNG, "cwebp -quiet -q 98 @/base.png -o @/cwebp.webp", tolerance: 6),
    Form("sharp.webp", toPNG, "cwebp -quiet -lossless -exact @/base.png -o @/sharp.webp"),
    Form("near.webp", toPNG, "cwebp -quiet -near_lossless 60 @/base.png -o @/near.webp", tolerance: 6),
    Form("identity.avif", toPNG, "avifenc -l @/base.png @/identity.avif"),
    Form("420.avif", toPNG, "avifenc --min 0 --max 4 -y 420 @/base.png @/420.avif"),
    Form("deep.avif", toPNG, "avifenc --min 0 --max 4 -y 444 -d 10 @/base.png @/deep.avif"),
    Form("limited.avif", toPNG, "avifenc --min 0 --max 4 -y 444 -r limited @/base.png @/limited.avif"),
    Form("709.avif", toPNG, "avifenc --min 0 --max 4 -y 444 --cicp 1/13/1 @/base.png @/709.avif"),
    Form("gray.avif", toPNG, "avifenc --min 0 --max 4 -y 400 @/base.png @/gray.avif", colors: lightness),
    Form("irot.avif", "convert-im6.q16 @/base.ppm -rotate 90 @/turned.png", "avifenc -l --irot 1 @/turned.png @/irot.avif"),
    Form("imir.avif", "convert-im6.q16 @/base.ppm -flop @/mirrored.png", "avifenc -l --imir 1 @/mirrored.png @/imir.avif"),
    Form(
        "both.avif", "convert-im6.q16 @/base.ppm -flip -rotate 180 @/both.png", "avifenc -l --irot 2 --imir 0 @/both.png @/both.avif"),
    Form("sharp.jxl", toPNG, "cjxl --quiet -d 0 @/base.png @/sharp.jxl"),
    Form("lossy.jxl", toPNG, "cjxl --quiet -d 0.5 @/base.png @/lossy.jxl", tolerance: 6),
    Form(
        "from-jpeg.jxl", "convert-im6.q16 @/base.ppm -sampling-factor 1x1 -quality 98 @/base.jpg", "cjxl --quiet @/base.jpg @/from-jpeg.jxl"
    ),
    Form("rows.gif", "convert-im6.q16 @/base.ppm @/base.gif", "gifsicle -O3 --interlace @/base.gif -o @/rows.gif"),
    pillow("gray-alpha.png", "b.convert('LA').save(OUT)", colors: lightness),
    pillow("palette.tiff", "b.quantize(8).save(OUT)"), pillow("zip.tiff", "b.save(OUT,compression='tiff_adobe_deflate')"),
    pillow("palette.bmp", "b.quantize(8).save(OUT)"),
    pillow("sharp.jpg", "b.save(OUT,quality=98,subsampling=0,optimize=True)"),
    pillow("bits.png", "b.convert('1',dither=0).save(OUT)", colors: [[0, 0, 0], [0, 0, 0], [0, 0, 0], [255, 255, 255]]),
    pillow(
        "bits.tiff", "b.convert('1',dither=0).save(OUT,compression='group4')",
        colors: [[0, 0, 0], [0, 0, 0], [0, 0, 0], [255, 255, 255]]),
    pillow("exact.webp", "b.convert('RGBA').save(OUT,lossless=True,exact=True)"),
    pillow("inks.jpg", "b.convert('CMYK').save(OUT,quality=98)", tolerance: 6),
]

private let h264 = "-c:v libx264 -crf 8 -pix_fmt yuv420p"
private let still = "-loop 1 -framerate 8 -t 1 -i @/base.ppm"

private let clipForms: [Form] = [
    // A part of the coded frame is shown, which begins where no decoder likes to begin.
    Form(
        "cropped.mp4", "ffmpeg -v error -y \(still) \(h264) @/a.mp4",
        "ffmpeg -v error -y -i @/a.mp4 -c copy -bsf:v h264_metadata=crop_left=16:crop_right=32 @/cropped.mp4", size: (48, 64)),
    // Remuxed by the program that others write Matroska with; the pixels' shape is in the container alone.
    Form("remuxed.mkv", "ffmpeg -v error -y \(still) \(h264) @/a.mp4", "mkvmerge -q -o @/remuxed.mkv @/a.mp4"),
    Form(
        "display.mkv", "ffmpeg -v error -y \(still) \(h264) @/a.mp4", "mkvmerge -q -o @/display.mkv --aspect-ratio 0:3/1 @/a.mp4",
        size: (192, 64)),
    Form(
        "remuxed.webm", "ffmpeg -v error -y \(still) -c:v libvpx-vp9 -crf 8 -b:v 0 -pix_fmt yuv420p @/a.webm",
        "mkvmerge -q --webm -o @/remuxed.webm @/a.webm"),
    Form(
        "tagged.mp4",
        "ffmpeg -v error -y \(still) -vf scale=out_color_matrix=bt709 \(h264) -colorspace bt709 -color_primaries bt709 -color_trc bt709 @/tagged.mp4"
    ),
    Form("untagged.mp4", "ffmpeg -v error -y \(still) \(h264) @/untagged.mp4"),
    Form("601.mp4", "ffmpeg -v error -y \(still) -vf scale=out_color_matrix=bt601 \(h264) -colorspace smpte170m @/601.mp4"),
    Form(
        "full.mp4",
        "ffmpeg -v error -y \(still) -vf scale=out_range=pc:out_color_matrix=bt709 -c:v libx264 -crf 8 -pix_fmt yuvj420p -colorspace bt709 -color_range pc @/full.mp4"
    ),
    // A large clip that says nothing is BT.709 for every player.
    Form(
        "large.mp4", "ffmpeg -v error -y \(still) -vf scale=1280:960:flags=neighbor:out_color_matrix=bt709 \(h264) @/large.mp4",
        size: (1280, 960)),
    Form(
        "deep.mp4",
        "ffmpeg -v error -y \(still) -vf scale=out_color_matrix=bt709 -c:v libx264 -crf 8 -pix_fmt yuv420p10le -colorspace bt709 @/deep.mp4"
    ),
    Form(
        "444.mp4",
        "ffmpeg -v error -y \(still) -vf scale=out_color_matrix=bt709 -c:v libx264 -crf 8 -pix_fmt yuv444p -colorspace bt709 @/444.mp4"),
    Form(
        "hevc.mov", "ffmpeg -v error -y \(still) -c:v libx265 -x265-params log-level=error -crf 8 -pix_fmt yuv420p -tag:v hvc1 @/hevc.mov"),
    Form("vp9.webm", "ffmpeg -v error -y \(still) -c:v libvpx-vp9 -crf 8 -b:v 0 -pix_fmt yuv420p @/vp9.webm"),
    Form("vp8.webm", "ffmpeg -v error -y \(still) -c:v libvpx -crf 4 -b:v 5M -pix_fmt yuv420p @/vp8.webm"),
    Form("av1.mkv", "ffmpeg -v error -y \(still) -c:v libaom-av1 -cpu-used 8 -crf 8 -pix_fmt yuv420p @/av1.mkv"),
    Form("av1.mp4", "ffmpeg -v error -y \(still) -c:v libaom-av1 -cpu-used 8 -crf 8 -pix_fmt yuv420p @/av1.mp4"),
    Form("h264.mkv", "ffmpeg -v error -y \(still) \(h264) @/h264.mkv"),
    Form("prores.mov", "ffmpeg -v error -y \(still) -c:v prores_ks -profile:v 3 @/prores.mov"),
    Form("mjpeg.mov", "ffmpeg -v error -y \(still) -c:v mjpeg -q:v 2 -pix_fmt yuvj420p @/mjpeg.mov"),
    Form("fragments.mp4", "ffmpeg -v error -y \(still) \(h264) -movflags frag_keyframe+empty_moov @/fragments.mp4"),
    Form("first.mp4", "ffmpeg -v error -y \(still) \(h264) -movflags +faststart @/first.mp4"),
    Form("sound.mp4", "ffmpeg -v error -y \(still) -f lavfi -i sine=duration=1 \(h264) -c:a aac -shortest @/sound.mp4"),
    Form("wide.mp4", "ffmpeg -v error -y \(still) -vf setsar=2/1 \(h264) @/wide.mp4", size: (192, 64)),
    Form("tall.mkv", "ffmpeg -v error -y \(still) -vf setsar=1/2 \(h264) @/tall.mkv", size: (48, 64)),
    Form(
        "turned.mov", "ffmpeg -v error -y \(still) -vf transpose=cclock \(h264) @/straight.mov",
        "ffmpeg -v error -y -i @/straight.mov -c copy -metadata:s:v rotate=270 @/turned.mov"),
    Form(
        "upside-down.mp4", "ffmpeg -v error -y \(still) -vf hflip,vflip \(h264) @/straight.mp4",
        "ffmpeg -v error -y -i @/straight.mp4 -c copy -metadata:s:v rotate=180 @/upside-down.mp4"),
    // Wide and bright colors: the same picture within BT.2020, at 203 cd/m² for white; a gray in HLG, whose colors depend on the display.
    Form(
        "pq.mp4",
        "ffmpeg -v error -y \(still) -vf format=gbrpf32le,zscale=tin=iec61966-2-1:pin=bt709:min=gbr:rin=full:t=smpte2084:p=bt2020:m=bt2020nc:r=limited:npl=203,format=yuv420p10le -c:v libx265 -x265-params log-level=none -crf 2 -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc @/pq.mp4"
    ),
    Form(
        "hlg.mp4",
        "ffmpeg -v error -y -f lavfi -i color=0x808080:size=96x64:rate=8 -frames:v 8 -vf format=gbrpf32le,zscale=tin=iec61966-2-1:pin=bt709:min=gbr:rin=full:t=arib-std-b67:p=bt2020:m=bt2020nc:r=limited:npl=203,format=yuv420p10le -c:v libx265 -x265-params log-level=none -crf 2 -color_primaries bt2020 -color_trc arib-std-b67 -colorspace bt2020nc @/hlg.mp4",
        colors: [[Int]](repeating: [128, 128, 128], count: 4)),
    Form(
        "p3.mov",
        "ffmpeg -v error -y \(still) -vf format=gbrpf32le,zscale=tin=iec61966-2-1:pin=bt709:min=gbr:rin=full:t=iec61966-2-1:p=smpte432:m=bt709:r=limited,format=yuv420p10le -c:v libx264 -crf 2 -color_primaries smpte432 -color_trc iec61966-2-1 -colorspace bt709 @/p3.mov"
    ),
    Form("animated.gif", "convert-im6.q16 -delay 20 @/base.ppm @/base.ppm -loop 0 @/animated.gif"),
    Form(
        "alpha.webm",
        "ffmpeg -v error -y \(still) -vf format=yuva420p,geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='if(gt(X,47),0,255)' -c:v libvpx-vp9 -crf 8 -b:v 0 -pix_fmt yuva420p @/alpha.webm",
        colors: [quarters[0], [255, 255, 255], quarters[2], [255, 255, 255]]),
]

@Suite struct MediaFormsTests {
    /// The colors of the four quarters of the first frame at the shown size, cropped to nothing.
    private func check(_ form: Form, in workshop: Workshop) throws {
        for command in form.commands { try workshop.run(command) }
        if form.name == "comment.png" { try breakText(workshop) }
        let path = "\(workshop.path)/\(form.name)"
        let facts = try inspectMedia(at: path)
        #expect((facts.width, facts.height) == form.size, "\(form.name): \(facts)")
        let (width, height) = (form.size.0 > 192 ? 96 : form.size.0, form.size.0 > 192 ? 72 : form.size.1)
        let reader = try FrameReader(path, width: width, height: height, count: 1, fps: 8)
        let frame = try #require(try reader.next())
        for (index, expected) in form.colors.enumerated() {
            let (x, y) = (width / 4 + index % 2 * width / 2, height / 4 + index / 2 * height / 2)
            let found = frame[(y * width + x) * 3..<(y * width + x) * 3 + 3].map { Int($0) }
            #expect(
                zip(found, expected).allSatisfy { abs($0 - $1) <= form.tolerance },
                "\(form.name), quarter \(index): \(found), not \(expected)")
        }
    }

    /// Spoils the checksum of the first text chunk.
    private func breakText(_ workshop: Workshop) throws {
        var bytes = try workshop.folder.bytes(of: "comment.png")
        let place = try #require(bytes.firstRange(of: Array("sorad".utf8)))
        bytes[place.lowerBound] ^= 0x20
        try writeDurably(bytes, named: "comment.png", in: workshop.path)
    }

    @Test(arguments: pictureForms) fileprivate func picturesAreShownAsViewersShowThem(form: Form) throws { try check(form, in: Workshop()) }

    @Test(arguments: otherMakers) fileprivate func picturesOfOtherMakersAreToo(form: Form) throws { try check(form, in: Workshop()) }

    /// Bytes behind the end of a picture are none of it: the rest of a longer file, or a clip that belongs to it.
    @Test(arguments: ["rest.png", "rest.jpg", "rest.webp", "rest.gif"]) func whatFollowsAPictureIsLeftOut(name: String) throws {
        let workshop = try Workshop()
        try workshop.run("convert-im6.q16 @/base.ppm -quality 98 @/\(name)")
        let whole = try workshop.folder.bytes(of: name)
        for rest in [Array(whole.suffix(whole.count / 2)), whole, Array("x".utf8), [UInt8](repeating: 0, count: 5000)] {
            try writeDurably(whole + rest, named: name, in: workshop.path)
            #expect(try inspectMedia(at: "\(workshop.path)/\(name)").width == 96, "\(rest.count) bytes more")
            let reader = try FrameReader("\(workshop.path)/\(name)", width: 96, height: 64, count: 1, fps: 8)
            let frame = try #require(try reader.next())
            #expect(abs(Int(frame[(16 * 96 + 24) * 3]) - 200) <= 6)
            #expect(try reader.next() == nil)
        }
    }

    /// What this ffmpeg would show wrongly, or not at all, is called by its name.
    @Test(arguments: [
        (pillow("jpeg.tiff", "b.save(OUT,compression='jpeg')"), "compressed as JPEG inside"),
        (pillow("float.tiff", "b.convert('F').save(OUT)"), "floating-point numbers"),
        (pillow("moving.webp", "b.save(OUT,save_all=True,append_images=[b.rotate(180)])"), "is animated"),
        (pillow("moving.png", "b.save(OUT,save_all=True,append_images=[b.rotate(180)])"), "is animated"),
        (Form("tiles.tiff", "convert-im6.q16 @/base.ppm -define tiff:tile-geometry=32x32 @/tiles.tiff"), "made of tiles"),
        (Form("lab.tiff", "convert-im6.q16 @/base.ppm -colorspace Lab @/lab.tiff"), "Lab values"),
        (Form("ycc.tiff", "convert-im6.q16 @/base.ppm -colorspace YCbCr @/ycc.tiff"), "YCbCr values"),
        (Form("still.heic", toPNG, "heif-enc @/base.png -o @/still.heic"), "HEIC"),
    ])
    fileprivate func whatCannotBeShownIsCalledByItsName(form: Form, words: String) throws {
        let workshop = try Workshop()
        for command in form.commands { try workshop.run(command) }
        let error = #expect(throws: SoradError.self) { try inspectMedia(at: "\(workshop.path)/\(form.name)") }
        #expect(error?.kind == .badInput && error?.message.contains(words) == true, "\(error?.message ?? "")")
    }

    @Test(arguments: clipForms) fileprivate func clipsAreShownAsPlayersShowThem(form: Form) throws { try check(form, in: Workshop()) }

    @Test func thereAreEnoughForms() { #expect(pictureForms.count + otherMakers.count + clipForms.count + Self.speeds.count >= 90) }

    // MARK: playing time

    private static let red = "-f lavfi -i color=red:size=96x64"
    private static let blue = "-f lavfi -i color=blue:size=96x64"

    /// A clip that is red for some time and then blue.
    struct Speed: CustomTestStringConvertible, Sendable {
        let name: String
        let commands: [String]
        /// Seconds: all, and until the change.
        let length: Double
        let change: Double
        var testDescription: String { name }
    }

    /// `rate` frames a second: `red` of one color, `blue` of the other.
    private static func constant(_ name: String, rate: String, red: Int, blue: Int, length: Double, change: Double, _ codec: String = h264)
        -> Speed
    {
        Speed(
            name: name,
            commands: [
                "ffmpeg -v error -y -f lavfi -i color=red:size=96x64:rate=\(rate) -f lavfi -i color=blue:size=96x64:rate=\(rate) -filter_complex "
                    + "[0]trim=end_frame=\(red)[a];[1]trim=end_frame=\(blue)[b];[a][b]concat=n=2:v=1 \(codec) @/\(name)"
            ], length: length, change: change)
    }

    /// The last frame lasts 40 ms, as the encoder's nominal rate says. Frames whose times are `times` of their number N, in milliseconds.
    private static func variable(
        _ name: String, _ count: Int, red: Int, _ times: String, length: Double, change: Double, _ codec: String = h264
    ) -> Speed {
        Speed(
            name: name,
            commands: [
                "ffmpeg -v error -y -f lavfi -i color=red:size=96x64:rate=25 -f lavfi -i color=blue:size=96x64:rate=25 -filter_complex "
                    + "[0]trim=end_frame=\(red)[a];[1]trim=end_frame=\(count - red)[b];[a][b]concat=n=2:v=1,settb=1/1000,setpts='\(times)' "
                    + "-fps_mode passthrough -video_track_timescale 1000 -enc_time_base 1/1000 \(codec) @/\(name)"
            ], length: length, change: change)
    }

    static let speeds: [Speed] = [
        constant("8.mp4", rate: "8", red: 8, blue: 8, length: 2, change: 1),
        constant("24.mp4", rate: "24", red: 24, blue: 36, length: 2.5, change: 1),
        constant("ntsc.mp4", rate: "30000/1001", red: 30, blue: 30, length: 2.002, change: 1.001),
        constant("film.mkv", rate: "24000/1001", red: 48, blue: 24, length: 3.003, change: 2.002),
        constant("240.mp4", rate: "240", red: 240, blue: 240, length: 2, change: 1),
        constant("120.webm", rate: "120", red: 60, blue: 120, length: 1.5, change: 0.5, "-c:v libvpx -b:v 1M"),
        constant("slow.mp4", rate: "1/2", red: 2, blue: 2, length: 8, change: 4),
        constant("12.5.mov", rate: "25/2", red: 25, blue: 25, length: 4, change: 2),
        // As telephones record: 30 a second, then 12 a second in the dark.
        variable("dark.mkv", 60, red: 30, "if(lt(N,30),N*33,990+(N-30)*83)", length: 3.437, change: 0.99),
        // As screens are recorded: only what changes, with long waits.
        variable("screen.mkv", 12, red: 6, "if(lt(N,6),N*500,3000+(N-6)*100)", length: 3.54, change: 3),
        variable("screen.webm", 12, red: 6, "if(lt(N,6),N*100,600+(N-6)*500)", length: 3.14, change: 0.6, "-c:v libvpx -b:v 1M"),
        variable("jitter.mkv", 40, red: 20, "N*50+mod(N,3)*9", length: 2, change: 1.018),
        Speed(
            name: "delays.gif", commands: ["convert-im6.q16 -size 96x64 -delay 150 xc:red -delay 50 xc:blue -loop 0 @/delays.gif"],
            length: 2, change: 1.5),
        // Its rate is the container's alone.
        Speed(
            name: "said.mkv",
            commands: [
                "ffmpeg -v error -y -f lavfi -i color=red:size=96x64:rate=25 -f lavfi -i color=blue:size=96x64:rate=25 -filter_complex "
                    + "[0]trim=end_frame=10[a];[1]trim=end_frame=20[b];[a][b]concat=n=2:v=1 \(h264) @/said.h264",
                "mkvmerge -q -o @/said.mkv --default-duration 0:10fps @/said.h264",
            ], length: 3, change: 1),
        // The first second is cut off by an edit list, without encoding again.
        Speed(
            name: "cut.mp4",
            commands: [
                "ffmpeg -v error -y -f lavfi -i color=red:size=96x64:rate=10 -f lavfi -i color=blue:size=96x64:rate=10 -filter_complex "
                    + "[0]trim=end_frame=20[a];[1]trim=end_frame=20[b];[a][b]concat=n=2:v=1 \(h264) -bf 2 -g 100 @/whole.mp4",
                "ffmpeg -v error -y -ss 1 -i @/whole.mp4 -c copy @/cut.mp4",
            ], length: 3, change: 1),
    ]

    @Test(arguments: speeds) func playingTimeIsKept(speed: Speed) throws {
        let workshop = try Workshop()
        for command in speed.commands { try workshop.run(command) }
        let path = "\(workshop.path)/\(speed.name)"
        let facts = try inspectMedia(at: path)
        #expect(abs(Double(facts.microseconds) / 1e6 - speed.length) <= 1 / Double(facts.fps), "\(facts)")
        for rate in Set([facts.fps, 8, 30]) {
            let count = frameCount(microseconds: facts.microseconds, fps: rate)
            let reader = try FrameReader(path, width: 32, height: 32, count: count, fps: rate)
            var change: Int?
            for index in 0..<count {
                let frame = try #require(try reader.next(), "frame \(index) of \(count) at \(rate)")
                if change == nil, frame[2] > 128 { change = index }
            }
            #expect(try reader.next() == nil)
            let frame = 1 / Double(rate)
            #expect(abs(Double(count) * frame - speed.length) <= frame + 1e-6, "\(count) frames at \(rate)")
            let seen = Double(try #require(change, "no change at \(rate)")) * frame
            #expect(abs(seen - speed.change) <= frame + 1e-6, "the change comes at \(seen) s with \(rate) frames a second")
        }
    }
}
