"""The SentencePiece unigram tokenizer: NFKC with case folding, byte fallback, T5's special ids (pad 0, eos 1, unk 2).

    python -m sorad_mini.tokenizer --work DIR

Writes WORK/tokenizer/{spiece.model,tokenizer.json,tokenizer_config.json,special_tokens_map.json}. SentencePiece learns the
small pieces from captions; whole words of the world, and phrases that bind words ("to the left", "red ball", 从左到右), are
added with scores that make them win. Phrases cross spaces, so the pieces are ordinary ones (user-defined symbols would be
matched before case is folded).
Invariants: ids of a text always end with eos and never exceed TEXT_LENGTH; upper and lower case, and full and half width,
give the same ids.
"""
from __future__ import annotations

import argparse
import json
import math
import random
import re
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import sentencepiece

from . import wordings as w
from .captions import caption
from .english import inflect, plural
from .world import sample_scene

TEXT_LENGTH = 128
BASE_VOCABULARY = 1500
PAD, EOS, UNK = 0, 1, 2
SPACE = "\u2581"
DELIMITER = "\u2016"      # only in the training text
NORMAL = 1                # type of a piece
PUNCTUATION = ".,;:!?'\"()-/&%+#*=@_<>[]\u2014\u3002\u3001\u201c\u201d"   # each is a piece

# Phrases that mean something as a whole and that the lists of wordings do not have as entries of their own.
BINDING = ("to the left | to the right | to the left of | to the right of | from left to right | from right to left"
           " | from the left to the right | from the right to the left | on the left of | on the right of"
           " | on the left side of | on the right side of | across the screen | across the screen from left to right"
           " | across the screen from right to left | towards the left | towards the right | toward the left"
           " | toward the right | in front of | on top of | next to | up and down | towards the camera | toward the camera"
           " | away from the camera | into the distance | towards us | toward us | away from us | in a circle | in circles"
           " | and then | after that | the camera | there is | there are | a video of | and a | of the picture"
           " | out of the picture | comes back | coming back | does not move | do not move | not moving"
           " | the camera does not | pans left | pans right | pans to the left | pans to the right | zooms in | zooms out"
           " | moves left | moves right | moving left | moving right | moves up | panning left | panning right | zoom in"
           " | zoom out | zooming in | zooming out | pan left | pan right | can you | show me | i want | would like | it is"
           " | stays still | staying still | stands still | standing still | nothing else | no people | through a hoop"
           " | passes behind | passing behind | blown out | a pair of | a couple of | left of | right of | first | then"
           " | in the middle of | on the left | on the right | 4k | 8k | 3d | doesn't | don't | it's | there's | i'd")


def corpus(scenes: int) -> list[str]:
    """Captions of the training split, plus sentences around each ordinary word so that its parts earn pieces."""
    lines = [caption(sample_scene("train", i), np.random.default_rng([7, i])) for i in range(scenes)]
    words = ordinary_words()
    shuffler = random.Random(7)
    for word in words:
        lines += [word, word, " ".join(shuffler.sample(words, 4) + [word])]
    return lines


