from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.data.rows import Row
from clearir.data.sources.mallard import read, read_english
from clearir.support.errors import InputError

FILLER = "Enough letters for a passage."
NS = 'xmlns="http://projectmallard.org/1.0/"'


def write(folder: Path, language: str, name: str, body: str, identity: str | None = None) -> Path:
    file = folder / language / "guide" / f"{name}.page"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'<page {NS} type="topic" id="{identity or name}">{body}</page>')
    return file


def text_of(folder: Path, body: str) -> str:
    write(folder, "C", "this", f"<title>Title of it</title>{body}<p>{FILLER}</p>")
    return read_english(folder)["guide/this"].text.removesuffix(FILLER).strip()


def test_rows_of_pages_and_sections(tmp_path: Path) -> None:
    info = "<info><title type='link'>Disks</title><desc>About disks.</desc><credit><name>Ann</name></credit></info>"
    section = "<section id='status'><title>{}</title><p>{}</p><section><title>x</title><p>y</p></section></section>"
    write(
        tmp_path,
        "C",
        "disk",
        f"{info}<title>Check your <app>disk</app></title><p>A disk can break on any day.</p>"
        + section.format("Is the disk healthy?", "Open the tool and look at it."),
    )
    write(
        tmp_path,
        "de",
        "festplatte",
        f"{info}<title>Die Platte prüfen</title><p>Platten gehen kaputt.</p>"
        + section.format("Ist die Platte gesund?", "Das Werkzeug öffnen und hinsehen."),
        "disk",
    )
    skipped: Counter[str] = Counter()
    common = {"language": "de", "page_id": "guide/disk"}
    assert list(read(tmp_path, skipped=skipped)) == [
        Row(
            "Check your disk",
            "A disk can break on any day.",
            "Die Platte prüfen",
            target_passage="Platten gehen kaputt.",
            passage_id="guide/disk",
            query_id="guide/disk",
            **common,
        ),
        Row(
            "Is the disk healthy?",
            "Open the tool and look at it.",
            "Ist die Platte gesund?",
            target_passage="Das Werkzeug öffnen und hinsehen.",
            passage_id="guide/disk#status",
            query_id="guide/disk#status",
            **common,
        ),
    ]
    assert +skipped == {"heading without an id of its own": 1}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>Press <keyseq><key>Ctrl</key> <key>S</key></keyseq> now.</p>", "Press Ctrl+S now."),
        ("<p><guiseq><gui>File</gui><gui>Save</gui></guiseq></p>", "File ▸ Save"),
        ("<steps><title>Steps</title><item><p>One</p></item><item><p>Two</p></item></steps>", "Steps\nOne\nTwo"),
        ("<terms><item><title>Term</title><p>what it is</p></item></terms>", "Term\nwhat it is"),
        ("<note style='tip'><p>A tip.</p></note><media src='x.png'><p>seen</p></media>", "A tip."),
        ("<table><tr><td><p>Key</p></td><td><p>does</p></td></tr></table>", "Key does"),
        ("<p>Type <code>ls -l</code> here.</p><code>ls\nrm</code><screen>$ ls</screen>", "Type ls -l here."),
        ("<links type='topic'><title>More</title></links><comment><p>to do</p></comment>", ""),
        ("<p>See <link xref='other'/>, <link xref='other#part'/>.</p>", "See Other things, A part of it."),
        ("<p>See <link xref='other'>this</link> or <link xref='none'/>.</p>", "See this or ."),
        (
            "<choose xmlns='http://projectmallard.org/if/1.0/'><when><p>new</p></when><else><p>old</p></else></choose>",
            "new",
        ),
        ("<p>a<!-- b -->c<?d?></p>", "ac"),
    ],
)
def test_the_text_of_a_section(body: str, text: str, tmp_path: Path) -> None:
    part = "<section id='part'><title>A part of it</title></section>"
    write(tmp_path, "C", "other", f"<title>Other things</title><p>{FILLER} Other.</p>{part}")
    assert text_of(tmp_path, body) == text


def test_a_link_to_a_section_of_its_own_page(tmp_path: Path) -> None:
    body = f"<title>Title</title><p>{FILLER} <link xref='#part'/></p><section id='part'><title>A part</title></section>"
    write(tmp_path, "C", "this", body)
    assert read_english(tmp_path)["guide/this"].text == f"{FILLER} A part"


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("<!ENTITY x SYSTEM 'secret.txt'>", "a  b"),
        ("<!ENTITY x SYSTEM 'http://localhost:1/secret'>", "a  b"),
        ("<!ENTITY y 'ha ha'><!ENTITY x '&y;&y;&y;'>", "a  b"),
    ],
)
def test_no_entity_is_looked_up(declared: str, text: str, tmp_path: Path) -> None:
    file = write(tmp_path, "C", "this", "")
    (file.parent / "secret.txt").write_text("secret")
    file.write_text(f"<!DOCTYPE page [{declared}]><page {NS} id='this'><title>T</title><p>{FILLER} a &x; b</p></page>")
    assert read_english(tmp_path)["guide/this"].text == f"{FILLER} {' '.join(text.split())}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"a\.page: not XML \(Document is empty"),
        ("<page><title>", r"a\.page: not XML \(.*; correct the page, or leave such rows out with on_bad=skip"),
        ("<page>&nbsp;</page>", r"a\.page: not XML \(Entity 'nbsp' not defined"),
        ("<html/>", r"a\.page: <html>, not a Mallard <page>"),
        ("<page>" * 5000, r"a\.page: not XML"),
    ],
)
def test_broken_pages_are_named(content: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, "C", "good", f"<title>Title of it</title><p>{FILLER}</p>")
    write(tmp_path, "de", "good", f"<title>Titel</title><p>{FILLER}</p>")
    write(tmp_path, "de", "a", "").write_text(content)
    with pytest.raises(InputError, match=message):
        list(read(tmp_path))
    skipped: Counter[str] = Counter()
    assert len(list(read(tmp_path, on_bad="skip", skipped=skipped))) == 1
    assert sum(skipped.values()) == 1


tags = st.sampled_from(["title", "p", "section", "item", "link", "keyseq", "choose", "code", "info", "tr", "x:y"])
tree = st.recursive(
    st.text(st.characters(codec="utf-8", exclude_characters="<&"), max_size=8),
    lambda inner: st.tuples(tags, st.sampled_from(["", "id='a'", "xref='#a'"]), st.lists(inner, max_size=4)).map(
        lambda parts: f"<{parts[0]} {parts[1]}>{''.join(parts[2])}</{parts[0]}>"
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(english=tree, german=tree | st.text(max_size=20))
def test_any_pages_give_rows_or_an_input_error(
    english: str, german: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for language, body in (("C", english), ("de", german)):
        whole = f"<page xmlns:x='y' id='a'><title>A title in {language}</title><p>{FILLER}</p>{body}</page>"
        write(folder, language, "a", "").write_bytes(whole.encode(errors="surrogatepass"))
    try:
        rows = list(read(folder, on_bad="skip"))
    except InputError as error:
        rows = []
        assert str(folder) in str(error)  # noqa: PT017
    assert all(row.query.strip() and row.passage.strip() and row.target_query for row in rows)
