#!/usr/bin/env python3
"""Puts the words of a model's captions into a finished model file, which keeps its weights as they are.

    put_words.py MODEL.gguf WORDS -o NEW.gguf

For files that were quantized before `sorad-quantize` took tokenizer/words.txt of a checkpoint. WORDS is what
`sorad_mini.caption_words` writes. The key `sorad.words` goes before the tokenizer's keys or takes the place of an older list, and the
checksum is computed anew (docs/MODEL_FILE.md). Needs nothing but Python.
"""
import argparse
import hashlib
import pathlib
import struct

KEY, CHECKSUM = b"sorad.words", b"sorad.integrity.sha256"
ALIGNMENT, PIECE, DIGITS = 64, 1 << 20, 64
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        value, = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def string(self):
        length = self.take("Q")
        start, self.at = self.at, self.at + length
        return self.data[start:self.at]

    def skip(self, kind):
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            element, count = self.take("I"), self.take("Q")
            for _ in range(count):
                self.skip(element)
        else:
            self.at += SIZES[kind]


def string(text):
    return struct.pack("<Q", len(text)) + text


def checksum(data, at):
    digests = hashlib.sha256()
    cleared = data[:at] + b"0" * DIGITS + data[at + DIGITS:]
    for start in range(0, len(cleared), PIECE):
        digests.update(hashlib.sha256(cleared[start:start + PIECE]).digest())
    return digests.hexdigest().encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("words", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    given = parser.parse_args()
    data = given.model.read_bytes()
    words = [word.encode() for word in given.words.read_text(encoding="utf-8").split("\n") if word]
    reader = Reader(data)
    magic, version, tensors, count = reader.data[:4], *struct.unpack_from("<IQQ", data, 4)
    assert magic == b"GGUF" and version == 3, "not a GGUF file of version 3"
    reader.at = 24
    entries = []
    for _ in range(count):
        start = reader.at
        key = reader.string()
        reader.skip(reader.take("I"))
        entries.append((key, data[start:reader.at]))
    assert entries[-1][0] == CHECKSUM, "the checksum is not the last key"
    start = reader.at
    for _ in range(tensors):
        reader.string()
        dimensions = reader.take("I")
        reader.at += 8 * dimensions + 4 + 8        # sizes, type, offset
    directory, weights = data[start:reader.at], data[-(-reader.at // ALIGNMENT) * ALIGNMENT:]
    entries = [entry for entry in entries if entry[0] != KEY]
    list_ = string(KEY) + struct.pack("<IIQ", ARRAY, STRING, len(words)) + b"".join(map(string, words))
    at = next(index for index, (key, _) in enumerate(entries) if key.startswith(b"tokenizer."))
    entries.insert(at, (KEY, list_))
    head = b"GGUF" + struct.pack("<IQQ", 3, tensors, len(entries)) + b"".join(entry for _, entry in entries)
    place = len(head) - DIGITS
    head += directory
    new = head + bytes(-len(head) % ALIGNMENT) + weights
    new = new[:place] + checksum(new, place) + new[place + DIGITS:]
    given.output.write_bytes(new)
    print(f"{new[place:place + DIGITS].decode()}  {given.output}: {len(words)} words")


main()
