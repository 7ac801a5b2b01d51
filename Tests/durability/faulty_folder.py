"""A folder whose disk fails: passes everything on to another folder until the chosen operation.

    python faulty_folder.py MOUNTPOINT BEHIND CONTROL

CONTROL is a small file that the test writes: "ERRNO FIRST COUNT", for example "28 17 1": the operations number FIRST to
FIRST + COUNT - 1 of those that change something (create, write, fsync, rename, mkdir, unlink, truncate) fail with that
errno; every change of CONTROL starts the count again. CONTROL.seen holds what has been counted: one line an operation.
"""
import errno
import os
import sys

import mfusepy as fuse


class Folder(fuse.Operations):
    use_ns = True

    def __init__(self, behind, control):
        self.behind, self.control = behind, control
        self.order, self.number = None, 0
        self.seen = open(control + ".seen", "w", buffering=1)

    def real(self, path):
        return self.behind + path

    def change(self, what, path):
        """Counts an operation that changes something, and fails it when its turn has come."""
        try:
            text = open(self.control).read().split()
        except FileNotFoundError:
            text = []
        if text != self.order:
            self.order, self.number = text, 0
            self.seen.seek(0)
            self.seen.truncate()
        self.number += 1
        self.seen.write(f"{self.number} {what} {path}\n")
        if len(text) == 3:
            code, first, count = map(int, text)
            if first <= self.number < first + count:
                raise OSError(code, os.strerror(code))

    def getattr(self, path, fh=None):
        s = os.lstat(self.real(path))
        names = ("st_atime_ns", "st_ctime_ns", "st_mtime_ns")
        return {n.removesuffix("_ns"): getattr(s, n) for n in names} | {
            n: getattr(s, n) for n in ("st_gid", "st_mode", "st_nlink", "st_size", "st_uid", "st_blocks")}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self.real(path))]

    def open(self, path, flags):
        return os.open(self.real(path), flags & ~(os.O_CREAT | os.O_EXCL))

    def create(self, path, mode, fi=None):
        self.change("create", path)
        return os.open(self.real(path), os.O_RDWR | os.O_CREAT, mode)

    def read(self, path, length, offset, fh):
        return os.pread(fh, length, offset)

    def write(self, path, data, offset, fh):
        self.change("write", path)
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        self.change("truncate", path)
        os.truncate(self.real(path), length)

    def fsync(self, path, datasync, fh):
        self.change("fsync", path)
        os.fsync(fh)

    def fsyncdir(self, path, datasync, fh):
        self.change("fsyncdir", path)
        return 0

    def release(self, path, fh):
        os.close(fh)

    def flush(self, path, fh):
        return 0

    def rename(self, old, new):
        self.change("rename", new)
        os.rename(self.real(old), self.real(new))

    def mkdir(self, path, mode):
        self.change("mkdir", path)
        os.mkdir(self.real(path), mode)

    def rmdir(self, path):
        os.rmdir(self.real(path))

    def unlink(self, path):
        self.change("unlink", path)
        os.unlink(self.real(path))

    def link(self, new, old):
        self.change("link", new)
        os.link(self.real(old), self.real(new))

    def chmod(self, path, mode):
        os.chmod(self.real(path), mode)

    def chown(self, path, uid, gid):
        os.chown(self.real(path), uid, gid)

    def utimens(self, path, times=None):
        os.utime(self.real(path), ns=times)

    def statfs(self, path):
        s = os.statvfs(self.behind)
        return {n: getattr(s, n) for n in ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files",
                                           "f_flag", "f_frsize", "f_namemax")}


if __name__ == "__main__":
    fuse.FUSE(Folder(os.path.realpath(sys.argv[2]), sys.argv[3]), sys.argv[1], foreground=True, nothreads=True,
              allow_other=False)
