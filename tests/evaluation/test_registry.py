from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clearir.data.rows import Row
from clearir.evaluation.registry import SUITES, bitext_at, list_suites, load_suite, suite_at
from clearir.runs.prepare_run import PrepareSettings, prepare
from clearir.support.errors import InputError


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def squad(*paragraphs: tuple[str, dict[str, str]], **extra: str) -> str:
    """A file in SQuAD's format out of (context, {id: question})."""
    return json.dumps(
        {
            "data": [
                {
                    "title": "t",
                    "paragraphs": [
                        {"context": context, "qas": [{"id": i, "question": q} | extra for i, q in questions.items()]}
                        for context, questions in paragraphs
                    ],
                }
            ]
        }
    )


def hub_folder(root: Path, tables: dict[tuple[str, str], list[dict[str, Any]]]) -> Path:
    """A data set as it lies on the Hub: (configuration, split) -> rows, with the card that names them."""
    configs = []
    for (config, split), rows in tables.items():
        write_lines(root / config / f"{split}.jsonl", rows)
        configs += [
            f"- config_name: {config}",
            "  data_files:",
            f"  - split: {split}",
            f"    path: {config}/{split}.jsonl",
        ]
    (root / "README.md").write_text("\n".join(["---", "configs:", *configs, "---", ""]))
    return root