def ordinary_words() -> list[str]:
    return list(dict.fromkeys((Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()))


def is_han(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


def separate_han(text: str) -> str:
    """Marks every Han character as a word of its own, so that SentencePiece joins none of them by itself."""
    return "".join(DELIMITER + c + DELIMITER if is_han(c) else c for c in text)


def verb_forms(phrase: str) -> list[str]:
    """A verb phrase with its travel verbs filled in, in every form."""
    travels = [""]
    if "{travel}" in phrase:
        travels = [verb for table in (w.TRAVEL_EN, w.FAST_TRAVEL_EN) for words in table.values() for verb in words.all()]
    forms = (("finite", False), ("finite", True), ("ing", False))
    filled = dict.fromkeys(phrase.replace("{travel}", travel) for travel in travels)
    return list(dict.fromkeys(inflect(p, form, many) for p in filled for form, many in forms))


def english_pieces() -> list[str]:
    """Whole words and binding phrases, by rising length; each is written with spaces."""
    words: Counter[str] = Counter()
    phrases: dict[str, None] = {}
    for value in vars(w).values():
        lists = value.values() if isinstance(value, dict) else [value]
        for entry in (e for words_ in lists if isinstance(words_, w.Words) for e in words_.train):
            if any(is_han(c) for c in entry):
                continue
            for form in verb_forms(entry) if "/" in entry or "{travel}" in entry else [entry]:
                words.update(re.findall(r"[a-z0-9][a-z0-9'-]*", re.sub(r"\{\w+\}|[%/]", " ", form.lower())))
    for table in (w.KIND_EN, w.COLOUR_EN, w.SIDE_EN, w.PLACE_EN, w.TIME_EN, w.TIME_OUTDOORS_EN, w.RELATION_EN):
        for words_ in table.values():
            phrases.update(dict.fromkeys(words_.train))
    for kind, words_ in w.KIND_EN.items():
        words.update(plural(word).split()[-1] for word in words_.train)
        main = words_.train[0]
        for colour in w.COLOUR_EN:
            phrases.update(dict.fromkeys((f"{colour} {main}", f"{colour} {plural(main)}")))
        if kind == "box":
            phrases.update(dict.fromkeys(f"{colour} cube" for colour in w.COLOUR_EN))
    phrases.update(dict.fromkeys(f"grey {w.KIND_EN[kind].train[0]}" for kind in w.KIND_EN))
    phrases.update(dict.fromkeys(phrase.strip() for phrase in BINDING.split("|")))
    singles = list(words) + [word for word in ordinary_words() if not is_han(word[0])]
    return sorted(dict.fromkeys([word.lower() for word in singles] + list(phrases)), key=lambda p: (p.count(" "), len(p)))


def chinese_pieces() -> list[str]:
    """Every entry of the Chinese lists that is short enough, directions, and colour and kind together, by rising length."""
    pieces: dict[str, None] = {}
    for name, value in vars(w).items():
        if not name.endswith("_ZH") or name.startswith(("FILLER", "QUESTION", "EVENT", "THEN")):
            continue
        for words in value.values() if isinstance(value, dict) else [value]:
            if isinstance(words, w.Words):
                pieces.update(dict.fromkeys(part for entry in words.train for part in re.split(r"\{\w+\}|：|，", entry)))
    for colour, words in w.COLOUR_ZH.items():
        name = words.train[0]
        pieces.update(dict.fromkeys((name + "的",)))
        for kind in w.KIND_ZH.values():
            pieces.update(dict.fromkeys((f"{name}的{kind.train[0]}", f"{name}{kind.train[0]}")))
    for number in "一两三四":
        pieces.update(dict.fromkeys(number + measure for words in w.MEASURE_ZH.values() for measure in words.train))
    pieces.update(dict.fromkeys(("左边有", "右边有", "的左边", "的右边", "的前面", "的后面", "的上面", "的下面", "然后", "接着", "之后", "一开始", "后来", "穿过", "篮筐", "篮圈",
                                 "熄灭", "吹灭", "放下", "离开画面", "回来", "后面", "前面", "没有", "不是", "其他", "视频", "一段视频", "镜头")))
    return sorted((p for p in pieces if 2 <= len(p) <= 7 and all(is_han(c) for c in p)), key=len)


# --- The model file: protobuf messages, read and written as lists of fields ------------------------------------------

def read_fields(data: bytes) -> list[tuple[int, int, int | bytes]]:
    """(number, wire type, value) of every field of a message; value is an integer or raw bytes."""
    at, fields = 0, []

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        number, wire = key >> 3, key & 7
        if wire == 0:
            fields.append((number, wire, varint()))
            continue
        size = varint() if wire == 2 else {5: 4, 1: 8}[wire]
        fields.append((number, wire, data[at:at + size]))
        at += size
    return fields


def write_fields(fields: list[tuple[int, int, int | bytes]]) -> bytes:
    def varint(value: int) -> bytes:
        out = bytearray()
        while value > 127:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes(out) + bytes([value])

    out = bytearray()
    for number, wire, value in fields:
        out += varint(number << 3 | wire)
        out += varint(value) if wire == 0 else (varint(len(value)) if wire == 2 else b"") + value
    return bytes(out)


def read_pieces(model: bytes) -> list[tuple[str, float, int]]:
    """(piece, score, type) of every piece of a model file."""
    pieces = []
    for number, _, value in read_fields(model):
        if number == 1:
            entry = {n: v for n, _, v in read_fields(value)}
            pieces.append((entry[1].decode(), struct.unpack("<f", entry[2])[0] if 2 in entry else 0.0, entry.get(3, NORMAL)))
    return pieces


def with_pieces(model: bytes, pieces: list[tuple[str, float, int]]) -> bytes:
    """The model with other pieces."""
    fields = [(1, 2, write_fields([(1, 2, text.encode()), (2, 5, struct.pack("<f", score)), (3, 0, kind)])) for text, score, kind in pieces]
    for number, wire, value in read_fields(model):
        if number == 2:
            value = write_fields([(n, t, len(pieces) if n == 4 else v) for n, t, v in read_fields(value)])
        if number != 1:
            fields.append((number, wire, value))
    return write_fields(fields)


def precompiled_charsmap(model: bytes) -> bytes:
    normalizer = next(value for number, _, value in read_fields(model) if number == 3)
    return next(value for number, _, value in read_fields(normalizer) if number == 2)


# --- Training --------------------------------------------------------------------------------------------------------

def best_score(text: str, scores: dict[str, float]) -> float:
    """The score of the best split of a text into pieces, -inf if there is none."""
    best = [0.0] + [-math.inf] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - 48), end):
            score = scores.get(text[start:end])
            if score is not None and best[start] + score > best[end]:
                best[end] = best[start] + score
    return best[-1]


