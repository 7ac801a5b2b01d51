#!/usr/bin/env python3
"""Writes the fixtures of SoradTokenizerTests: three small SentencePiece models, 10,000 texts, and what the sentencepiece package
makes of them.

    pip install sentencepiece==0.2.3
    python quantization/reference/make_tokenizer_fixture.py            # writes Tests/SoradTokenizerTests/Fixtures
    python quantization/reference/make_tokenizer_fixture.py --show 17  # prints text 17 and its tokens, writes nothing

The texts come from one seeded generator, so they are the same on every run; the models are trained on other sentences of the same
made-up words, on one thread, so they are the same too.

Formats (all integers little endian; `varint` as in protobuf):
    texts.bin      u32 count, then per text: varint repeat, varint length, the bytes; the text is the bytes `repeat` times
    MODEL.hashes   u32 count, then per text: u32 FNV-1a over the u32 triples (id, begin, end), byte offsets in the text
    MODEL.ids      u32 count, then per text with repeat 1: varint count, then the ids as varints
"""

import argparse
import hashlib
import io
import pathlib
import random
import re
import struct

import sentencepiece

SEED = 20
TEXT_COUNT = 10_000
FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "SoradTokenizerTests" / "Fixtures"

# ---------------------------------------------------------------- made-up languages

SCRIPTS = {  # script: (first letters, second letters) of its syllables
    "latin": ("bcdfghjklmnprstvwz", ["a", "e", "i", "o", "u", "ai", "é", "ö", "ñ", "ß", "an", "er"]),
    "cyrillic": ("бвгджзклмнпрстфхцчш", ["а", "е", "и", "о", "у", "я", "ю", "ы", "ой", "ё", "ий"]),
    "greek": ("βγδζθκλμνξπρστφχψ", ["α", "ε", "η", "ι", "ο", "ω", "ά", "ός", "ου", "ΐ"]),
    "arabic": ("بتثجحخدذرزسشصضطظعغفقكلمنهوي", ["ا", "و", "ي", "َ", "ِ", "ة", ""]),
    "hebrew": ("אבגדהוזחטיכלמנסעפצקרשת", ["", "ו", "י", "ָ", "ִ"]),
    "devanagari": ("कखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह", ["", "ा", "ि", "ी", "ु", "े", "ो", "ं", "्"]),
    "thai": ("กขคงจชซญดตถทนบปผพฟมยรลวสหอ", ["า", "ิ", "ี", "ุ", "ู", "ะ", "ำ", "่า", "้"]),
    "georgian": ("აბგდევზთიკლმნოპჟრსტ", ["ა", "ე", "ი", "ო", "უ"]),
}
EMOJI = ["😀", "🚀", "❤️", "👍🏽", "👨‍👩‍👧", "🇯🇵", "🏳️‍🌈", "1️⃣", "🎬", "⚽", "🟥"]
COMPATIBILITY = ["ﬁ", "ﬄ", "ﷺ", "①", "½", "℀", "™", "㎏", "Ａ", "ｂ", "１", "！", "ｱ", "ｶﾞ", "ﾊﾟ", "ﬀ", "Ⅷ", "㍿", "²", "ſ", "µ", "…", "ΐ", "Å", "가", "ﺎ"]
COMBINING = ["é", "ö̲", "ạ̈", "क़", "á̧", "가", "각", "が", "Å", "ñ", "i̇", "s̩̍", "ͅα"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2003", "\u2028", "\u200b", "\u202f", "\u205f", "\u1680", "\u0085", "\v", "\f", "▁", " ▁ ", "\u2060", "\ufeff"]
CONTROLS = ["\0", "\x01", "\x07", "\x08", "\x1b[0m", "\x1c", "\x1f", "\x7f", "\x80", "\x9f", "\u00ad", "\u200d", "\u200e", "\u202e", "\u2066", "\ufffd", "\ufffe", "\ufff9", "\ue000", "\U000e0001", "\U0010ffff"]
SPECIAL = ["</s>", "<pad>", "<unk>", "<s>", "<0x41>", "<0xE2>", "<extra_id_0>", "▁</s>", "< / s >", "</s></s>", "<pad>a", "[CLS]", "red ball", "red", "redder", "日本語"]
INVALID = [b"\xff", b"\xfe\xff", b"\x80", b"\xbf\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xe2\x96", b"\xe2", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\xaf", b"\xf0\x9f\x98", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80"]


class Languages:
    """Random words in many scripts, drawn so that some are much more frequent than others."""

    def __init__(self, rng):
        self.words = {}
        for script, (heads, tails) in SCRIPTS.items():
            syllables = [rng.choice(heads) + rng.choice(tails) for _ in range(60)]
            self.words[script] = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(400)]
        han = [chr(c) for c in rng.sample(range(0x4E00, 0x9FA0), 500)] + list("日本語中国人红色球在草地上滚动")
        kana = [chr(c) for c in range(0x3041, 0x3097)] + [chr(c) for c in range(0x30A1, 0x30FB)] + ["ー"]
        hangul = [chr(c) for c in rng.sample(range(0xAC00, 0xD7A4), 250)]
        self.words["han"] = ["".join(rng.choices(han, k=rng.randint(1, 4))) for _ in range(600)]
        self.words["japanese"] = ["".join(rng.choices(kana if rng.random() < 0.6 else han, k=rng.randint(1, 5))) for _ in range(500)]
        self.words["hangul"] = ["".join(rng.choices(hangul, k=rng.randint(1, 4))) for _ in range(400)]
        self.words["english"] = "a the red blue green ball box cone ring rolls slides left right on grass sand snow at sunset camera pans and then bounces slowly".split()

    def word(self, rng, script):
        words = self.words[script]
        word = words[min(int(rng.paretovariate(0.6)) - 1, len(words) - 1)]
        style = rng.random()
        return word.capitalize() if style < 0.1 else word.upper() if style < 0.15 else word

    def sentence(self, rng, least=1, most=6):
        script = rng.choice(list(self.words))
        other = rng.choice(list(self.words)) if rng.random() < 0.25 else script
        gap = "" if script in ("han", "japanese", "thai") and rng.random() < 0.8 else " "
        words = [self.word(rng, rng.choice((script, script, other))) for _ in range(rng.randint(least, most))]
        if rng.random() < 0.2:
            words.insert(rng.randint(0, len(words)), str(rng.randint(0, 10 ** rng.randint(1, 6))))
        return gap.join(words) + rng.choice(["", "", "", ".", ",", "!", "。", "؟", "...", "\"", ")"])


