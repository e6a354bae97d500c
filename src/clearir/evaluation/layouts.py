"""The layouts in which suites are published, read from a local folder or from the Hub.

Names and revisions on the Hub are those that MTEB 2.26 pins. MTEB has no AfriQA and no XOR-TyDi; their files with
passages are published elsewhere, so these two need a local folder.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from clearir.data.rows import Row
from clearir.data.sources import afriqa, beir, debian, files, squad
from clearir.data.sources.checks import BadRowError
from clearir.evaluation.folders import whole_numbers
from clearir.support import languages as codes
from clearir.support.artifacts import fingerprint
from clearir.support.errors import InputError, first_line

Texts = dict[str, dict[str, str]]
Qrels = dict[str, dict[str, int]]
Asked = Collection[str] | None  # languages; None for all

XQUAD = ("mteb/XQuADRetrieval", "194842d6a49baddf6cd3f4d5130ab3c7756268d2")
MLQA = ("mteb/MLQARetrieval", "5bef8b6e2601af974fb1a1cca03fd702229be4b6")
BELEBELE = ("mteb/belebele", "979a211276faa22f671e69d096634193567cfd05")
MKQA = ("mteb/MKQARetrieval", "3e069e7a30079d214a859741f5a0de75cf878867")
AFRIQA = "github.com/masakhane-io/afriqa, folder data/gold_passages"
XOR_TYDI = "nlp.cs.washington.edu/xorqa, gold paragraph data: gp_squad_dev_data.json"

XQUAD_LANGUAGES = ("en", "ar", "de", "el", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")
# As MTEB's configurations spell them.
_MLQA_CODES = {"en": "eng", "ar": "ara", "de": "deu", "es": "spa", "hi": "hin", "vi": "vie", "zh": "zho"}
MLQA_LANGUAGES = tuple(_MLQA_CODES)
# zh_hk and zh_tw are both traditional Chinese; one spelling holds one of them.
_MKQA_CODES = (
    *("en", "ar", "da", "de", "es", "fi", "fr", "he", "hu", "it", "ja", "km", "ko", "ms", "nl", "no", "pl", "pt"),
    *("ru", "sv", "th", "tr", "vi", "zh_cn", "zh_tw"),
)
MKQA_LANGUAGES = tuple(codes.normalise(code) for code in _MKQA_CODES)
_SQUAD_ID = re.compile("[0-9a-f]{24}|[0-9a-f]{40}")  # of XQuAD and of MLQA


def read_xquad(path: Path | None, languages: Asked, split: str | None) -> Iterable[Row]:
    """XQuAD: ``xquad.de.json`` ... in a folder, or MTEB's copy on the Hub."""
    if path is not None and any(path.glob("*.json")):
        _refuse_split(path, split)
        return _squad(path, languages)
    subsets = {code: code for code in _with_english(languages, XQUAD_LANGUAGES, "xquad")}
    return _squad_from_mteb(path, XQUAD, subsets, split or "validation", "github.com/google-deepmind/xquad")


def read_mlqa(path: Path | None, languages: Asked, split: str | None) -> Iterable[Row]:
    """MLQA: the published folder (or its ``dev`` or ``test``), or MTEB's copy on the Hub.

    Of the 49 files those with passages and questions in one language hold all texts; the ids tie the languages.
    """
    if path is not None and (folder := _mlqa_folder(path, split)) is not None:
        return _squad(folder, languages)
    wanted = _with_english(languages, MLQA_LANGUAGES, "mlqa")
    subsets = {code: f"{_MLQA_CODES[code]}-{_MLQA_CODES[code]}" for code in wanted}
    return _squad_from_mteb(path, MLQA, subsets, split or "test", "github.com/facebookresearch/MLQA")


def read_belebele(path: Path | None, languages: Asked, split: str | None) -> tuple[Texts, Texts, Qrels]:
    """Belebele: ``deu_Latn.jsonl`` ... in a folder, or MTEB's copy on the Hub, a configuration a language."""
    found = {file.stem: file for file in sorted(path.rglob("*.jsonl"))} if path is not None else {}
    source, revision = (str(path), None) if path is not None else BELEBELE
    if found:
        _refuse_split(path, split)
    wanted = None if languages is None else {codes.normalise(code) for code in languages}
    queries: Texts = {}
    passages: Texts = {}
    qrels: Qrels = defaultdict(dict)
    for code in found or _hub_configs(source, revision):
        language = codes.normalise(code)
        if wanted is not None and language not in wanted:
            continue
        queries[language], passages[language] = {}, {}
        for row in _json_lines(found[code]) if found else _hub(source, code, split or "test", revision):
            with _layout(found.get(code, source), "Belebele's fields link, question_number, question, flores_passage"):
                link = str(row["link"])
                query = f"{link}#{row['question_number']}"
                queries[language][query] = row["question"]
                passages[language].setdefault(link, row["flores_passage"])
                qrels[query][link] = 1
    return queries, passages, dict(qrels)