def extended(model: bytes, lines: list[str]) -> list[tuple[str, float, int]]:
    """The pieces of the base model and the world's own, with scores by which each of these is its own best split."""
    pieces = read_pieces(model)
    scores = {text: score for text, score, kind in pieces if kind == NORMAL}
    texts = [SPACE + " ".join(re.findall(r"[a-z0-9'-]+|[^ ]", line.lower())).replace(" ", SPACE) + SPACE for line in lines]
    whole = "\n".join(texts)
    total = sum(text.count(SPACE) for text in texts)
    wanted = [(SPACE + p.replace(" ", SPACE), SPACE) for p in english_pieces()] + [(p, "") for p in chinese_pieces()]
    for character in sorted(({c for p, _ in wanted for c in p} | set(PUNCTUATION)) - set(scores)):
        scores[character] = -14.0
    for piece, end in wanted:
        seen = whole.count(piece + end) if end else sum(line.count(piece) for line in lines)
        own = math.log((seen + 0.5) / total)
        scores[piece] = max(own, best_score(piece, {k: v for k, v in scores.items() if k != piece} if piece in scores else scores) + 0.5)
    order = {text: k for k, (text, _, _) in enumerate(pieces)}
    specials = [piece for piece in pieces if piece[2] != NORMAL]
    return specials + [(text, scores[text], NORMAL) for text in sorted(scores, key=lambda t: (-scores[t], order.get(t, 0), t))]


def train(work: Path, scenes: int) -> None:
    folder = work / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    lines = corpus(scenes)
    text = folder / "corpus.txt"
    text.write_text("\n".join(separate_han(line) for line in lines), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "spiece"), vocab_size=BASE_VOCABULARY, model_type="unigram",
        normalization_rule_name="nmt_nfkc_cf", byte_fallback=True, character_coverage=1.0, hard_vocab_limit=False,
        pad_id=PAD, eos_id=EOS, unk_id=UNK, bos_id=-1, pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>",
        pretokenization_delimiter=DELIMITER, num_threads=1, minloglevel=2)
    path = folder / "spiece.model"
    base = path.read_bytes()
    pieces = extended(base, lines)
    path.write_bytes(with_pieces(base, pieces))
    write_fast(folder, pieces, precompiled_charsmap(base))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
        "extra_ids": 0, "model_max_length": TEXT_LENGTH, "legacy": False}, indent=2))
    (folder / "special_tokens_map.json").write_text(json.dumps(
        {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}, indent=2))
    text.unlink()
    (folder / "spiece.vocab").unlink()


def write_fast(folder: Path, pieces: list[tuple[str, float, int]], charsmap: bytes) -> None:
    """tokenizer.json for transformers. Its own conversion of spiece.model splits at spaces and would never find a phrase."""
    from tokenizers import AddedToken, Regex, Tokenizer as Fast, decoders, models, normalizers, pre_tokenizers, processors
    fast = Fast(models.Unigram([(text, score) for text, score, _ in pieces], UNK, byte_fallback=True))
    fast.normalizer = normalizers.Sequence([
        normalizers.Precompiled(charsmap), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")])
    fast.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=False)
    fast.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(replacement=SPACE, prepend_scheme="always", split=False)])
    fast.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    fast.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ("<pad>", "</s>", "<unk>")])
    fast.save(str(folder / "tokenizer.json"))


