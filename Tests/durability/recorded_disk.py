"""A disk that remembers: one file in a FUSE folder, every write and every flush to it in order.

    python recorded_disk.py FOLDER SIZE LOG

Mounted over FOLDER, the file FOLDER/disk of SIZE bytes takes a loop device. LOG gets one record per operation:
'W' offset(u64) length(u32) data, or 'F' for a flush (FUSE_FSYNC, which the loop device sends for every flush and
forced write of the file system above it). A power cut after record n leaves all writes before the last flush, and of
those after it whatever the disk had got round to: `image_after` makes such a disk.
"""
import errno
import os
import random
import stat
import struct
import sys
import time

SECTOR = 512
HEAD = struct.Struct("<QI")


def image_after(records, count, size, chance):
    """The disk's bytes when power fails after the first `count` records: of the writes that no flush followed, each
    sector is there or not, as `chance` (a random.Random) has it."""
    image = bytearray(size)
    last_flush = max((i for i in range(count) if records[i] is None), default=0)
    for offset, data in (r for r in records[:last_flush] if r is not None):
        image[offset:offset + len(data)] = data
    for offset, data in (r for r in records[last_flush:count] if r is not None):
        kept = chance.random()              # some writes whole, some not at all, some torn between sectors
        for start in range(0, len(data), SECTOR):
            if kept < 0.4 or (kept < 0.8 and chance.random() < 0.5):
                image[offset + start:offset + start + SECTOR] = data[start:start + SECTOR]
    return image


def read_log(path):
    """[(offset, data) for a write, None for a flush]; a record that is cut short at the end is left out."""
    blob, at, records = open(path, "rb").read(), 0, []
    while at < len(blob):
        if blob[at:at + 1] == b"F":
            records.append(None)
            at += 1
            continue
        offset, length = HEAD.unpack_from(blob, at + 1)
        at += 1 + HEAD.size
        if at + length > len(blob):
            break
        records.append((offset, blob[at:at + length]))
        at += length
    return records


def serve(folder, size, log_path):
    import mfusepy as fuse

    class Disk(fuse.Operations):
        use_ns = True

        def __init__(self):
            self.bytes = bytearray(size)
            self.log = open(log_path, "wb", buffering=0)
            self.born = time.time_ns()

        def getattr(self, path, fh=None):
            times = dict(st_atime=self.born, st_mtime=self.born, st_ctime=self.born, st_uid=os.getuid(), st_gid=os.getgid())
            if path == "/":
                return dict(st_mode=stat.S_IFDIR | 0o755, st_nlink=2, **times)
            if path == "/disk":
                return dict(st_mode=stat.S_IFREG | 0o600, st_nlink=1, st_size=size, **times)
            raise fuse.FuseOSError(errno.ENOENT)

        def readdir(self, path, fh):
            return [".", "..", "disk"]

        def open(self, path, flags):
            return 0

        def read(self, path, length, offset, fh):
            return bytes(self.bytes[offset:offset + length])

        def write(self, path, data, offset, fh):
            self.bytes[offset:offset + len(data)] = data
            self.log.write(b"W" + HEAD.pack(offset, len(data)) + data)
            return len(data)

        def fsync(self, path, datasync, fh):
            self.log.write(b"F")
            return 0

        def flush(self, path, fh):
            return 0

    fuse.FUSE(Disk(), folder, foreground=True, nothreads=True, direct_io=True, allow_other=False)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
