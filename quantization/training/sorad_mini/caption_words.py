"""The words of captions, one a line: what the model has seen, so that a request can be told which of its words it has not.

    python -m sorad_mini.caption_words --scenes 20000 -o DIR/tokenizer/words.txt
    python -m sorad_mini.caption_words --stdin -o words.txt < sentences

`sorad-quantize` takes tokenizer/words.txt of a checkpoint into the model file (`sorad.words` of docs/MODEL_FILE.md). Words are cut as
`TextWord` in Sources/SoradTokenizer/UnknownWords.swift cuts them: runs of letters and digits with apostrophes between them, and
ideographs one by one. Words of grammar alone are added: they show nothing, and nobody wants to be told of them.

Captions also hold words that mean nothing here, so that the model learns to pass over them: idle words ("cat"), made-up names, numbers,
slips of the pen. Those are left out: what the model passes over, it does not know.
"""
from __future__ import annotations

import argparse
import re
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

WORD = re.compile(r"[\u3400-\u9fff]|(?:(?![\u3400-\u9fff])[^\W_])+(?:['\u2019](?:(?![\u3400-\u9fff])[^\W_])+)*")
GRAMMAR = """a an the and or but of to in on at by for from with without as into onto over under up down off out while when then than that
this these those there here it its is are was were be been being has have had do does not no who which whose what where very some
any one i me my we us our you your he she they them their his her can could will would shall should may please make show generate create
clip video film movie scene picture animation short doesn't don't isn't aren't
so only also too more less most much many both each other others another again still just never always ever now later before after until
because since if else about between through along around near even yet yes thing things something nothing everything
someone somebody nobody how why yours mine its it's that's there's i'm i'd exactly first second last next start end begin finally 一 个 只 的 了 在 和 与 是 有 着 上 下 里 中 这 那 个 段 视 频""".split()


def stem(word: str) -> str:
    """The word without its ending, as `CaptionWords.stem` in UnknownWords.swift has it: "bounc" of "bounces" and "bouncing"."""
    for ending in ("ing", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[:-len(ending)]
            break
    if len(word) > 3 and word.endswith("e"):
        word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def words_of(sentences: Iterable[str]) -> list[str]:
    found = set(GRAMMAR)
    for sentence in sentences:
        for word in WORD.findall(unicodedata.normalize("NFKC", sentence).lower()):
            found.add(re.sub(r"['\u2019]s$", "", word))
    return sorted(found)


def write(path: Path, sentences: Iterable[str]) -> None:
    path.write_text("\n".join(words_of(sentences)) + "\n", encoding="utf-8")


def captions(scenes: int = 20_000) -> Iterable[str]:
    """Of captions of the training split the words that a list of `wordings` has: not idle, made up or mistyped ones."""
    import numpy as np

    from . import english, wordings
    from .captions import caption_with_facts
    from .world import sample_scene
    listed = {stem(word) for _, words in wordings.lists() for entry in words.all()
              for form in (entry, english.inflect(entry, "finite", False), english.plural(entry)) for word in WORD.findall(form.lower())}
    for i in range(scenes):
        text, _ = caption_with_facts(sample_scene("train", i), np.random.default_rng([7, i]), slips=False)
        yield " ".join(word for word in WORD.findall(unicodedata.normalize("NFKC", text).lower()) if stem(word) in listed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=20_000, help="captions to draw")
    parser.add_argument("--stdin", action="store_true", help="take the captions from standard input, one a line")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    write(given.output, sys.stdin if given.stdin else captions(given.scenes))


if __name__ == "__main__":
    main()
