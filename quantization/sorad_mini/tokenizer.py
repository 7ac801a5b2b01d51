"""The SentencePiece unigram tokenizer: NFKC, byte fallback, T5's special ids (pad 0, eos 1, unk 2).

    python -m sorad_mini.tokenizer --work DIR

Writes WORK/tokenizer/{spiece.model,tokenizer_config.json,special_tokens_map.json}, trained on captions and on the
ordinary words of words.txt. Invariant: ids of a text always end with eos, and never exceed TEXT_LENGTH.
"""
from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
import sentencepiece

from .captions import caption
from .world import sample_scene

TEXT_LENGTH = 64
VOCABULARY = 4096
PAD, EOS, UNK = 0, 1, 2
DELIMITER = "\u2016"      # only in the training text


def corpus(scenes: int) -> list[str]:
    """Captions of the training split, plus sentences around each ordinary word so that it earns a piece."""
    lines = []
    for i in range(scenes):
        rng = np.random.default_rng([7, i])
        scene = sample_scene("train", i)
        lines.append(caption(scene, rng))
    words = (Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split()
    shuffler = random.Random(7)
    for word in words:
        lines += [word, word, " ".join(shuffler.sample(words, 4) + [word])]
    return [separate_han(line) for line in lines]


def separate_han(text: str) -> str:
    """Marks every Han character as a word of its own, so that no piece joins several and wordings stay open."""
    return "".join(DELIMITER + c + DELIMITER if "\u4e00" <= c <= "\u9fff" else c for c in text)


def train(work: Path, scenes: int) -> None:
    folder = work / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "corpus.txt"
    text.write_text("\n".join(corpus(scenes)), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "spiece"), vocab_size=VOCABULARY, model_type="unigram",
        normalization_rule_name="nmt_nfkc", byte_fallback=True, character_coverage=1.0, hard_vocab_limit=False,
        pad_id=PAD, eos_id=EOS, unk_id=UNK, bos_id=-1, pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>",
        pretokenization_delimiter=DELIMITER, num_threads=1, minloglevel=2)
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
        "extra_ids": 0, "model_max_length": TEXT_LENGTH, "legacy": False}, indent=2))
    (folder / "special_tokens_map.json").write_text(json.dumps(
        {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}, indent=2))
    text.unlink()
    (folder / "spiece.vocab").unlink()


class Tokenizer:
    def __init__(self, folder: Path) -> None:
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))

    def __len__(self) -> int:
        return self.model.get_piece_size()

    def encode(self, text: str) -> list[int]:
        """Ids with eos at the end, at most TEXT_LENGTH."""
        return self.model.encode(text)[:TEXT_LENGTH - 1] + [EOS]

    def batch(self, texts: list[str]) -> np.ndarray:
        """int64 [N, L], padded with PAD to the longest."""
        rows = [self.encode(text) for text in texts]
        out = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
        for row, ids in zip(out, rows):
            row[:len(ids)] = ids
        return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--scenes", type=int, default=20000)
    args = parser.parse_args()
    train(args.work, args.scenes)
    tokenizer = Tokenizer(args.work / "tokenizer")
    print(len(tokenizer), "pieces")
    for text in ("A red ball rolls to the left on grass.", "一个蓝色的方块在雪地里旋转", "a dog plays the piano", ""):
        print(tokenizer.encode(text), tokenizer.model.encode(text, out_type=str))


if __name__ == "__main__":
    main()
