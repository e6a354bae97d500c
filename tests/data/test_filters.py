from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clearir.data.filters import FilterSettings, filter_rows
from clearir.data.identify import is_installed
from clearir.data.rows import Row

PASSAGE = "A passage about the thing."


def row(
    query="Where is the old bridge?", target="¿Dónde está el puente viejo?", language="es", passage=PASSAGE, **more
):
    return Row(query, passage, target, language, **more)


def reason(*rows, translated=True, **settings):
    """The reason for which the last row is dropped, or None; languages are identified only if that is said."""
    settings.setdefault("language", False)
    done = filter_rows(rows, FilterSettings(**settings), translated=translated)
    assert sum(dropped.count for dropped in done.dropped.values()) + len(done.rows) == len(rows)
    return next((why for why, dropped in done.dropped.items() if rows[-1] in dropped.examples), None)


def test_good_rows_pass_untouched_and_in_order():
    rows = (row(), row("Who built it?", "¿Quién lo construyó?"), Row("When?", PASSAGE))
    done = filter_rows(rows, translated=True)
    assert (done.rows, done.dropped) == (rows, {})


@pytest.mark.parametrize("bad", [row(target=" \t"), row(query=""), row(passage="\n"), row(target="\u200b")])
def test_empty(bad):
    assert reason(bad) == "empty"


@pytest.mark.parametrize(
    ("target", "dropped"),
    [
        ("where  is the OLD bridge?", True),  # equal after normalisation
        ("Where is the old bridge today?", True),  # 5 of 6 words
        ("Where is the puente viejo today?", False),  # 3 of 6
        ("Bridge?", False),  # fewer than three words say nothing
    ],
)
def test_copied_source(target, dropped):
    assert reason(row(target=target)) == ("copied source" if dropped else None)


def test_copied_source_threshold():
    # 3 of 6 words are copied
    assert reason(row(target="Where is the puente viejo today?"), copied=0.4) == "copied source"


@pytest.mark.parametrize(
    ("query", "target", "dropped"),
    [
        ("x" * 90, "y" * 20, False),  # (20 + 10) / (90 + 10) = 0.3
        ("x" * 90, "y" * 19, True),
        ("x" * 90, "y" * 290, False),  # (290 + 10) / 100 = 3
        ("x" * 90, "y" * 291, True),
        ("red?", "rouge foncé?", False),  # (12 + 10) / (4 + 10): short texts are not judged by a word
    ],
)
def test_length_ratio(query, target, dropped):
    assert reason(row(query, target)) == ("length ratio" if dropped else None)


def test_a_chinese_character_is_two_columns_wide():
    # (2 * 20 + 10) / (90 + 10) = 0.5
    chinese = row("x" * 90, "桥" * 20, "zh")
    assert reason(chinese, length_ratio=(0.5, 3.0)) is None
    assert reason(chinese, length_ratio=(0.51, 3.0)) == "length ratio"


@pytest.mark.parametrize(
    ("target", "language", "dropped"),
    [
        ("Где старый мост?", "ru", False),
        ("Gdje je stari most?", "ru", True),
        ("Gdje je stari most?", "sr-Latn", False),
        ("古い橋はどこですか", "ja", False),
        ("老桥在哪里", "ja", False),  # only Chinese characters: also Japanese
        ("老桥在哪里", "ko", False),
        ("Waar is de oude brug?", "zh", True),
        ("1912?", "ru", False),  # no letters, no script
        ("हृदय Heart Attack Symptoms", "hi", True),  # 3 of 23 letters, vowel signs being no letters
        ("पुराना पुल कहाँ है Bridge", "hi", False),
    ],
)
def test_script(target, language, dropped):
    assert reason(row(target=target, language=language)) == ("wrong script" if dropped else None)


def test_numbers_of_human_translations_are_not_checked_unless_asked():
    written_out = row("Who won in 2019?", "¿Quién ganó en dos mil diecinueve?")
    assert reason(written_out, translated=False) is None
    assert reason(written_out, translated=False, numbers=True) == "number lost"
    assert reason(written_out, translated=True, numbers=False) is None


