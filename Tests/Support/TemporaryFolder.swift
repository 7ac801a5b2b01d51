// For tests of files: a folder of their own, the bytes of a file, and the error of a call.
import Glibc
package import SoradSystem

/// A directory that goes away with the object.
package final class TemporaryFolder {
    package let path: String

    package init() throws {
        var template = Array("/tmp/sorad-file-tests-XXXXXX".utf8CString)
        guard unsafe template.withUnsafeMutableBufferPointer({ unsafe mkdtemp($0.baseAddress!) != nil }) else {
            throw SoradError(.unavailable, "cannot make a folder in /tmp")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Self.remove(path) }

    package func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = path + "/" + name
        let descriptor = try FileDescriptor(opening: file, flags: O_WRONLY | O_CREAT | O_TRUNC)
        try descriptor.write(bytes)
        return file
    }

    package func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }

    package func makeFolder(_ name: String) -> String {
        unsafe _ = mkdir(path + "/" + name, 0o700)
        return path + "/" + name
    }

    /// Copies the tree at `source` to `name`, small files only.
    package func copy(_ source: String, as name: String) throws -> String {
        let target = makeFolder(name)
        for entry in Self.entries(source) {
            var status = stat()
            unsafe _ = stat("\(source)/\(entry)", &status)
            if status.st_mode & S_IFMT == S_IFDIR {
                _ = try copy("\(source)/\(entry)", as: "\(name)/\(entry)")
            } else {
                _ = try write("\(name)/\(entry)", try read("\(source)/\(entry)"))
            }
        }
        return target
    }

    package static func entries(_ path: String) -> [String] {
        var names: [String] = []
        guard let directory = unsafe opendir(path) else { return [] }
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        unsafe closedir(directory)
        return names.sorted()
    }

    private static func remove(_ path: String) {
        for entry in entries(path) { remove("\(path)/\(entry)") }
        unsafe _ = Glibc.remove(path)
    }
}

package func read(_ path: String) throws -> [UInt8] { try MappedFile(path).bytes.array }

/// The sentence of the error that `body` throws, or nil when it throws none.
package func failure(_ body: () throws -> Void) -> SoradError? {
    do {
        try body()
        return nil
    } catch {
        return error as? SoradError
    }
}
