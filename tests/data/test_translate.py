"""Translating rows and texts, and the cache of finished translations."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from clearir.data.rows import Row
from clearir.data.translate import TranslationCache, load_translator, translate_rows, translate_texts
from clearir.support.errors import InputError
from clearir.support.progress import listening


class Echo:
    """Answers "text (es)" and remembers what it was asked."""

    identity = "echo"

    def __init__(self, batch_size=2):
        self.batch_size = batch_size
        self.asked = []

    def translate(self, texts, source, target):
        self.asked.append((source, target, list(texts)))
        return (f"{text} ({target})" for text in texts)


def test_rows_of_english_become_rows_of_each_language():
    rows = [Row("one", "p1", passage_id="7", query_id="q"), Row("two", "p2")]
    done = translate_rows(rows, Echo(), ["spa", "swh_Latn", "sw"])
    assert done.rows == (
        Row("one", "p1", "one (es)", "es", passage_id="7", query_id="q"),
        Row("one", "p1", "one (sw)", "sw", passage_id="7", query_id="q"),
        Row("two", "p2", "two (es)", "es"),
        Row("two", "p2", "two (sw)", "sw"),
    )
    assert done.translated == 4


def test_rows_with_a_target_query_or_a_language_keep_it():
    translator = Echo()
    rows = [Row("one", "p", "uno", "es"), Row("two", "p", language="sw"), Row("trois", "p", language="sw", bridge="fr")]
    done = translate_rows(rows, translator, ["de"])
    assert [(r.target_query, r.language) for r in done.rows] == [
        ("uno", "es"),
        ("two (sw)", "sw"),
        ("trois (sw)", "sw"),
    ]
    assert sorted(translator.asked) == [("en", "sw", ["two"]), ("fr", "sw", ["trois"])]
    assert done.translated == 2


def test_nothing_to_do_needs_no_language():
    rows = (Row("one", "p", "uno", "es"),)
    assert translate_rows(rows, Echo()).rows == rows


@pytest.mark.parametrize(
    ("rows", "languages", "message"),
    [
        ([Row("q", "p", "t", "es"), Row("q", "p")], [], "row 2 has no target query and no language"),
        ([Row("q", "p")], ["en"], "row 1: cannot translate English into itself"),
        ([Row("q", "p")], ["xx-nothing"], "unknown language code"),
    ],
)
def test_rows_that_cannot_be_translated(rows, languages, message):
    with pytest.raises(InputError, match=message):
        translate_rows(rows, Echo(), languages)


def test_each_distinct_text_once_longest_first():
    translator = Echo(batch_size=2)
    answers = translate_texts(["b", "", "a\nlong  one", "b", "cc", " \t"], translator, "en", "es")
    assert answers == ["b (es)", "", "a long one (es)", "b (es)", "cc (es)", ""]
    assert [texts for _, _, texts in translator.asked] == [["a long one", "cc"], ["b"]]


def test_finished_translations_are_kept(tmp_path):
    cache = tmp_path / "sub" / "cache.sqlite3"
    translate_texts(["a", "b"], Echo(), "en", "es", cache=cache)
    again = Echo()
    assert translate_texts(["a", "b", "c"], again, "en", "es", cache=cache) == ["a (es)", "b (es)", "c (es)"]
    assert again.asked == [("en", "es", ["c"])]


def test_the_key_is_text_languages_and_translator(tmp_path):
    cache = TranslationCache(tmp_path / "c.sqlite3")
    cache.put("one", "en", "es", {"a": "A"})
    assert cache.get("one", "en", "es", ["a", "b"]) == {"a": "A"}
    assert (
        cache.get("two", "en", "es", ["a"])
        == cache.get("one", "en", "sw", ["a"])
        == cache.get("one", "fr", "es", ["a"])
        == {}
    )
    many = {str(i): "x" for i in range(1500)}
    cache.put("one", "en", "es", many)
    assert cache.get("one", "en", "es", many) == many


def test_a_failure_keeps_the_batches_before_it(tmp_path):
    class Fails(Echo):
        def translate(self, texts, source, target):
            if "c" in texts:
                raise InputError("no more")
            return super().translate(texts, source, target)

    cache = tmp_path / "c.sqlite3"
    with pytest.raises(InputError, match="no more"):
        translate_texts(list("abc"), Fails(), "en", "es", cache=cache)
    assert TranslationCache(cache).get("echo", "en", "es", "abc") == {"a": "a (es)", "b": "b (es)"}


def test_a_killed_run_loses_at_most_a_batch(tmp_path):
    cache, program = (
        tmp_path / "c.sqlite3",
        "import sys, time; t = sys.stdin.read(); time.sleep(0.1); print(t.upper(), end='')",
    )
    code = (
        "import sys; from clearir.data.translate import *\n"
        f"t = CommandTranslator([sys.executable, '-c', {program!r}], batch_size=2)\n"
        f"translate_texts(list('abcdefghijklmnopqrstuvwxyz'), t, 'en', 'es', cache={str(cache)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    while not cache.exists() or not (done := TranslationCache(cache).get(*find(cache), "abcdefghijklmnopqrstuvwxyz")):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = TranslationCache(cache).get(*find(cache), "abcdefghijklmnopqrstuvwxyz")
    assert 2 <= len(done) < 26
    assert len(done) % 2 == 0
    assert all(translation == text.upper() for text, translation in done.items())


def find(cache):
    """Translator and languages of the first translation in the file."""
    row = sqlite3.connect(cache, timeout=60).execute("SELECT translator, source, target FROM translations").fetchone()
    return row or ("", "", "")


def test_a_backend_that_answers_too_few_texts():
    class Short(Echo):
        def translate(self, texts, source, target):
            return iter(["one"])

    with pytest.raises(InputError, match="echo: 1 translations of 2 texts"):
        translate_texts(["a", "b"], Short(), "en", "es")


def test_a_file_that_is_no_cache(tmp_path):
    path = tmp_path / "c.sqlite3"
    path.write_text("this is text, and long enough to be no empty database " * 10)
    with pytest.raises(InputError, match="not a usable cache"):
        TranslationCache(path)


def test_progress_counts_texts_and_starts_where_the_cache_ends(tmp_path):
    from contextlib import contextmanager

    seen = []

    @contextmanager
    def listener(description, total):
        seen.append((description, total))
        yield lambda amount=1.0: seen.append(amount)

    translate_texts(["a", "b"], Echo(), "en", "es", cache=tmp_path / "c")
    with listening(listener):
        translate_texts(["a", "b", "c"], Echo(), "en", "es", cache=tmp_path / "c")
    assert seen == [("Translating English into Spanish", 3), 2, 1]


def test_load_translator_names_what_there_is():
    assert load_translator("command", command="cat").identity == "command cat"
    with pytest.raises(InputError, match="there are command, hf, openai"):
        load_translator("deepl")
    with pytest.raises(InputError, match="has no option 'modle'; it has model, batch_size"):
        load_translator("hf", modle="x")
    with pytest.raises(InputError, match="has no option 'backend'"):
        load_translator("hf", **{"backend": "command"})
    with pytest.raises(InputError, match="model"):
        load_translator("hf")
