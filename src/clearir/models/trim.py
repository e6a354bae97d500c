"""A smaller model with the same vectors: of its table of words only those that some texts or languages need.

```python
trim("intfloat/multilingual-e5-small", Path("small"), corpus=[Path("faq.jsonl"), Path("queries.txt")])
```

A multilingual model is mostly its table of words, and who serves six languages needs a small part of it. A text whose
words are all kept is split into the same words and has the same vector: Unigram takes the likeliest split, WordPiece
the longest words and BPE the first merges, and none of these becomes another when words are taken away that it does not
use. A word that is lost is read as smaller ones, down to characters. How often that happens, and what it does to
vectors, is measured on texts that were held out.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clearir.data.scripts import scripts_of
from clearir.data.sources import files
from clearir.data.sources.checks import BadRowError
from clearir.data.sources.headers import key_of
from clearir.models.word_table import WordTable
from clearir.settings import MAX_LOST
from clearir.support.artifacts import MANIFEST, path_fingerprint, read_json, run_stage
from clearir.support.errors import ClearirError, InputError
from clearir.support.languages import name as language_name
from clearir.support.languages import normalise
from clearir.support.progress import task
from clearir.support.texts import is_blank, text_key

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    Ids = NDArray[np.int64]

#: columns of a table that hold no texts
NO_TEXTS = ("id", "docid", "passage_id", "query_id", "page_id", "language", "lang", "locale", "bridge", "url", "split")
#: one text of so many is held out, up to so many texts
_HELD_OUT, _MOST_HELD_OUT = 10, 20_000
#: texts whose vectors are compared
_SAMPLE = 50
#: from this cosine on, two vectors are the same but for rounding
_SAME = 0.9999
_TEXTS_AT_ONCE = 2048


@dataclass(frozen=True)
class HeldOut:
    """What would be lost of texts like the corpus, measured on a tenth of it, with the words of the others.

    Attributes:
        texts: that were held out.
        lost: share of their words that are not kept.
        texts_with_lost: share of the texts that have such a word.
        cosine: mean cosine of their vectors and the original's (of some texts).
        lowest_cosine: the least of them.
    """

    texts: int
    lost: float
    texts_with_lost: float
    cosine: float
    lowest_cosine: float


@dataclass(frozen=True)
class Trimmed:
    """What was made.

    Attributes:
        words_before: of the original's table.
        words: of the new one's.
        megabytes_before: of the original's weights.
        megabytes: of the new one's.
        held_out: None without a corpus, or where it has too few texts.
        lowest_cosine: of the new model's vectors and the original's, over texts of the corpus without a lost word;
            None without a corpus.
    """

    words_before: int
    words: int
    megabytes_before: float
    megabytes: float
    held_out: HeldOut | None
    lowest_cosine: float | None


def trim(
    model: str,
    out: Path,
    *,
    corpus: Sequence[Path] = (),
    languages: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    max_lost: float = MAX_LOST,
    trust_remote_code: bool = False,
    overwrite: bool = False,
) -> Trimmed:
    """Write a model that knows the words of a corpus, or of the scripts of some languages, or both.

    What any text may need stays too: special words, bytes, and single characters of the scripts in use.

    Args:
        model: as `clearir.models.load.load_model` takes it.
        out: folder to write; it appears when it is whole.
        corpus: tables (every text in them counts, queries too), ``.txt`` files with a text per line, or folders of
            tables.
        languages: words that are written in the scripts of these languages stay. Languages of one script share it:
            ``en`` keeps all words in Latin letters.
        columns: of the tables, those to read; by default all texts but `NO_TEXTS`.
        max_lost: refuse where a larger share of the words of held-out texts would be lost.
        trust_remote_code: run code that comes with the model.
        overwrite: replace a folder of other settings.

    Raises:
        InputError: nothing says what to keep, the model has no table of words of its own, its tokenizer is none of
            Unigram, BPE and WordPiece, or too many words would be lost.
    """
    from clearir.models.load import load_model, model_fingerprint

    if not corpus and not languages:
        raise InputError(
            "nothing says which words to keep; name texts such as yours with --corpus FILE, or --languages te,en"
        )
    asked = _scripts(languages)
    load = partial(load_model, device="cpu", trust_remote_code=trust_remote_code)
    network = load(model)
    table = WordTable.of(network, model)
    settings = {
        "stage": "trim",
        "model": model_fingerprint(network),
        "prompts": [network.prompts, network.default_prompt_name],
        "corpus": [[path_fingerprint(file) for file in files_of(path)] for path in corpus],
        "columns": columns,
        "languages": sorted(normalise(code) for code in languages),
        "max_lost": max_lost,
    }

    def make(folder: Path) -> Mapping[str, Any]:
        megabytes = _megabytes(network)
        seen, held_out, counts, sample = None, None, None, []
        if corpus:
            texts = chain.from_iterable(texts_of(path, columns) for path in corpus)
            seen = count_words(texts, table.backend, [prompt or "" for prompt in network.prompts.values()])
            counts, sample = seen.counts + seen.held_out_counts, seen.sample
        before = _vectors(network, sample)
        if seen is not None and seen.held_out:
            held_out = _lost(network, table, seen, asked, dict(zip(sample, before, strict=True)))
            if held_out.lost > max_lost:
                raise InputError(_too_many_lost(held_out.lost, max_lost))
        kept = table.needed(counts, asked)
        table.keep(network, kept)
        network.save_pretrained(str(folder), create_model_card=False)
        after = _vectors(load(folder), sample)  # what was saved is what is served
        lowest = float(_cosines(after, before).min()) if sample else None
        if lowest is not None and lowest < _SAME:
            raise ClearirError(
                f"the trimmed model's vectors are not those of {model} (cosine {lowest:.4f}), although no word was "
                "lost; nothing was written"
            )
        return asdict(Trimmed(len(kept), int(kept.sum()), megabytes, _megabytes(network), held_out, lowest))

    run_stage(out, settings, make, overwrite=overwrite)
    result = read_json(out / MANIFEST)["result"]
    held_out = result.pop("held_out")
    return Trimmed(**result, held_out=held_out and HeldOut(**held_out))


# -- the words of a corpus ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """How often each word occurs in a corpus, of which a part was held out.

    Attributes:
        counts: of each word, by id, with and without the model's prompts, in the texts that were not held out.
        held_out_counts: likewise in those that were.
        held_out: the words of each text that was held out.
        sample: some of all texts.
        held_out_sample: some of those that were held out.
    """

    counts: Ids
    held_out_counts: Ids
    held_out: list[Ids]
    sample: list[str]
    held_out_sample: list[str]


def count_words(texts: Iterable[str], backend: Tokenizer, prompts: Sequence[str]) -> Seen:
    """Count the words of texts, each text once (`text_key`). Which are held out depends on the text alone.

    Raises:
        InputError: there are no texts.
    """
    import xxhash

    size = backend.get_vocab_size()
    counts = [np.zeros(size, np.int64), np.zeros(size, np.int64)]
    held_out: list[Ids] = []
    samples: list[list[tuple[int, str]]] = [[], []]
    seen: set[int] = set()

    def add(some: list[tuple[int, str]], side: int) -> None:
        for prompt in dict.fromkeys(("", *prompts)):
            found = [np.array(one.ids) for one in backend.encode_batch([prompt + text for _, text in some])]
            counts[side] += np.bincount(np.concatenate(found), minlength=size)
            if side and not prompt:
                held_out.extend(found)

    waiting: list[list[tuple[int, str]]] = [[], []]
    taken = 0
    with task("Counting words") as advance:
        for text in texts:
            number = xxhash.xxh3_64_intdigest(text_key(text).encode("utf-8", "surrogatepass"))
            if number in seen or is_blank(text):
                continue
            seen.add(number)
            side = int(number % _HELD_OUT == 0 and taken < _MOST_HELD_OUT)
            taken += side
            _sample(samples[side], (-number, text))
            waiting[side].append((number, text))
            if len(waiting[side]) == _TEXTS_AT_ONCE:
                add(waiting[side], side)
                waiting[side] = []
            advance(1)
        for side in (0, 1):
            if waiting[side]:
                add(waiting[side], side)
    if not seen:
        raise InputError("the corpus holds no texts; check that these are the right files")
    held_out_sample, others = ([text for _, text in samples[side]] for side in (1, 0))
    return Seen(counts[0], counts[1], held_out, [*others, *held_out_sample], held_out_sample)


def files_of(path: Path) -> list[Path]:
    """The files of a corpus: one, or the tables in a folder.

    Raises:
        InputError: no such file, or of no kind that can be read.
    """
    return [path] if _is_plain(path) else files.find(path)


def texts_of(path: Path, columns: Sequence[str] | None = None) -> Iterator[str]:
    """The texts of a corpus.

    Args:
        path: a table or a folder of tables, or a ``.txt`` file with a text per line.
        columns: of a table; by default all but `NO_TEXTS`.

    Raises:
        InputError: a file cannot be read, or lacks a column.
    """
    if _is_plain(path):
        for number, raw in files.lines(path):
            yield files.decoded(path, number, raw).strip()
        return
    for file in files.find(path):
        for place, record in files.records(file):
            if isinstance(record, BadRowError):
                raise record
            missing = [name for name in columns or () if name not in record]
            if missing:
                raise InputError(f"{place}: no column {missing[0]!r}; the columns are {', '.join(record)}")
            wanted = columns or [name for name in record if key_of(name) not in NO_TEXTS]
            for value in (record[name] for name in wanted):
                yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str))


def _is_plain(path: Path) -> bool:
    return path.is_file() and path.name.removesuffix(".gz").endswith(".txt")


def _sample(sample: list[tuple[int, str]], one: tuple[int, str]) -> None:
    """Keep those of the lowest numbers: as good as drawn, and the same in each run."""
    if len(sample) < _SAMPLE:
        heapq.heappush(sample, one)
    else:
        heapq.heappushpop(sample, one)


# -- what is lost ------------------------------------------------------------------------------------------------------


def _lost(
    network: SentenceTransformer, table: WordTable, seen: Seen, scripts: frozenset[str], vectors: dict[str, Any]
) -> HeldOut:
    """What the words of the other texts leave of those that were held out; leaves the network cut to these words."""
    kept = table.needed(seen.counts, scripts)
    missing = [int((~kept)[ids].sum()) for ids in seen.held_out]
    table.keep(network, kept)
    sample = seen.held_out_sample
    cosines = _cosines(_vectors(network, sample), np.stack([vectors[text] for text in sample]))
    return HeldOut(
        texts=len(seen.held_out),
        lost=sum(missing) / max(1, sum(map(len, seen.held_out))),
        texts_with_lost=float(np.mean([number > 0 for number in missing])),
        cosine=float(cosines.mean()),
        lowest_cosine=float(cosines.min()),
    )


def _too_many_lost(lost: float, bound: float) -> str:
    return (
        f"{lost:.2%} of the words of held-out texts would be lost, more than {bound:.2%}; give more texts such as "
        "those that will be read (--corpus again), add --languages, or allow it with --max-lost "
        f"{math.ceil(lost * 1000) / 1000}"
    )


def _scripts(languages: Sequence[str]) -> frozenset[str]:
    """The scripts of some languages.

    Raises:
        InputError: no such language, or its script is not known.
    """
    found: set[str] = set()
    for code in map(normalise, languages):
        scripts = scripts_of(code)
        if scripts is None:
            raise InputError(f"{code}: the script of {language_name(code)} is not known; give texts with --corpus FILE")
        found |= scripts
    return frozenset(found)


def _vectors(network: SentenceTransformer, texts: Sequence[str]) -> NDArray[np.float32]:
    from clearir.models.encode import encode
    from clearir.models.prompts import prompts_of

    return encode(network, texts, prompt=prompts_of(network).passage)


def _cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of unit vectors, row by row."""
    found: NDArray[np.float32] = (one * other).sum(axis=1)
    return found


def _megabytes(network: SentenceTransformer) -> float:
    size: int = sum(weights.nbytes for weights in network.state_dict().values())
    return round(size / 1e6, 1)
