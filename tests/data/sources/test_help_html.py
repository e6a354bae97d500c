from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.data.sources.help_html import read, read_english
from clearir.support.errors import InputError

FILLER = "Enough letters for a passage."


def passages(tmp_path: Path, body: str | bytes) -> dict[str, tuple[str, str]]:
    """Heading and text of each section of an English page, by id."""
    folder = tmp_path / "en"
    folder.mkdir(exist_ok=True)
    (folder / "p.html").write_bytes(body if isinstance(body, bytes) else body.encode())
    found = read_english(tmp_path)
    return {key.partition("#")[2]: (section.heading, section.text) for key, section in found.items()}


def text_of(tmp_path: Path, html: str) -> str:
    """The text of a section that holds ``html``."""
    return passages(tmp_path, f"<h1>Title of it</h1>{html}<p>{FILLER}</p>")[""][1].removesuffix(FILLER).strip()


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>One <b>bold</b>\n  word.</p><p>Two.</p>", "One bold word.\nTwo."),
        ("<ul><li>First<ul><li>inner</li></ul></li><li><p>Last</p></li></ul>", "First\ninner\nLast"),
        ("<p>A line<br>break</p>", "A line\nbreak"),
        ("<dl><dt>Term</dt><dd>what it is</dd></dl>", "Term\nwhat it is"),
        ("<table><tr><th><p>Key</p></th><td>F1<p>Help</p></td></tr><tr><td>0</td></tr></table>", "Key F1 Help"),
        ("<p>hy&shy;phen, no&nbsp;break &amp; more &lt;b&gt;</p>", "hyphen, no break & more <b>"),
        # what is no text
        ("<nav><p>Contents</p></nav><footer>Imprint</footer><aside>More</aside>", ""),
        ("<script>alert('x')</script><style>p {color: red}</style><noscript>no</noscript>", ""),
        ("<pre>print('x')</pre><div class='bascode'>Sub x</div><p>Code <code>x = 1</code></p>", "Code x = 1"),
        ("<p>See <img alt='icon' src='x.png'>it</p><button>Copy</button>", "See it"),
        ("<div class='howtoget'>Choose Table</div><div class='big relatedtopics'>Related</div>", ""),
        ("<p><a href='x.html'>Another page</a></p><p>Read <a href='x.html'>more</a></p>", "Read more"),
        ("<p><a id='here'>No link</a></p>", "No link"),
        ("<p>123</p><p>#</p>", ""),
        ("<p hidden>not shown</p><!-- a comment --><p>shown<!-- not --> here</p>", "shown here"),
        # LibreOffice: the default of several variants, else the first
        (
            "<p>Press <span class='switchinline'><span hidden='true' id='MACx' class='MAC'>Command</span>"
            "<span hidden='true' id='defaultx'>Ctrl</span></span>+S</p>",
            "Press Ctrl+S",
        ),
        (
            "<span class='switch'><span hidden='true' id='CALCx'><p>cell</p></span><span id='DRAWx'>line</span></span>",
            "cell",
        ),
        ("<span class='switch'></span>", ""),
    ],
)
def test_the_text_of_a_section(html: str, text: str, tmp_path: Path) -> None:
    assert text_of(tmp_path, html) == text


def test_sections_begin_at_headings_of_any_level_and_end_at_the_next(tmp_path: Path) -> None:
    body = f"""<title>Not a heading</title><p>Text before is of no section.</p>
    <h1 id="a"><a href="x">One</a> <small>small</small></h1><p>{FILLER} 1</p>
    <div><h3 id="b">Two</h3><p>{FILLER} 2</div>{FILLER} 3<table><tr><td>{FILLER} 4<h6 id="c">Three</h6>{FILLER} 5"""
    assert passages(tmp_path, body) == {
        "a": ("One small", f"{FILLER} 1"),
        "b": ("Two", f"{FILLER} 2\n{FILLER} 3\n{FILLER} 4"),
        "c": ("Three", f"{FILLER} 5"),
    }


@pytest.mark.parametrize(
    ("heading", "identity"),
    [
        ("<h2 id='own'><a name='in'></a>Heading</h2>", "own"),
        ("<h2><a name='in'></a>Heading</h2>", "in"),
        ("<h2>Heading <a class='headerlink' href='#x' id='in'>¶</a></h2>", "in"),
        ("<section id='around'><h2>Heading</h2>", "around"),
        ("<section id='around'><p>1</p><h2>Heading</h2>", None),
        ("<h2>Heading</h2>", None),
    ],
)
def test_where_the_id_of_a_heading_stands(heading: str, identity: str | None, tmp_path: Path) -> None:
    found = passages(tmp_path, f"<h1>Title</h1><p>{FILLER}</p>{heading}<p>{FILLER} More.</p>")
    assert found == {"": ("Title", FILLER)} | ({identity: ("Heading", f"{FILLER} More.")} if identity else {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "koi8-r"])
def test_encodings_that_a_page_names(encoding: str, tmp_path: Path) -> None:
    body = f"<meta charset='{encoding.removesuffix('-sig')}'><h1>Помощь</h1><p>Как сохранить этот документ.</p>"
    assert passages(tmp_path, body.encode(encoding)) == {"": ("Помощь", "Как сохранить этот документ.")}


def test_xhtml_and_pages_with_nothing_in_them(tmp_path: Path) -> None:
    body = '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><body><h1>Title</h1>'
    assert passages(tmp_path, f"{body}<p>{FILLER}</p></body></html>") == {"": ("Title", FILLER)}
    for nothing in (b"", b" ", b"<!-- -->", b"\x00"):
        assert passages(tmp_path, nothing) == {}


def test_a_tree_deeper_than_any_stack(tmp_path: Path) -> None:
    deep = b"<h1 id='a'>Title</h1><p>" + FILLER.encode() + b"</p>" + b"<div>" * 100_000 + b"<h2 id='b'>Too deep</h2>"
    assert passages(tmp_path, deep) == {"a": ("Title", FILLER)}


def test_a_page_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passages(tmp_path, f"<h1>Title</h1><p>{FILLER}</p>")

    def fails(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(InputError, match=r"p\.html: cannot be read \(Permission denied\)"):
        read_english(tmp_path)


OPENING = ["<h1>", "<h2 id='a'>", "<p>", "<div>", "<tr>", "<td>", "<pre>", "<a href='x'>", "<span class='switch'>"]
OTHER = ["<span id='default'>", "</h2>", "</div>", "</table>", "</pre>", "</span>", "<script>", "<!--", "<![CDATA["]
ENTITIES = ["&amp;", "&#0;", "&#xd800;", "&bad;", "<?x"]
markup = st.lists(st.sampled_from(OPENING + OTHER + ENTITIES) | st.text(max_size=12), max_size=25).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(english=markup | st.binary(max_size=60), german=markup | st.binary(max_size=60))
def test_any_pages_give_rows_or_an_input_error(
    english: str | bytes, german: str | bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for name, body in (("en", english), ("de", german)):
        (folder / name).mkdir()
        raw = body if isinstance(body, bytes) else body.encode(errors="surrogatepass")
        (folder / name / "a.html").write_bytes(b"<h1>One more page</h1>" + raw)
    try:
        rows = list(read(folder, on_bad="skip"))
    except InputError as error:
        rows = []
        assert str(folder) in str(error)  # noqa: PT017
    assert all(row.query.strip() and row.passage.strip() and row.target_query for row in rows)