def read_mkqa(path: Path | None, languages: Asked, split: str | None) -> tuple[Texts, Texts, Qrels]:
    """MKQA: ``mkqa.jsonl`` (or ``.gz``) in a folder, or MTEB's copy. The passages are the answers, in each language."""
    wanted = None if languages is None else {codes.normalise(code) for code in languages}
    asked = {code: codes.normalise(code) for code in _MKQA_CODES if wanted is None or codes.normalise(code) in wanted}
    queries: Texts = {language: {} for language in asked.values()}
    passages: Texts = {language: {} for language in asked.values()}
    qrels: Qrels = defaultdict(dict)
    found = sorted(path.glob("mkqa.jsonl*")) if path is not None else []
    if found:
        _refuse_split(path, split)
    for row in _json_lines(found[0]) if found else ():
        for code, language in asked.items():
            with _layout(found[0], "MKQA's fields example_id, queries, answers, with every language in them"):
                query = str(row["example_id"])
                answers = [answer["text"] for answer in row["answers"][code] if answer.get("text")]
                if answers:
                    queries[language][query] = row["queries"][code]
            for number, answer in enumerate(answers):
                passages[language][f"{language}/{query}/{number}"] = answer
                qrels[query][f"{language}/{query}/{number}"] = 1
    if not found:
        source, revision = (str(path), None) if path is not None else MKQA
        for code, language in asked.items():
            questions, answers_by_id, relevance = _mteb(source, code, split or "train", revision)
            if not all(query.isdigit() and len(query) > 10 for query in questions):
                raise InputError(
                    f"{source}: the ids of the queries are not those of MKQA, so they do not tie the languages; "
                    "fetch mkqa.jsonl.gz from github.com/apple/ml-mkqa and give its folder"
                )
            queries[language] = questions
            passages[language] = {f"{language}/{identifier}": answer for identifier, answer in answers_by_id.items()}
            for query, row in relevance.items():
                qrels[query] |= {f"{language}/{identifier}": value for identifier, value in row.items()}
    return queries, passages, dict(qrels)


def read_afriqa(path: Path | None, languages: Asked, split: str | None) -> Iterable[Row]:
    """AfriQA's gold passages; the test split where it is there, else dev."""
    folder = _local(path, "afriqa", AFRIQA)
    targets = None if languages is None else [c for c in map(codes.normalise, languages) if c not in ("en", "fr")]
    part = split or ("test" if any(folder.rglob("*.test.json*")) else "dev")
    return afriqa.read(folder, languages=targets or None, split=part, on_bad="skip")


def read_xor_tydi(path: Path | None, languages: Asked, split: str | None) -> tuple[Texts, Texts, Qrels]:
    """XOR-TyDi's gold paragraphs: one SQuAD file, English passages, each question with its language."""
    folder = _local(path, "xor-tydi", XOR_TYDI)
    name = f"gp_squad_{split or 'dev'}_data.json"
    file = next(iter(sorted(folder.rglob(name))), None)
    if file is None:
        raise InputError(f"{folder}: no {name} in it; fetch {XOR_TYDI}")
    queries: Texts = defaultdict(dict)
    passages: dict[str, str] = {}
    qrels: Qrels = defaultdict(dict)
    with _layout(file, "SQuAD's format with a 'lang' a question"):
        for paragraph in chain.from_iterable(article["paragraphs"] for article in files.load_json(file)["data"]):
            passage = fingerprint(paragraph["context"])
            passages[passage] = paragraph["context"]
            for question in paragraph["qas"]:
                queries[codes.normalise(question["lang"])][str(question["id"])] = question["question"]
                qrels[str(question["id"])][passage] = 1
    return dict(queries), {"en": passages}, dict(qrels)


def read_debian(path: Path | None, languages: Asked, split: str | None) -> Iterable[Row]:
    """Debian's descriptions, out of the folder that `clearir.data.sources.debian.fetch` made."""
    folder = _local(path, "debian", "with clearir.data.sources.debian.fetch")
    _refuse_split(folder, split)
    targets = None if languages is None else [code for code in map(codes.normalise, languages) if code != "en"]
    return debian.read(folder, targets or None, on_bad="skip")


def _refuse_split(path: Path | None, split: str | None) -> None:
    if split is not None:
        raise InputError(f"{path}: no split {split!r}; the published files are one part, leave --split out")


@contextmanager
def _layout(place: object, wanted: str) -> Iterator[None]:
    """What a record lacks, or holds in a wrong form, is an `InputError` that names the place."""
    try:
        yield
    except InputError as error:
        if str(place) in str(error):
            raise
        raise InputError(f"{place}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{place}: not {wanted} ({error}); fetch it again") from error