@pytest.mark.parametrize(
    ("query", "target", "dropped"),
    [
        ("Hello {name}, where is {place}?", "Hola {name}, ¿dónde está {place}?", False),
        ("Hello {name}?", "Hola {nombre}?", True),
        ("Is %s in %(town)s?", "¿Está %s en %(town)s?", False),
        ("Is %s there?", "¿Está % s allí?", True),
        ("Is 50% so much?", "¿Es mucho el 50 %?", False),  # no placeholder
        ("A <b>bold</b> word?", "¿Una palabra <b>gruesa</b>?", False),
        ("A <b>bold</b> word?", "¿Una palabra gruesa?", True),
        ("Is a < b or b > c?", "¿Es a menor que b?", False),
        ("Is a<b and c>d?", "¿Es a menor que b y c mayor que d?", False),
        ("A line<br />break?", "¿Un salto<br>de línea?", False),
        ("A line<BR>break?", "¿Un salto<br/>de línea?", False),
        ('An <a href="/x" class=big>address</a>?', '¿Una <a href="/x"  class=big>dirección</a>?', False),
        ('An <a href="/x">address</a>?', '¿Una <a href="/y">dirección</a>?', True),
        ("Is {{ name }} there?", "¿Está {{name}}?", False),
        ("Is {{ name }} there?", "¿Está {{ nombre }}?", True),
        ("Is it %.2f or %5d?", "¿Es %.2f o %5d?", False),
        ("Is it %.2f?", "¿Es %2f?", True),
        ("See https://example.org/a?", "请看https://example.org/a。", False),
        ("See https://example.org/a?", "https://example.org/aを参照", False),
        ("See https://example.org/a, ok?", "Mira https://example.org/a ¿vale?", False),
        ("See https://example.org/a?", "Mira https://ejemplo.org/a?", True),
    ],
)
def test_placeholders(query, target, dropped):
    assert reason(row(query, target), script=0.0) == ("placeholder lost" if dropped else None)
    assert reason(row(query, target), script=0.0, placeholders=False) is None


def test_duplicates_after_normalisation_keep_the_first():
    rows = [row(), row(query="WHERE is  the old bridge?")]
    assert reason(*rows) == "duplicate"
    assert filter_rows(rows).rows == (rows[0],)
    unseen = row(passage=f"\ufeff{PASSAGE}", target="¿Dónde está\u200b el puente vie\u00adjo?")
    assert reason(row(), unseen) == "duplicate"
    assert reason(row(), row(language="ca")) is None
    assert reason(Row("a", "p"), Row("A", "p")) == "duplicate"


def test_a_target_query_of_several_passages_is_dropped_everywhere():
    rows = [row("Who led it?", "¿Quién?", passage="one"), row("Who won it?", "¿QUIÉN?", passage="two")]
    done = filter_rows(rows)
    assert (done.rows, done.dropped["target query of several passages"].count) == ((), 2)
    assert len(filter_rows(rows, FilterSettings(ambiguous=False)).rows) == 2


def test_rows_that_another_check_drops_make_no_other_row_ambiguous():
    copied = row("¿Quién ganó?", "¿Quién ganó?", passage="two")
    kept = row("Who won it?", "¿Quién ganó?", passage="one")
    done = filter_rows([copied, kept])
    assert done.rows == (kept,)
    assert {why: dropped.count for why, dropped in done.dropped.items()} == {"copied source": 1}


def test_one_question_with_several_passages_is_not_ambiguous():
    assert len(filter_rows([row(passage="one"), row(passage="two")]).rows) == 2  # by its text
    by_id = [row("Who?", passage="one", query_id="7"), row("Who is it?", passage="two", query_id="7")]
    assert len(filter_rows(by_id).rows) == 2
    others = [row(passage="one", query_id="7"), row(passage="two", query_id="8")]
    assert len(filter_rows(others).rows) == 0


def test_several_questions_of_one_passage_may_share_a_translation():
    assert len(filter_rows([row("Who led it?", "¿Quién?"), row("Who guided it?", "¿Quién?")]).rows) == 2