def mteb_tables(
    subset: str, split: str, rows: list[tuple[str, str, str, str]]
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """MTEB's three tables of (query id, query, passage id, passage)."""
    return {
        (f"{subset}-queries", split): [{"_id": q, "text": query} for q, query, _, _ in rows],
        (f"{subset}-corpus", split): [{"_id": p, "title": "", "text": passage} for _, _, p, passage in rows],
        (f"{subset}-qrels", split): [{"query-id": q, "corpus-id": p, "score": 1} for q, _, p, _ in rows],
    }


# -- of one's own


def test_a_folder_in_beirs_format(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "corpus.jsonl", [{"_id": "d1", "title": "Cats", "text": "purr"}, {"_id": "d2", "text": "woof"}]
    )
    write_lines(tmp_path / "queries.jsonl", [{"_id": "q1", "text": "who purrs?"}])
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t2\n")
    (tmp_path / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\t1\n")
    suite = load_suite(str(tmp_path))
    assert suite.name == tmp_path.name
    assert suite.queries == {"en": {"q1": "who purrs?"}}
    assert suite.passages == {"en": {"d1": "Cats purr", "d2": "woof"}}
    assert suite.qrels == {"q1": {"d1": 2}}
    assert load_suite(str(tmp_path), split="train").qrels == {"q1": {"d2": 1}}
    assert load_suite(str(tmp_path), languages=["swh_Latn"]).languages == ["sw"]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    write_lines(folder / "en" / "corpus.jsonl", [{"_id": "d1", "text": "a cup"}, {"_id": "d2", "text": "a pot"}])
    write_lines(folder / "en" / "queries.jsonl", [{"_id": "q1", "text": "drink from"}])
    write_lines(folder / "swh_Latn" / "queries.jsonl", [{"_id": "q1", "text": "kunywa"}])
    (folder / "notes").mkdir()  # no language, no texts: passed over
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    return folder


def test_a_folder_a_language(own: Path) -> None:
    suite = load_suite("shop", own)
    assert suite.name == "shop"
    assert suite.bridge == "en"
    assert suite.queries == {"en": {"q1": "drink from"}, "sw": {"q1": "kunywa"}}
    assert suite.passages.keys() == {"en"}
    assert suite.relevant("sw", "en") == {"q1": {"d1": 1}}
    with pytest.raises(InputError, match="shop has no language 'de'; it has en, sw"):
        load_suite("shop", own, ["de"])


def beir(folder: Path, qrels: str, corpus: dict[str, tuple[str, str]], queries: dict[str, str]) -> str:
    """A folder in BEIR's format out of id -> title and text, id -> text."""
    write_lines(folder / "corpus.jsonl", [{"_id": i, "title": a, "text": b} for i, (a, b) in corpus.items()])
    write_lines(folder / "queries.jsonl", [{"_id": i, "text": text} for i, text in queries.items()])
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    return str(folder)


CORPUS = {"d1": ("Rain", "It falls."), "d2": ("", "Fire burns."), "d3": ("Stones", ""), "d4": ("", " ")}
QUERIES = {"q1": "what falls?", "q2": "what burns?"}


def test_a_title_alone_is_a_passage_and_nothing_at_all_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    suite = load_suite(beir(tmp_path, "q1\td1\t1\nq2\td3\t1\n", CORPUS, QUERIES))
    assert suite.passages == {"en": {"d1": "Rain It falls.", "d2": "Fire burns.", "d3": "Stones"}}
    assert caplog.messages == [f"{tmp_path}: left out: passages: neither title nor text (1)"]


def test_what_is_judged_not_relevant_may_be_missing(tmp_path: Path) -> None:
    suite = load_suite(beir(tmp_path, "q1\td1\t1\nq2\tgone\t0\nq9\td1\t0\nq1\td4\t-1\n", CORPUS, QUERIES))
    assert suite.qrels == {"q1": {"d1": 1}}


def test_a_suite_with_faults_can_be_scored_as_mteb_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A passage that is missing is not found; a query that is missing is not asked."""
    qrels = "q1\td1\t1\nq2\tgone\t1\nq1\td4\t2\nq9\td1\t1\nq3\td1\t1\nq1\td2\tmany\n"
    path = beir(tmp_path, qrels, CORPUS, QUERIES | {"q3": ""})
    with pytest.raises(InputError, match=r"queries\.jsonl:3: neither title nor text; add one, or .*on_bad=skip"):
        load_suite(path)
    caplog.clear()
    suite = load_suite(path, on_bad="skip")
    assert suite.queries == {"en": QUERIES}
    assert suite.qrels == {"q1": {"d1": 1, "d4": 2}, "q2": {"gone": 1}}
    assert suite.lost == {"d4", "gone"}
    assert suite.relevant("en", "en") == suite.qrels
    assert caplog.messages == [
        f"{tmp_path}: left out: queries: neither title nor text (1), passages: neither title nor text (1), in no"
        " queries.jsonl (2), column 'score' holds 'many', not a number (1)",
        f"{tmp_path}: 2 relevant passages are in no corpus.jsonl; they count as not found, as in MTEB",
    ]


@pytest.mark.parametrize(
    ("scores", "relevance", "times"),
    [
        ("1 0.5 2.0", "2 1 4", 2),
        ("0.1 0.25 1e0", "2 5 20", 20),
        ("0.333 1 0", "333 1000 0", 1000),
        ("1 2 3", "1 2 3", 1),
    ],
)
def test_relevance_in_parts_is_made_whole(
    scores: str, relevance: str, times: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """nDCG takes relevance as it is, so that of all of it times the same it is the same."""
    passages = ("d1", "d2", "d3")
    lines = [f"q1\t{i}\t{score}\n" for i, score in zip(passages, scores.split(), strict=True)]
    suite = load_suite(beir(tmp_path, "".join(lines), CORPUS, QUERIES))
    whole = [int(value) for value in relevance.split()]
    assert suite.qrels == {"q1": dict(zip(passages, whole, strict=True))}
    said = f"{tmp_path}: relevance is multiplied by {times}, which makes the scores whole numbers; no metric changes"
    assert [one for one in caplog.messages if "multiplied" in one] == [said] * (times > 1)


def test_suites_by_name_are_read_as_published(tmp_path: Path) -> None:
    (tmp_path / "xquad.en.json").write_text(squad(("Cats purr.", {"1": "What purrs?"})))
    with pytest.raises(InputError, match="on_bad: xquad is read as published; leave it out"):
        load_suite("xquad", tmp_path, on_bad="skip")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("qrels.tsv", "query-id\tcorpus-id\tscore\n", "no query has a relevant passage"),
        (
            "qrels.tsv",
            "query-id\tcorpus-id\tscore\nq1\td1\tmany\n",
            r"qrels\.tsv:2: column 'score' holds 'many', not a",
        ),
        ("qrels.tsv", "query\tpassage\nq1\td1\n", r"qrels\.tsv: no columns query-id, corpus-id, score; the first"),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq1\td9\t1\n", r"qrels\.tsv:2, passage 'd9': in no corpus\.jsonl; "),
        ("qrels.tsv", "query-id\tcorpus-id\tscore\nq9\td1\t1\n", r"qrels\.tsv:2, query 'q9': in no queries\.jsonl; "),
        (
            "qrels.tsv",
            "query-id\tcorpus-id\tscore\nq1\td1\t0.33333\n",
            r"qrels\.tsv: 0\.33333 is not a relevance score; write",
        ),
        (
            "en/corpus.jsonl",
            '{"_id": "d1", "text": "a"}\n{"_id": "d1", "text": "b"}\n',
            r"corpus\.jsonl:2: the id 'd1'",
        ),
        ("en/corpus.jsonl", '{"text": "a"}\n', r"corpus\.jsonl:1: no '_id'"),
        ("en/queries.jsonl", '{"_id": "q1", "text": 7}\n', r"queries\.jsonl:1: column 'text'"),
        ("en/queries.jsonl", '{"_id": "q1"\n', r"queries\.jsonl:1: not JSON"),
    ],
)
def test_a_broken_file_is_named_with_its_line(own: Path, file: str, text: str, message: str) -> None:
    (own / file).write_text(text)
    with pytest.raises(InputError, match=message):
        load_suite("shop", own)


def test_a_folder_without_relevance(own: Path) -> None:
    (own / "qrels.tsv").unlink()
    with pytest.raises(InputError, match=r"not a suite; a suite is corpus\.jsonl, queries\.jsonl and qrels"):
        load_suite("shop", own)


def test_names_that_are_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: neither a folder nor a suite; there are xquad, mlqa"):
        load_suite("nothing")
    with pytest.raises(InputError, match="no such folder; give the folder of mlqa as published"):
        load_suite("mlqa", tmp_path / "absent")


# -- published


def test_xquad_files(tmp_path: Path) -> None:
    (tmp_path / "xquad.en.json").write_text(squad(("Cats purr.", {"1": "What purrs?", "2": "Who meows?"})))
    (tmp_path / "xquad.de.json").write_text(squad(("Katzen schnurren.", {"1": "Was schnurrt?", "2": "Wer miaut?"})))
    suite = load_suite("xquad", tmp_path)
    assert suite.name == "xquad"
    assert suite.licence == "CC BY-SA 4.0"
    assert suite.revision is None  # local files, of whatever revision
    assert suite.queries["de"] == {"1": "Was schnurrt?", "2": "Wer miaut?"}
    assert len(suite.relevant("de", "en")) == len(suite.relevant("en", "de")) == 2


def test_xquad_as_on_the_hub(tmp_path: Path) -> None:
    one, two = "a" * 24, "b" * 24
    tables = mteb_tables("en", "validation", [(one, "What purrs?", "x", "Cats purr."), (two, "Who?", "y", "Dogs.")])
    tables |= mteb_tables("de", "validation", [(one, "Was schnurrt?", "z", "Katzen."), (two, "Wer?", "w", "Hunde.")])
    suite = load_suite("xquad", hub_folder(tmp_path, tables), ["en", "de"])
    assert suite.queries["de"] == {one: "Was schnurrt?", two: "Wer?"}
    assert suite.relevant("de", "de").keys() == {one, two}


def test_mlqa_as_on_the_hub_with_ids_on_the_side_of_the_passages(tmp_path: Path) -> None:
    one = "c" * 40
    tables = mteb_tables("eng-eng", "test", [("0", "What purrs?", one, "Cats purr.")])
    tables |= mteb_tables("deu-deu", "test", [("7", "Was schnurrt?", one, "Katzen.")])
    suite = load_suite("mlqa", hub_folder(tmp_path, tables), ["de", "en"])
    assert suite.queries == {"en": {one: "What purrs?"}, "de": {one: "Was schnurrt?"}}
    assert suite.relevant("de", "en").keys() == {one}


def test_ids_that_do_not_tie_the_languages_are_refused(tmp_path: Path) -> None:
    tables = mteb_tables("eng-eng", "test", [("0", "What purrs?", "d0", "Cats purr.")])
    with pytest.raises(InputError, match="languages cannot be tied; fetch the files"):
        load_suite("mlqa", hub_folder(tmp_path, tables), ["en"])


def test_mlqa_files_by_split(tmp_path: Path) -> None:
    for split, question in (("dev", "What purrs?"), ("test", "Who barks?")):
        folder = tmp_path / "MLQA_V1" / split
        folder.mkdir(parents=True)
        (folder / f"{split}-context-en-question-en.json").write_text(squad(("Cats purr.", {"1": question})))
    assert load_suite("mlqa", tmp_path).queries["en"] == {"1": "Who barks?"}  # test where it is there
    assert load_suite("mlqa", tmp_path, split="dev").queries["en"] == {"1": "What purrs?"}
    with pytest.raises(InputError, match="no split 'train' of MLQA; there are dev, test"):
        load_suite("mlqa", tmp_path, split="train")


BELEBELE = [
    {"link": "w/cats", "question_number": 1, "flores_passage": "Cats.", "question": "What purrs?"},
    {"link": "w/cats", "question_number": 2, "flores_passage": "Cats.", "question": "Who meows?"},
]


def test_belebele_files_and_hub(tmp_path: Path) -> None:
    german = [row | {"flores_passage": "Katzen.", "question": f"{row['question']} auf Deutsch"} for row in BELEBELE]
    write_lines(tmp_path / "files" / "eng_Latn.jsonl", BELEBELE)
    write_lines(tmp_path / "files" / "deu_Latn.jsonl", german)
    files = load_suite("belebele", tmp_path / "files")
    assert files.languages == ["en", "de"]
    assert files.passages["de"] == {"w/cats": "Katzen."}
    assert files.qrels == {"w/cats#1": {"w/cats": 1}, "w/cats#2": {"w/cats": 1}}
    hub = hub_folder(tmp_path / "hub", {("eng_Latn", "test"): BELEBELE, ("deu_Latn", "test"): german})
    for file in hub.rglob("*.jsonl"):  # not the published layout any more: only the card says what is what
        file.rename(file.with_suffix(".json"))
    (hub / "README.md").write_text((hub / "README.md").read_text().replace(".jsonl", ".json"))
    assert load_suite("belebele", hub).hash == files.hash
    assert load_suite("belebele", hub, ["deu_Latn"]).languages == ["de"]


def test_mkqa_files(tmp_path: Path) -> None:
    codes = ["ar", "da", "de", "en", "es", "fi", "fr", "he", "hu", "it", "ja"]
    codes += ["km", "ko", "ms", "nl", "no", "pl", "pt", "ru", "sv", "th", "tr", "vi", "zh_cn", "zh_hk", "zh_tw"]
    answered = {c: [{"type": "entity", "text": f"{c} cat"}, {"type": "entity", "text": f"{c} tom"}] for c in codes}
    none = {code: [{"type": "unanswerable", "text": None}] for code in codes}
    write_lines(
        tmp_path / "mkqa.jsonl",
        [
            {"example_id": 12345678901, "queries": {c: f"{c} who?" for c in codes}, "answers": answered},
            {"example_id": 12345678902, "queries": {c: f"{c} why?" for c in codes}, "answers": none},
        ],
    )
    suite = load_suite("mkqa", tmp_path, ["en", "zh_tw"])
    assert suite.queries == {"en": {"12345678901": "en who?"}, "zh-Hant": {"12345678901": "zh_tw who?"}}
    assert sorted(suite.passages["en"].values()) == ["en cat", "en tom"]
    assert len(suite.relevant("zh-Hant", "en")["12345678901"]) == 2


def test_mkqa_as_on_the_hub(tmp_path: Path) -> None:
    tables = mteb_tables("en", "train", [("12345678901", "who?", "0", "a cat")])
    tables |= mteb_tables("de", "train", [("12345678901", "wer?", "0", "eine Katze")])
    suite = load_suite("mkqa", hub_folder(tmp_path / "good", tables), ["en", "de"])
    assert suite.relevant("de", "en") == {"12345678901": {"en/0": 1}}
    numbered = mteb_tables("en", "train", [("0", "who?", "0", "a cat")])
    with pytest.raises(InputError, match="do not tie the languages"):
        load_suite("mkqa", hub_folder(tmp_path / "bad", numbered), ["en"])


def test_xor_tydi_files(tmp_path: Path) -> None:
    (tmp_path / "gp_squad_dev_data.json").write_text(squad(("Cats purr.", {"1": "Mikä kehrää?"}), lang="fi"))
    suite = load_suite("xor-tydi", tmp_path)
    assert suite.queries == {"fi": {"1": "Mikä kehrää?"}}
    assert list(suite.passages["en"].values()) == ["Cats purr."]
    assert suite.bridge == "en"
    (tmp_path / "gp_squad_dev_data.json").write_text(squad(("Cats purr.", {"1": "Mikä kehrää?"})))
    with pytest.raises(InputError, match="with a 'lang' a question"):
        load_suite("xor-tydi", tmp_path)


def test_debian_descriptions(tmp_path: Path) -> None:
    for code, short, long in (
        ("en", "purring daemon", "It purrs at night."),
        ("de", "Schnurrdienst", "Schnurrt nachts."),
    ):
        (tmp_path / f"Translation-{code}").write_text(
            f"Package: purr\nDescription-md5: 0123456789abcdef0123456789abcdef\nDescription-{code}: {short}\n {long}\n"
        )
    suite = load_suite("debian", tmp_path, ["en", "de"])
    assert suite.queries == {"en": {"purr": "purring daemon"}, "de": {"purr": "Schnurrdienst"}}
    assert suite.relevant("de", "en") == {"purr": {"purr": 1}}


@pytest.mark.parametrize("name", ["afriqa", "xor-tydi", "debian"])
def test_what_has_to_be_fetched_by_hand_says_where(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} has to be fetched by hand"):
        load_suite(name)


def test_the_hub_out_of_reach() -> None:
    with pytest.raises(
        InputError, match=r"mteb/XQuADRetrieval \(en-qrels, validation\): cannot be loaded .* local folder"
    ):
        load_suite("xquad", languages=["en"])
    with pytest.raises(InputError, match="xquad has no language 'sw'; it has en, ar"):
        load_suite("xquad", languages=["sw"])


# -- the list


def test_the_list_has_every_suite_with_its_facts() -> None:
    rows = list_suites()
    assert [row["name"] for row in rows] == list(SUITES)
    assert all(row["size"] and row["licence"] and row["source"] for row in rows)
    pinned = {row["name"] for row in rows if row["revision"]}
    assert pinned == {"xquad", "mlqa", "belebele", "mkqa"}


def test_the_list_counts_what_is_local(tmp_path: Path) -> None:
    folder = tmp_path / "xquad"
    folder.mkdir()
    (folder / "xquad.en.json").write_text(squad(("Cats purr.", {"1": "What purrs?", "2": "Who meows?"})))
    row = next(row for row in list_suites(tmp_path) if row["name"] == "xquad")
    assert row["size"] == "2 queries, 1 passages a language"
    assert row["source"] == str(folder)


# -- what clearir itself writes


def test_a_prepared_folder_is_a_suite_of_its_test_rows(tmp_path: Path) -> None:
    rows = [Row(f"query {n}", f"passage {n}", f"kysymys {n}", "fi") for n in range(10)]
    prepare(rows, tmp_path / "rows", PrepareSettings(test=0.2, dev=0.1))
    for part, count in (("test", 2), ("dev", 1), ("train", 7)):
        suite = suite_at(tmp_path / "rows", split=part)
        assert (suite.name, suite.languages, len(suite.queries["fi"])) == (f"rows {part}", ["en", "fi"], count)
    assert suite_at(tmp_path / "rows").hash == suite_at(tmp_path / "rows", split="test").hash
    assert suite_at(tmp_path / "rows", part="dev").hash == suite_at(tmp_path / "rows", split="dev").hash
    with pytest.raises(InputError, match="rows: no valid rows; give one of --split dev, test, train"):
        suite_at(tmp_path / "rows", split="valid")


def test_tables_and_folders_of_texts_are_told_apart(tmp_path: Path) -> None:
    write_lines(tmp_path / "table" / "rows.jsonl", [{"query": "q", "passage": "p"}])
    assert suite_at(tmp_path / "table").name == "table"
    assert suite_at(tmp_path / "table" / "rows.jsonl").name == "rows"
    write_lines(tmp_path / "shop" / "en" / "corpus.jsonl", [{"_id": "d", "text": "p"}])
    write_lines(tmp_path / "shop" / "en" / "queries.jsonl", [{"_id": "q", "text": "q"}])
    (tmp_path / "shop" / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    assert suite_at(tmp_path / "shop").name == "shop"
    with pytest.raises(InputError, match="nowhere: no such file"):
        suite_at(tmp_path / "nowhere")


# -- bitext


def aligned(folder: Path, **texts: str) -> list[Path]:
    """A file for each language, a line for each word."""
    folder.mkdir(exist_ok=True)
    for code, words in texts.items():
        (folder / f"menu.{code}").write_text(words.replace(" ", "\n") + "\n", encoding="utf-8")
    return [folder / f"menu.{code}" for code in texts]


def test_bitext_of_text_files_and_of_their_folder(tmp_path: Path) -> None:
    files = aligned(tmp_path / "menus", en="help open", fi="ohje avaa", de="Hilfe öffnen")
    (tmp_path / "menus" / "README").write_text("about these files")
    suite = bitext_at(files[:2])
    assert (suite.name, suite.task) == ("menu.en menu.fi", "bitext")
    assert suite.queries == {"en": {"en/1": "help", "en/2": "open"}, "fi": {"fi/1": "ohje", "fi/2": "avaa"}}
    assert bitext_at([tmp_path / "menus"]).languages == ["en", "de", "fi"]
    (tmp_path / "menus" / "menu.sw").write_text("shorter, and not asked for\n")
    found = bitext_at([tmp_path / "menus"], ["eng_Latn", "de"])
    assert (found.name, found.languages) == ("menus", ["en", "de"])
    with pytest.raises(InputError, match=r"menu\.sw has 1; line n of the one"):
        bitext_at([tmp_path / "menus"])


def test_bitext_of_rows_is_between_query_and_target_query(tmp_path: Path) -> None:
    table = tmp_path / "rows.jsonl"
    rows = [
        {"query": "help", "passage": "Press F1.", "target_query": "ohje", "language": "fi"},
        {"query": "help", "passage": "Press F1.", "target_query": "Hilfe", "language": "de"},
        {"query": "open", "passage": "Press O.", "target_query": None, "language": None},
    ]
    write_lines(table, rows)
    suite = bitext_at([table])
    assert suite.name == "rows"
    assert suite.queries == {"en": {"en/1": "help"}, "fi": {"fi/1": "ohje"}, "de": {"de/2": "Hilfe"}}
    assert suite.relevant("en", "de") == {"en/1": {"de/2": 1}}
    own = [{"question": one["query"], "passage": "p", "fi": "ohje"} for one in rows]
    write_lines(tmp_path / "own.jsonl", own)
    named = bitext_at([tmp_path / "own.jsonl"], columns={"query": "question", "target_query": ["fi"]})
    assert named.queries["fi"] == {"fi/1": "ohje"}


def test_bitext_of_a_table_with_a_column_for_each_language(tmp_path: Path) -> None:
    (tmp_path / "menu.tsv").write_text("en\tfi\nhelp\tohje\nopen\t\n", encoding="utf-8")
    with pytest.raises(InputError, match="column 'fi' is empty"):
        bitext_at([tmp_path / "menu.tsv"])
    suite = bitext_at([tmp_path / "menu.tsv"], on_bad="skip")
    assert (suite.name, suite.queries) == ("menu", {"en": {"en/1": "help"}, "fi": {"fi/1": "ohje"}})


def test_what_is_no_bitext_is_refused_with_what_to_type(tmp_path: Path) -> None:
    english, finnish = aligned(tmp_path / "menus", en="help open", fi="ohje avaa")
    (tmp_path / "notes.txt").write_text("x\n")
    (tmp_path / "headless.tsv").write_text("help\tohje\n")
    write_lines(tmp_path / "shop" / "corpus.jsonl", [{"_id": "d", "text": "x"}])
    for paths, options, message in (
        ([english], {}, "one language alone; give the file of each language"),
        ([tmp_path / "gone.en"], {}, r"gone\.en: no such file or folder; check the path"),
        (
            [tmp_path / "notes.txt"],
            {},
            r"notes\.txt: unknown kind of file; .* name text files \(NAME\.om\)",
        ),
        (
            [tmp_path / "headless.tsv"],
            {},
            r"no columns? .* a table of sentences \(om\) by their languages",
        ),
        ([tmp_path / "shop"], {}, "shop: a suite for retrieval; for bitext give aligned text files, or a table"),
        ([english, finnish], {"language": "fi"}, "not a table of rows, so it has no option 'language'"),
        ([english, finnish], {"split": "dev"}, "which has no parts; leave it out"),
        ([english, finnish], {"languages": ["en", "sw"]}, "has no language 'sw'; it has en, fi"),
    ):
        with pytest.raises(InputError, match=message):
            bitext_at(paths, **options)