def _squad(folder: Path, languages: Asked) -> Iterator[Row]:
    """All questions of the bridge too, translated or not: they are scored from English to English."""
    wanted = None if languages is None else [codes.normalise(code) for code in languages]
    if wanted is None or "en" in wanted:
        yield from squad.read(folder, languages=["en"])
    targets = None if wanted is None else [code for code in wanted if code != "en"]
    if targets is None or targets:
        yield from squad.read(folder, languages=targets)


def _mlqa_folder(path: Path, split: str | None) -> Path | None:
    inside = [path, *sorted(p for p in path.rglob("*") if p.is_dir())]
    found = {folder.name: folder for folder in inside if any(folder.glob("*context-*-question-*.json"))}
    if split is not None and found and split not in found:
        raise InputError(f"{path}: no split {split!r} of MLQA; there are {', '.join(found)}")
    choice = split or next((name for name in ("test", "dev", *found) if name in found), None)
    return None if choice is None else found.get(choice)


def _with_english(languages: Asked, known: Collection[str], name: str) -> list[str]:
    wanted = known if languages is None else [codes.normalise(code) for code in languages]
    unknown = [code for code in wanted if code not in known]
    if unknown:
        raise InputError(f"{name} has no language {unknown[0]!r}; it has {', '.join(known)}")
    return list(dict.fromkeys(["en", *wanted]))


def _parallel(sides: dict[str, dict[str, tuple[str, str]]]) -> Iterator[Row]:
    """Rows of question id -> (question, context) a language, joined by id."""
    for language, side in sides.items():
        for identifier, (question, context) in side.items():
            if identifier not in sides["en"]:
                continue
            english, passage = sides["en"][identifier]
            target = language != "en"
            yield Row(
                query=english,
                passage=passage,
                target_query=question if target else None,
                language=language if target else None,
                target_passage=context if target else None,
                passage_id=fingerprint(passage),
                query_id=identifier,
            )


def _squad_from_mteb(
    path: Path | None, pinned: tuple[str, str], subsets: dict[str, str], split: str, published: str
) -> Iterator[Row]:
    """Rows of MTEB's copy of a data set in SQuAD's format, tied by the questions' own ids.

    MTEB keeps those ids on the side of the queries or on that of the passages; the other side is numbered anew.
    """
    source, revision = (str(path), None) if path is not None else pinned
    sides: dict[str, dict[str, tuple[str, str]]] = {}
    for language, subset in subsets.items():
        queries, passages, qrels = _mteb(source, subset, split, revision)
        sides[language] = {}
        for query, row in qrels.items():
            for passage in row:
                identifier = next((one for one in (query, passage) if _SQUAD_ID.fullmatch(one)), None)
                if identifier is None:
                    raise InputError(
                        f"{source} ({subset}): neither {query!r} nor {passage!r} is the id of a question, so the "
                        f"languages cannot be tied; fetch the files from {published} and give their folder"
                    )
                sides[language][identifier] = (queries[query], passages[passage])
    return _parallel(sides)


def _mteb(
    source: str, subset: str, split: str, revision: str | None
) -> tuple[dict[str, str], dict[str, str], dict[str, dict[str, int]]]:
    """MTEB's layout on the Hub: configurations ``SUBSET-queries``, ``SUBSET-corpus``, ``SUBSET-qrels``."""

    def texts(kind: str) -> dict[str, str]:
        rows = _hub(source, f"{subset}-{kind}", split, revision)
        return {str(row.get("_id", row.get("id"))): beir.content(f"{source} ({subset}-{kind})", row) for row in rows}

    place = f"{source} ({subset}-qrels)"
    judged = [beir.judgement(place, row) for row in _hub(source, f"{subset}-qrels", split, revision)]
    return texts("queries"), texts("corpus"), whole_numbers(judged, place)[0]


def _hub_configs(source: str, revision: str | None) -> list[str]:
    from datasets import get_dataset_config_names

    try:
        return list(get_dataset_config_names(source, revision=revision))
    except Exception as error:
        raise _not_loaded(source, error) from error


def _not_loaded(where: str, error: Exception) -> InputError:
    """Datasets raises errors of many kinds for one and the same cause: it is not there or cannot be reached."""
    return InputError(
        f"{where}: cannot be loaded ({first_line(error)}); check the connection, or give a local folder of the "
        "published files"
    )


def _hub(source: str, config: str, split: str, revision: str | None) -> Any:
    from datasets import load_dataset

    try:
        return load_dataset(source, config, split=split, revision=revision)
    except Exception as error:
        raise _not_loaded(f"{source} ({config}, {split})", error) from error


def _local(path: Path | None, name: str, source: str) -> Path:
    if path is None:
        raise InputError(f"{name} has to be fetched by hand ({source}); then give its folder")
    return path


def _json_lines(file: Path) -> Iterator[dict[str, Any]]:
    for _, record in files.json_lines(file):
        if isinstance(record, BadRowError):
            raise record
        yield record