identified = pytest.mark.skipif(not is_installed(), reason="py3langid is not installed (extra 'langid')")
ENGLISH = "In which year did the company move its main office to another town?"
SWAHILI = "Kampuni ilihamishia ofisi yake kuu katika mji mwingine mwaka gani?"
QUERY = "When did the firm go elsewhere with its headquarters?"


@identified
@pytest.mark.parametrize(
    ("target", "language", "dropped"),
    [
        (SWAHILI, "sw", False),
        (SWAHILI, "swh_Latn", False),
        (ENGLISH, "sw", True),
        (SWAHILI, "de", True),
        # What is in no language for sure is still not in Swahili.
        ("¿Cómo rastreo mi paquete?", "sw", True),
        ("¿Puedo obtener un reembolso?", "sw", True),
        ("¿Puedo obtener un reembolso?", "es", False),
        # Bemba is not known to it: anything but English passes.
        (SWAHILI, "bem", False),
        (ENGLISH, "bem", True),
        # Serbian it knows in Cyrillic letters.
        ("Где је стари мост који је саградио мајстор?", "sr", False),
        ("Gde je stari most koji je sagradio majstor?", "sr-Latn", False),
        # It calls Filipino by its old code, Norwegian by the new one.
        ("Saan matatagpuan ang lumang tulay na itinayo ng mga tao?", "fil", False),
        ("Hvor ligger den gamle broen som ble bygget av håndverkere?", "nb", False),
    ],
)
def test_languages_are_identified(target, language, dropped):
    assert reason(row(QUERY, target, language), language=None) == ("wrong language" if dropped else None)
    assert reason(row(QUERY, target, language)) is None


@identified
def test_spanish_that_is_said_to_be_swahili_is_dropped_and_swahili_stays():
    pairs = [
        ("¿Cómo restablezco mi contraseña?", "Ninawezaje kuweka upya nywila yangu?"),
        ("¿Dónde está mi factura?", "Ankara yangu iko wapi?"),
        ("¿Cómo cambio el idioma?", "Nabadilishaje lugha?"),
        ("¿Qué significa el error 403?", "Kosa 403 lina maana gani?"),
    ]
    rows = [row(f"question {i} of them", text, "sw") for i, pair in enumerate(pairs) for text in pair]
    assert filter_rows(rows).rows == tuple(rows[1::2])


def test_where_languages_cannot_be_identified_a_word_is_said(monkeypatch, caplog):
    monkeypatch.setattr("clearir.data.filters.is_installed", lambda: False)
    assert reason(row(QUERY, SWAHILI, "de"), language=None) is None
    assert 'pip install "clearir[langid]"' in caplog.text
    caplog.clear()
    assert reason(row(QUERY, SWAHILI, "de")) is None
    assert filter_rows([Row("a", "p")]).rows
    assert caplog.text == ""


def test_reasons_are_counted_with_three_examples_most_frequent_first():
    rows = [row(target=" "), *(row(f"Question {i} of them?", f"question {i} of THEM?") for i in range(5)), row()]
    done = filter_rows(rows)
    assert [(why, d.count, len(d.examples)) for why, d in done.dropped.items()] == [
        ("copied source", 5, 3),
        ("empty", 1, 1),
    ]
    assert done.table()[1] == {
        "reason": "empty",
        "rows": 1,
        "examples": [{"query": "Where is the old bridge?", "target_query": " ", "language": "es"}],
    }


@settings(deadline=None)  # the first reads the identifier
@given(st.lists(st.builds(row, st.text(max_size=30), st.text(max_size=30), st.sampled_from(["es", "zh", "ar", "tlh"]))))
def test_no_text_breaks_a_check(rows):
    done = filter_rows(rows, translated=True)
    assert len(done.rows) + sum(dropped.count for dropped in done.dropped.values()) == len(rows)
    # What passed passes again, alone.
    assert filter_rows(done.rows, translated=True).rows == done.rows


@pytest.mark.parametrize("settings", [{"copied": 2}, {"length_ratio": (0, 1)}, {"lenght_ratio": (0.1, 1)}])
def test_thresholds_that_cannot_be_are_refused(settings):
    with pytest.raises(ValidationError):
        FilterSettings(**settings)