def any_character(rng):
    """A code point from anywhere, assigned or not, surrogates aside."""
    while True:
        limit = rng.choice((0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000))
        code = rng.randrange(limit)
        if not 0xD800 <= code < 0xE000:
            return chr(code)


def sprinkled(rng, text, extras, most=3):
    """`text` with some of `extras` put in at random places, character boundaries or not for bytes."""
    for _ in range(rng.randint(1, most)):
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice(extras) + text[at:]
    return text


def make_text(rng, languages):
    """One text: (repeat, bytes)."""
    kind = rng.random()
    text = languages.sentence(rng, 1, 5)
    if kind < 0.45:
        pass
    elif kind < 0.53:
        text = sprinkled(rng, text, EMOJI)
    elif kind < 0.61:
        text = sprinkled(rng, text, COMPATIBILITY)
    elif kind < 0.67:
        text = sprinkled(rng, text, COMBINING)
    elif kind < 0.76:
        text = rng.choice(SPACES + [""]) + sprinkled(rng, text, SPACES, 5) + rng.choice(SPACES + [""])
    elif kind < 0.81:
        text = sprinkled(rng, text, CONTROLS)
    elif kind < 0.87:
        text = sprinkled(rng, text, SPECIAL)
    elif kind < 0.93:
        text = "".join(any_character(rng) for _ in range(rng.randint(1, 8)))
    elif kind < 0.98:
        data = sprinkled(rng, text.encode(), INVALID)
        if rng.random() < 0.5:
            data = data[rng.randint(0, len(data) // 2):rng.randint(len(data) // 2, len(data))]
        return 1, data
    else:
        text = "".join(rng.choice(rng.choice((EMOJI, COMPATIBILITY, COMBINING, SPACES, CONTROLS, SPECIAL))) for _ in range(rng.randint(1, 10)))
    return 1, text.encode()


def make_texts(languages):
    rng = random.Random(SEED + 1)
    texts = [(1, b""), (1, b" "), (1, "　 \t▁".encode()), (1, b"\0")]
    # Long texts: one endless word, spaces, unknown characters (whose scores add up beyond the reset), a sentence.
    for data, repeat in [
        (b"a", 5000), (b" ", 5000), ("▁".encode(), 3000), ("𒀀".encode(), 9000), (b"\xf0\x9f", 4000), ("ﷺ".encode(), 1500), (b"red ball ", 2000),
        ("ба".encode(), 4000), ("世".encode(), 20000), ("e\u0301".encode(), 3000), (b"\0", 2000), (b"a \t\n", 2000),
    ]:
        texts.append((repeat, data))
    for _ in range(20):
        texts.append((rng.randint(20, 400), languages.sentence(rng, 1, 8).encode() + rng.choice((b"", b" "))))
    for _ in range(10):
        texts.append((1, " ".join(languages.sentence(rng) for _ in range(rng.randint(20, 60))).encode()))
    # Long enough that path scores leave the range in which a float resolves close decisions.
    for _ in range(5):
        data = " ".join(languages.sentence(rng) for _ in range(40)).encode() + b" "
        texts.append((200_000 // len(data), data))
    while len(texts) < TEXT_COUNT:
        texts.append(make_text(rng, languages))
    return texts


# ---------------------------------------------------------------- models

RULES = {  # source: replacement, for the model with rules of its own; nested keys, growth, deletion and the introduction of spaces
    "ä": "ae", "ö": "oe", "ß": "ss", "q": "k", "ab": "B", "abc": "C", "...": "…", "\t": " ", "\n": " ", "、": ", ", "\u200b": "", "é": "e", "e\u0301": "e",
    "①": "( 1 )", "—": " - ", "  x": " ", "Σ": "σ", "क्": "ka", "😀": " :-) ", "ц": "ts", "😀😀": "::", "\u00a0": "  ",
}
# What a user-defined piece must win against: parts of words, spaces, normalisation, one another.
USER_DEFINED = ["<extra_id_0>", "red ball", "red", "日本語", "é", "▁▁", "ﬁ", "rolls on", "!"]


def train(sentences, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, model_type="unigram", num_threads=1, hard_vocab_limit=False,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2, **options)
    return model.getvalue()


def write_varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """The (number, value, raw bytes) of each field of a protobuf message."""
    at = 0
    while at < len(data):
        start = at
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            value, at = read_varint(data, at)
        else:
            length, at = {1: (8, at), 5: (4, at)}.get(tag & 7) or read_varint(data, at)
            value, at = data[at:at + length], at + length
        yield tag >> 3, value, data[start:at]


def with_unused_pieces(model, rng, share):
    """The model with some of its normal pieces turned into unused ones."""
    out = bytearray()
    for number, value, raw in fields(model):
        if number == 1 and not any(n == 3 for n, _, _ in fields(value)) and rng.random() < share:
            value += b"\x18\x05"  # type: UNUSED
            raw = b"\x0a" + write_varint(len(value)) + value
        out += raw
    return bytes(out)


def without_rule_file(model):
    """The model without the path of the rules that it was trained with, which nothing reads and which tells of the machine."""
    out = bytearray()
    for number, value, raw in fields(model):
        if number == 3:  # normalizer_spec; its field 6 is normalization_rule_tsv
            spec = b"".join(r for n, _, r in fields(value) if n != 6)
            raw = b"\x1a" + write_varint(len(spec)) + spec
        out += raw
    return bytes(out)


def make_models(languages):
    rng = random.Random(SEED + 2)
    sentences = [sprinkled(rng, languages.sentence(rng, 2, 8), EMOJI + COMPATIBILITY + COMBINING, 1) if rng.random() < 0.2 else languages.sentence(rng, 2, 8) for _ in range(12_000)]
    rules = FIXTURES / "rules.tsv.tmp"
    rules.write_text("".join(
        "{}\t{}\n".format(" ".join(f"{ord(c):X}" for c in source), " ".join(f"{ord(c):X}" for c in target))
        for source, target in sorted(RULES.items())))
    try:
        custom = train(
            sentences[:4000], vocab_size=1200, character_coverage=0.98, normalization_rule_tsv=str(rules), user_defined_symbols=USER_DEFINED,
            control_symbols=["<mask>"], add_dummy_prefix=False, remove_extra_whitespaces=False, split_by_whitespace=False)
    finally:
        rules.unlink()
    return {
        "nfkc_byte_fallback": train(sentences, vocab_size=3500, character_coverage=0.98, normalization_rule_name="nfkc", byte_fallback=True),
        "nmt_nfkc": train(sentences, vocab_size=2500, character_coverage=0.98, normalization_rule_name="nmt_nfkc"),
        "custom_rules": with_unused_pieces(without_rule_file(custom), rng, 0.1),
    }


# ---------------------------------------------------------------- what the package makes of them

def tokens(processor, text):
    """[(id, begin, end)] of `text` (bytes); the offsets count bytes."""
    if not text:
        return []
    result = []
    for number, piece, _ in fields(processor.encode(text, return_type="serialized_proto")):
        if number == 2:
            values = {n: v for n, v, _ in fields(piece)}
            result.append((values[2], values.get(4, 0), values.get(5, 0)))
    assert [t[0] for t in result] == processor.encode(text), text
    return result


def fnv1a(data):
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def write_fixtures(models, texts):
    files = {"texts.bin": struct.pack("<I", len(texts)) + b"".join(write_varint(r) + write_varint(len(d)) + d for r, d in texts)}
    for name, model in models.items():
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        hashes, ids = [struct.pack("<I", len(texts))], [struct.pack("<I", len(texts))]
        for repeat, data in texts:
            found = tokens(processor, data * repeat)
            hashes.append(struct.pack("<I", fnv1a(b"".join(struct.pack("<III", *t) for t in found))))
            if repeat == 1:
                ids.append(write_varint(len(found)) + b"".join(write_varint(t[0]) for t in found))
        files[f"{name}.model"] = model
        files[f"{name}.hashes"] = b"".join(hashes)
        if name == "nfkc_byte_fallback":
            files[f"{name}.ids"] = b"".join(ids)
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())]
    files["RECIPE"] = (
        "Written by quantization/reference/make_tokenizer_fixture.py; the formats are described there.\n"
        f"sentencepiece {sentencepiece.__version__}, seed {SEED}, {len(texts)} texts\n\n" + "".join(lines)).encode()
    for name, data in files.items():
        (FIXTURES / name).write_bytes(data)
        print(f"{len(data):9}  {name}")
    print(f"{sum(map(len, files.values())):9}  in all")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", type=int, metavar="INDEX", help="print this text and its tokens")
    options = parser.parse_args()
    # PromptText.whitespaceCleaned promises to know the same spaces.
    spaces = {c for c in range(0x110000) if re.match(r"\s", chr(c))}
    assert spaces == {*range(9, 14), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
    FIXTURES.mkdir(parents=True, exist_ok=True)
    languages = Languages(random.Random(SEED))
    texts = make_texts(languages)
    if options.show is None:
        write_fixtures(make_models(languages), texts)
        return
    repeat, data = texts[options.show]
    print(f"{repeat} × {data!r} = {data.decode(errors='replace')!r}")
    for path in sorted(FIXTURES.glob("*.model")):
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        print(path.stem, [(t[0], processor.id_to_piece(t[0]), t[1], t[2]) for t in tokens(processor, data * repeat)][:200])


if __name__ == "__main__":
    main()