# --- Use -------------------------------------------------------------------------------------------------------------

class Tokenizer:
    """Texts to ids. With a generator, phrases and words fall apart at random, so that their parts are learned too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
        self._splits: dict[int, list[tuple[int, ...]]] | None = None
        self._phrases: set[int] = set()
        self._own = np.random.default_rng(7)

    def __len__(self) -> int:
        return self.model.get_piece_size()

    def ids(self, text: str, rng: np.random.Generator | None = None, phrase: float = 0.2, word: float = 0.02) -> list[int]:
        """Ids with eos at the end, at most TEXT_LENGTH. `phrase` and `word`: how often a piece of several words, or of one, splits."""
        ids = self.model.encode(text)
        if rng is not None:
            ids = self.fallen_apart(ids, rng, phrase, word)
        return ids[:TEXT_LENGTH - 1] + [EOS]

    def encode(self, texts: list[str], rng: np.random.Generator | None = None, phrase: float = 0.2,
               word: float = 0.02) -> tuple[np.ndarray, np.ndarray]:
        """ids int64 [N, L], padded with PAD to the longest, and lengths int64 [N], eos counted."""
        rows = [self.ids(text, rng, phrase, word) for text in texts]
        lengths = np.array([len(row) for row in rows], np.int64)
        out = np.full((len(rows), int(lengths.max())), PAD, np.int64)
        for row, ids in zip(out, rows):
            row[:len(ids)] = ids
        return out, lengths

    def batch(self, texts: list[str], rng: np.random.Generator | None = None, sample: bool = False) -> np.ndarray:
        """The ids of `encode` alone; with `sample`, drawn by the tokenizer's own generator."""
        return self.encode(texts, self._own if sample and rng is None else rng)[0]

    def fallen_apart(self, ids: list[int], rng: np.random.Generator, phrase: float, word: float) -> list[int]:
        """Splits pieces at random, and their parts again."""
        if self._splits is None:
            self._find_splits()
        out: list[int] = []
        waiting = ids[::-1]
        while waiting:
            piece = waiting.pop()
            splits = self._splits.get(piece)
            if splits and rng.random() < (phrase if piece in self._phrases else word):
                waiting += splits[int(rng.random() * len(splits))][::-1]
            else:
                out.append(piece)
        return out

    def _find_splits(self) -> None:
        self._splits = {}
        texts = [self.model.id_to_piece(i) for i in range(len(self))]
        usable = {t: i for i, t in enumerate(texts) if not (self.model.is_control(i) or self.model.is_byte(i) or self.model.is_unknown(i))}
        for text, i in usable.items():
            several = SPACE in text[1:] or sum(map(is_han, text)) > 1
            if several:
                self._phrases.add(i)
            # A phrase falls apart between words, a word anywhere, but for the sign of its space.
            places = [k for k in range(1, len(text)) if SPACE not in text[1:] or text[k] == SPACE]
            halves = [(text[:k], text[k:]) for k in places if text[:k] != SPACE]
            found = [(usable[a], usable[b]) for a, b in halves if a in usable and b in usable]
            if several:
                smallest = re.findall(rf"{SPACE}?[^{SPACE}]+", text) if SPACE in text else list(text)
                if len(smallest) > 2 and all(part in usable for part in smallest):
                    found.append(tuple(usable[part] for part in smallest))
            if found:
                self._splits[i] = found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--scenes", type=int, default=20000)
    args = parser.parse_args()
    train(args.work, args.scenes)
    tokenizer = Tokenizer(args.work / "tokenizer")
    print(len(tokenizer), "pieces")
    for text in ("A RED BALL rolls to the left on grass.", "a blue cube to the left of a red cube", "一个蓝色的方块在雪地里从左到右滚动",
                 "a dog plays the piano", ""):
        print(tokenizer.ids(text), tokenizer.model.encode(text, out_type=str))
    lengths: dict[int, list[int]] = {}
    for i in range(4000):
        scene = sample_scene("judge", i)
        lengths.setdefault(len(scene.groups), []).append(len(tokenizer.ids(caption(scene, np.random.default_rng([8, i])))))
    for groups, values in sorted(lengths.items()):
        shares = [1, 10, 25, 50, 75, 90, 99, 100]
        print(f"{groups} groups: tokens at {shares} %:", *np.percentile(values, shares).astype(int))


if __name__ == "__main__":
    main()
