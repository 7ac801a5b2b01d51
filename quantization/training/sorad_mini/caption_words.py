"""The words of captions, one a line: what the model has seen, so that a request can be told which of its words it has not.

    python -m sorad_mini.caption_words --scenes 20000 -o DIR/tokenizer/words.txt
    python -m sorad_mini.caption_words --stdin -o words.txt < sentences

`sorad-quantize` takes tokenizer/words.txt of a checkpoint into the model file (`sorad.words` of docs/MODEL_FILE.md). Words are cut as
`TextWord` in Sources/SoradTokenizer/UnknownWords.swift cuts them: runs of letters and digits with apostrophes between them, and
ideographs one by one. Words of grammar alone are added: they show nothing, and nobody wants to be told of them.
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
clip video film movie scene picture animation short 一 个 只 的 了 在 和 与 是 有 着 上 下 里 中 这 那 个 段 视 频""".split()


def words_of(sentences: Iterable[str]) -> list[str]:
    found = set(GRAMMAR)
    for sentence in sentences:
        for word in WORD.findall(unicodedata.normalize("NFKC", sentence).lower()):
            found.add(re.sub(r"['\u2019]s$", "", word))
    return sorted(found)


def write(path: Path, sentences: Iterable[str]) -> None:
    path.write_text("\n".join(words_of(sentences)) + "\n", encoding="utf-8")


def captions(scenes: int = 20_000) -> Iterable[str]:
    """Of the training split, drawn as the tokenizer's corpus is, without its list of other words."""
    import numpy as np

    from .captions import caption
    from .world import sample_scene
    return (caption(sample_scene("train", i), np.random.default_rng([7, i])) for i in range(scenes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=20_000, help="captions to draw")
    parser.add_argument("--stdin", action="store_true", help="take the captions from standard input, one a line")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    write(given.output, sys.stdin if given.stdin else captions(given.scenes))


if __name__ == "__main__":
    main()
