#!/usr/bin/env python3
"""Writes Tests/SoradTokenizerTests/Fixtures/fold.model: a tiny SentencePiece model whose rules fold case and full width, as those of
sorad-mini's recipe do.

    pip install sentencepiece==0.2.3
    python quantization/reference/make_fold_fixture.py
"""
import os
import pathlib
import tempfile

import sentencepiece

FIXTURE = pathlib.Path(__file__).resolve().parents[2] / "Tests" / "SoradTokenizerTests" / "Fixtures" / "fold.model"
LINES = ["a red ball rolls to the left", "a blue cube rolls to the right", "the red cube", "the blue ball is left of the red ball"]


def main():
    rules = [(0x3000, 0x20)]
    for letter in range(26):
        rules += [(start + letter, 0x61 + letter) for start in (0x41, 0xFF21, 0xFF41)]
    with tempfile.TemporaryDirectory() as folder:
        # The model keeps these names.
        os.chdir(folder)
        table, text = pathlib.Path("rules.tsv"), pathlib.Path("text")
        table.write_text("".join(f"{source:X}\t{target:X}\n" for source, target in sorted(rules)))
        text.write_text("\n".join(LINES * 50))
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix="fold", vocab_size=310, model_type="unigram", normalization_rule_tsv=str(table),
            byte_fallback=True, hard_vocab_limit=False, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, num_threads=1, minloglevel=2)
        FIXTURE.write_bytes(pathlib.Path("fold.model").read_bytes())
        os.chdir("/")


if __name__ == "__main__":
    main()
