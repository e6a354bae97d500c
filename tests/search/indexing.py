"""Writes an index of random vectors, as a process that tests kill: `python indexing.py FOLDER PASSAGES`."""

from __future__ import annotations

import sys

import numpy as np

from clearir.data.passages import Corpus, Passage
from clearir.search.index import IndexInfo, write_index


def corpus(passages: int) -> Corpus:
    return Corpus("numbers", tuple(Passage(str(i), f"text {i}") for i in range(passages)))


def write(folder: str, passages: int) -> None:
    def vectors_of(part):
        vectors = np.random.default_rng(len(part)).standard_normal((len(part), 8), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    info = IndexInfo("numbers", passages, {}, (), "model", "hash", 8)
    write_index(corpus(passages), info, vectors_of, folder, exact_below=200, chunk=100, overwrite=True)


if __name__ == "__main__":
    print("ready", flush=True)
    write(sys.argv[1], int(sys.argv[2]))
