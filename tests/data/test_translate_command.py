from __future__ import annotations

import shutil
import sys

import pytest

from clearir.data.translate import CommandTranslator
from clearir.support.errors import InputError

needs_apertium = pytest.mark.skipif(
    shutil.which("apertium") is None, reason="no apertium here; on Debian: apt-get install apertium-eng-spa"
)


def python(code, **options):
    return CommandTranslator([sys.executable, "-c", code], **options)


UPPER = "import sys; sys.stdout.write(sys.stdin.read().upper())"


def test_answers_line_by_line_in_batches():
    count = "import sys; lines = sys.stdin.read().splitlines(); print('\\n'.join(f'{x}/{len(lines)}' for x in lines))"
    answers = list(python(count, batch_size=2).translate(["a", "b", "c"], "en", "es"))
    assert answers == ["a/2", "b/2", "c/1"]


def test_a_text_of_several_lines_is_sent_as_one():
    assert list(python(UPPER).translate(["one\ntwo\r\n three\x0b\x00four\u2028five"], "en", "es")) == [
        "ONE TWO THREE FOUR FIVE"
    ]


def test_empty_answers_keep_their_place():
    drop = "import sys; sys.stdout.write(sys.stdin.read().replace('b', ''))"
    for blank_lines in (False, True):
        assert list(python(drop, blank_lines=blank_lines).translate(["a", "b", "c"], "en", "es")) == ["a", "", "c"]


def test_language_codes_go_where_the_braces_are():
    echo = "import sys; print(' '.join(sys.argv[1:]))"
    command = [sys.executable, "-c", echo, "{source}-{target}", "{source3}-{target3}"]
    assert list(CommandTranslator(command).translate(["x"], "en", "sw")) == ["en-sw eng-swa"]


def test_a_command_may_be_typed_as_in_a_shell():
    assert CommandTranslator("tr 'a b' 'x y'").identity == "command tr 'a b' 'x y'"
    assert list(CommandTranslator("tr a-z A-Z").translate(["hello"], "en", "es")) == ["HELLO"]


@pytest.mark.parametrize(
    ("translator", "message"),
    [
        (CommandTranslator("no-such-program-anywhere x"), "no program 'no-such-program-anywhere'; install it"),
        (CommandTranslator(["/"]), "cannot be started"),
        (python("import sys; sys.exit('the reason')"), "ended with status 1: the reason"),
        (python("print('one')"), "1 lines came back for 2 texts"),
        (python("print('1\\n2\\n3')"), "3 lines came back for 2 texts"),
        (python("import sys; sys.stdout.buffer.write(b'\\xff\\n')"), "not UTF-8"),
    ],
)
def test_what_goes_wrong_is_told(translator, message):
    with pytest.raises(InputError, match=message.replace("(", "\\(")):
        list(translator.translate(["a", "b"], "en", "es"))


def test_a_program_that_does_not_read_is_told():
    with pytest.raises(InputError, match=r"(0|1) lines came back"):
        list(python("pass").translate(["a" * 200_000, "b"], "en", "es"))


@pytest.mark.parametrize("command", ["", "   ", "'open"])
def test_no_command_is_refused(command):
    with pytest.raises(InputError, match="command"):
        CommandTranslator(command)


@needs_apertium
def test_apertium_translates_english_questions_into_spanish():
    translator = CommandTranslator("apertium -u {source3}-{target3}")
    questions = ["Where is the red house?", "How many people live in the city?"]
    assert list(translator.translate(questions, "en", "es")) == [
        "Dónde es la casa roja?",
        "Cuántas personas viven en la ciudad?",
    ]


@needs_apertium
def test_apertium_moves_no_word_into_the_next_text():
    translator = CommandTranslator("apertium -u eng-spa")
    together = list(translator.translate(["the white", "house is red", "the white"], "en", "es"))
    assert together == [
        next(translator.translate([text], "en", "es")) for text in ("the white", "house is red", "the white")
    ]
    # without the empty lines Apertium reads "the white house is red" and makes "La casa | blanca es roja" of it
    mixed = CommandTranslator("apertium -u eng-spa", blank_lines=False)
    assert list(mixed.translate(["the white", "house is red"], "en", "es"))[1] == "blanca es roja"


@needs_apertium
def test_apertium_says_which_pairs_there_are():
    with pytest.raises(InputError, match=r"ended with status 1: .*eng-zzz"):
        list(CommandTranslator("apertium eng-zzz").translate(["a"], "en", "es"))
