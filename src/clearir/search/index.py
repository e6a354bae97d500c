"""A corpus and a model -> an index, whole or absent.

Encoding, which takes nearly all the time, goes through the cache of `clearir.models.encode`: a run that was killed and
is started again encodes only what it had not come to. On local disk the index takes its name when it is finished; on
object storage its manifest is written last.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clearir.data.passages import Corpus, Passage
from clearir.search import store
from clearir.search.store import Field
from clearir.support.artifacts import MANIFEST, fingerprint, run_stage
from clearir.support.errors import InputError
from clearir.support.extras import require
from clearir.support.progress import track

if TYPE_CHECKING:
    from clearir.models.load import Loading
    from clearir.models.ready_vectors import ReadyVectors
    from clearir.models.token_vectors import TextVectors

FORMAT = 2


@dataclass(frozen=True)
class IndexInfo:
    """What an index is of; kept with it, so that a query is encoded as its passages were.

    Attributes:
        corpus: where the passages come from.
        corpus_hash: fingerprint of the passages with all that belongs to them.
        passages: how many.
        languages: passages of each language; those without one are not counted.
        fields: that can be filtered by, beside id, title and language.
        model: what encoded the passages: a folder, a name on the Hub, ``python:PACKAGE/folder``.
        model_hash: see `clearir.models.load.model_fingerprint`.
        dimensions: of a vector. The metric is the cosine, or mean MaxSim where each token has a vector.
        query_prompt: put before a query.
        passage_prompt: was put before a passage.
        max_seq_length: tokens of a text that are read; None: no limit.
        probes: partitions that a search looks into; None: the index is exact.
        partitions: that there are.
        recall: share of the ten nearest that the approximate index finds, as measured when it was made.
        tokens: vectors of all passages, where each token has one; None: one for each passage.
        format: of the index.
    """

    corpus: str
    passages: int
    languages: Mapping[str, int]
    fields: tuple[Field, ...]
    model: str
    model_hash: str
    dimensions: int
    corpus_hash: str = ""
    query_prompt: str = ""
    passage_prompt: str = ""
    max_seq_length: int | None = None
    probes: int | None = None
    partitions: int | None = None
    recall: float | None = None
    tokens: int | None = None
    format: int = FORMAT

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """Every field that can be filtered by."""
        return (*store.OWN_FIELDS, *self.fields)


def build_index(
    corpus: Corpus,
    model: str,
    out: str | Path,
    *,
    cache: Path,
    ready: ReadyVectors | None = None,
    loading: Loading | None = None,
    exact_below: int = store.EXACT_BELOW,
    overwrite: bool = False,
) -> tuple[IndexInfo, bool]:
    """Encode a corpus and write its index.

    Args:
        corpus: what to search.
        model: as `clearir.models.any_kind.load_with_vectors` takes it; of late interaction, each token has a vector.
        out: a folder, or a URI of object storage that LanceDB knows (``s3://bucket/index``).
        cache: folder of finished embeddings; a run that goes on finds there what it had encoded.
        ready: vectors that ``clearir encode`` made of the corpus.
        loading: prompts, length and so on, where they are not the model's own.
        exact_below: more passages than this get an approximate index, unless each token has a vector: LanceDB's
            approximation of MaxSim misses too much (docs/late-interaction.md).
        overwrite: replace an index of something else.

    Returns:
        What is in the index, and whether it was made now.

    Raises:
        InputError: ``out`` holds something else, or the model cannot be used.
        MissingExtraError: LanceDB is not installed.
    """
    from clearir.models.any_kind import load_with_vectors
    from clearir.models.encode import encode_by_language
    from clearir.models.load import Loading, model_fingerprint
    from clearir.models.prompts import prompts_of
    from clearir.models.token_vectors import encode_tokens, makes_token_vectors

    require("lancedb", "search")  # before a model is loaded for nothing
    network = load_with_vectors(model, **vars(loading or Loading()))
    prompts = prompts_of(network)
    if ready is not None:
        if makes_token_vectors(network):
            raise InputError(
                f"--vectors {ready.folder}: these are one vector for each passage, and {model} is a model of late "
                "interaction, with one for each token; leave out --vectors"
            )
        ready.check(network, prompts.passage)

    def vectors_of(passages: Sequence[Passage]) -> TextVectors:
        texts = [passage.content for passage in passages]
        description = "Encoding passages"
        if makes_token_vectors(network):
            return encode_tokens(
                network, texts, "passage", prompt=prompts.passage, cache=cache, description=description
            )
        return encode_by_language(
            network,
            texts,
            [passage.language for passage in passages],
            prompt=prompts.passage,
            cache=cache,
            ready=ready,
            description="Encoding passages",
        )

    limit = network.max_seq_length
    info = IndexInfo(
        corpus=corpus.name,
        passages=len(corpus),
        languages=dict(Counter(one.language for one in corpus.passages if one.language).most_common()),
        fields=store.fields_of(corpus.passages),
        model=str(Path(model).resolve()) if Path(model).is_dir() else model,
        model_hash=model_fingerprint(network),
        dimensions=int(network.get_embedding_dimension() or 0),
        query_prompt=prompts.query,
        passage_prompt=prompts.passage,
        max_seq_length=None if limit is None else int(limit),
    )
    chunk = store.TOKEN_CHUNK if makes_token_vectors(network) else store.CHUNK
    return write_index(corpus, info, vectors_of, out, exact_below=exact_below, chunk=chunk, overwrite=overwrite)


def write_index(
    corpus: Corpus,
    info: IndexInfo,
    vectors_of: store.VectorsOf,
    out: str | Path,
    *,
    exact_below: int = store.EXACT_BELOW,
    chunk: int = store.CHUNK,
    overwrite: bool = False,
) -> tuple[IndexInfo, bool]:
    """Write an index of vectors from anywhere.

    Args:
        corpus: what to search.
        info: what to say of it; ``corpus_hash``, ``probes``, ``partitions``, ``recall`` and ``tokens`` are found here.
        vectors_of: vectors of unit length for some passages, shape (n, ``info.dimensions``), or those of their tokens.
        out: see `build_index`; likewise what follows.
        exact_below: more passages than this get an approximate index.
        chunk: passages encoded and written at once.
        overwrite: replace an index of something else.
    """
    info = replace(info, corpus_hash=_corpus_fingerprint(corpus))
    settings = {
        "stage": "index",
        "exact_below": exact_below,
        **{key: value for key, value in asdict(info).items() if key not in ("corpus", "model", "tokens")},
    }

    def write(database: Any) -> IndexInfo:
        table, tokens = store.write_passages(database, corpus.passages, info.fields, vectors_of, chunk=chunk)
        store.index_texts(table)
        done = replace(info, tokens=tokens)
        if tokens is None and len(corpus) > exact_below:
            done = replace(done, **asdict(store.index_vectors(table)))
        store.write_manifest(database, {"fingerprint": fingerprint(settings), "info": asdict(done)})
        return done

    if store.is_uri(out):
        return _write_to_uri(str(out), settings, write, overwrite)
    folder = Path(out)
    new = run_stage(folder, settings, lambda part: asdict(write(store.connect(part))), overwrite=overwrite)
    return load_info(folder), new


def load_info(location: str | Path) -> IndexInfo:
    """What an index is of.

    Raises:
        InputError: there is no finished index, or one that this version cannot read.
        MissingExtraError: LanceDB is not installed.
    """
    if not store.is_uri(location) and not (Path(location) / MANIFEST).is_file():
        what = "no such folder" if not Path(location).exists() else "no finished index in it"
        raise InputError(f"{location}: {what}; make one with: clearir index MODEL CORPUS --out {location}")
    manifest = store.read_manifest(store.connect(location))
    content = (manifest or {}).get("info")
    if content is None:
        raise InputError(f"{location}: no finished index; make one with: clearir index MODEL CORPUS --out {location}")
    if content.get("format") != FORMAT:
        raise InputError(
            f"{location}: an index of format {content.get('format')}, but this version of clearir reads {FORMAT}; "
            "index the corpus again with --overwrite"
        )
    return IndexInfo(**{**content, "fields": tuple(Field(**one) for one in content["fields"])})


def _write_to_uri(uri: str, settings: Mapping[str, Any], write: Any, overwrite: bool) -> tuple[IndexInfo, bool]:
    database = store.connect(uri)
    there = store.read_manifest(database)
    if there is not None:
        if there.get("fingerprint") == fingerprint(settings):
            return load_info(uri), False
        if not overwrite:
            raise InputError(f"{uri} holds another index; choose another --out or add --overwrite")
    store.clear(database)
    return write(database), True


def _corpus_fingerprint(corpus: Corpus) -> str:
    digest = hashlib.sha256()
    for one in track(corpus.passages, "Comparing with what is there"):
        parts = [one.id, one.title, one.text, one.language, dict(one.fields)]
        digest.update(json.dumps(parts, sort_keys=True).encode())
    return digest.hexdigest()[:16]
