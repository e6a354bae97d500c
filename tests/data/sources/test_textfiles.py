"""Text as programs save it: encodings, byte order marks, packed files."""

from __future__ import annotations

import builtins
import contextlib
import io
import logging
import tempfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearir.data.rows import Row
from clearir.data.sources.tables import read
from clearir.support.errors import InputError

TABLE = "query,passage\nWo ist “der Größte” – für 5 €?,Über Köln.\nWas kostet es?,Fünf.\n"
ROWS = [Row("Wo ist “der Größte” – für 5 €?", "Über Köln."), Row("Was kostet es?", "Fünf.")]


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_says_the_encoding(encoding: str, tmp_path: Path) -> None:
    assert list(read(write(tmp_path, "a.csv", TABLE.encode(encoding)))) == ROWS
    lines = "".join(f'{{"query": "{row.query}", "passage": "{row.passage}"}}\n' for row in ROWS)
    assert list(read(write(tmp_path, "a.jsonl", lines.encode(encoding)))) == ROWS
    assert list(read(write(tmp_path, "a.json", f"[{lines.strip()}]".replace("\n", ",").encode(encoding)))) == ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            TABLE.encode("utf-16-le"),
            r"a\.csv: this seems to be UTF-16 .*without a byte order mark; .*iconv -f utf-16le",
        ),
        (
            TABLE.encode("utf-16-be"),
            r"a\.csv: this seems to be UTF-16 .*without a byte order mark; .*iconv -f utf-16be",
        ),
        (TABLE.encode("utf-16")[:-1], r"a\.csv: not whole UTF-16 \(.*\); fetch or make the file again"),
    ],
)
def test_utf16_that_cannot_be_read(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        list(read(write(tmp_path, "a.csv", content)))


PASSWORDS = {
    "cp1252": "¿Cómo restablezco mi contraseña?",
    "cp1250": "Jak zresetować hasło? Żółć gęślą jaźń",
    "cp1251": "Как изменить пароль?",
    "cp1253": "Πώς αλλάζω τον κωδικό;",
    "cp1254": "Şifremi nasıl değiştiririm? Giriş sayfasını açın.",
    "cp1255": "איך לאפס סיסמה?",
    "cp1256": "كيف أعيد تعيين كلمة المرور؟",
    "cp932": "パスワードを変更するには",
    "gb18030": "如何更改密码？打开登录页面。",
    "cp949": "비밀번호를 어떻게 재설정합니까?",
}


@pytest.mark.parametrize("encoding", PASSWORDS)
def test_the_encodings_of_windows_are_found_and_said(
    encoding: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, "a.csv", f"query,passage\nplain,text\nq,{PASSWORDS[encoding]}\n".encode(encoding))
    with caplog.at_level(logging.WARNING):
        assert [row.passage for row in read(path)] == ["text", PASSWORDS[encoding]]
    (said,) = [record.message for record in caplog.records]
    assert said.startswith(f"{path}: not UTF-8, read as ")
    assert f"line 3: 'q,{PASSWORDS[encoding]}'" in said


def test_of_a_long_line_what_is_odd_is_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path, "a.csv", f"query,passage\nq,{'x' * 500}café{'y' * 500}\n".encode("cp1252"))
    assert len(list(read(path))) == 1
    assert f"line 2: '{'x' * 37}café{'y' * 59}'. If" in caplog.text


def test_utf8_with_a_damaged_line_is_no_other_encoding(tmp_path: Path) -> None:
    for content in ("query,passage\nä,ö\nX,y\n", "query,passage\nX,y\nä,ö\n"):
        path = write(tmp_path, "a.csv", content.encode().replace(b"X", b"caf\xe9"))
        skipped: Counter[str] = Counter()
        assert list(read(path, on_bad="skip", skipped=skipped)) == [Row("ä", "ö")]
        assert skipped == {"byte 4 of the line is not UTF-8": 1}
        with pytest.raises(InputError, match=r"a\.csv:[23]: byte 4 of the line is not UTF-8; .*iconv -f cp1252"):
            list(read(path))


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode()[: TABLE.encode().index("ß".encode()) + 1],  # cut through its first letter that is not ASCII
        "query,passage\nGröße für,Über uns\n".encode("cp850"),  # has bytes that no encoding of Windows has
    ],
)
def test_an_encoding_that_is_in_doubt_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.csv:2: byte \d+ of the line is not UTF-8; "):
        list(read(write(tmp_path, "a.csv", content)))


def test_json_is_utf8(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.jsonl:1: byte 13 of the line is not UTF-8; .*iconv -f cp1252"):
        list(read(write(tmp_path, "a.jsonl", '{"query": "Köln", "passage": "p"}'.encode("cp1252"))))


def test_without_the_detector_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "chardetng_py":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"a\.csv:2: byte 14 of the line is not UTF-8; .*iconv -f cp1252 -t utf-8"):
        list(read(write(tmp_path, "a.csv", TABLE.replace("“", "").encode("cp1252"))))


def test_control_characters_of_a_wrong_conversion_are_bad_cells(tmp_path: Path) -> None:
    """Windows-1252 that was converted as Latin-1: quotation marks, dashes and the euro sign are controls."""
    wrong = TABLE.encode("cp1252").decode("latin-1")
    path = write(tmp_path, "a.csv", wrong.encode())
    with pytest.raises(InputError, match=r"a\.csv:2: column 'query' holds the control character U\+0093; .*-f cp1252"):
        list(read(path))
    skipped: Counter[str] = Counter()
    assert list(read(path, on_bad="skip", skipped=skipped)) == ROWS[1:]
    assert skipped == {"column 'query' holds the control character U+0093": 1}


# -- packed ---------------------------------------------------------------------------------------------------------


def packed(**members: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_the_table_in_a_zip(tmp_path: Path) -> None:
    beside = {"README.md": "about", "__MACOSX/._faq.csv": "x", "data/.hidden.csv": "y", "data/": ""}
    assert list(read(write(tmp_path, "faq.zip", packed(**{"data/faq.csv": TABLE}, **beside)))) == ROWS
    assert list(read(write(tmp_path, "faq.tsv.zip", packed(**{"faq.tsv": TABLE.replace(",", "\t")})))) == ROWS
    (tmp_path / "shards").mkdir()
    for number, row in enumerate(ROWS):
        content = f"query,passage\n{row.query},{row.passage}\n"
        write(tmp_path / "shards", f"{number}.csv.zip", packed(**{f"{number}.csv": content}))
    write(tmp_path / "shards", "pictures.zip", packed(**{"a.png": ""}))
    assert list(read(tmp_path / "shards")) == ROWS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (packed(**{"a.csv": TABLE, "b.csv": TABLE}), r"a\.zip: holds several tables, a\.csv and b\.csv; unpack it"),
        (packed(**{"a.png": ""}), r"a\.zip: no table in it \(\.jsonl, .*\.tsv\); unpack it"),
        (packed(**{"a.parquet": ""}), r"a\.zip: no table in it"),
        (packed(**{"a.csv": TABLE})[:-5], r"a\.zip: cannot be read \(.+\); fetch or make the file again"),
        (b"", r"a\.zip: cannot be read \(.+\); fetch or make the file again"),
    ],
)
def test_a_zip_that_holds_not_one_table(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        list(read(write(tmp_path, "a.zip", content)))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_zip_gives_rows_or_an_input_error(data: st.DataObject) -> None:
    content = bytearray(packed(**{"a.csv": TABLE}))
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "damaged.zip", bytes(content))
        with contextlib.suppress(InputError):
            list(read(path))
