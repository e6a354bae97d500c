from __future__ import annotations

from pathlib import Path

import pytest

from clearir.support.errors import InputError, first_line, prefix_errors_with

ONE, OTHER = Path("a/one.json"), Path("other.json")


def test_what_is_wrong_with_files_names_them():
    message = r"^a/one.json and other.json: no scores for de; evaluate again$"
    with pytest.raises(InputError, match=message), prefix_errors_with(ONE, OTHER):
        raise InputError("no scores for de; evaluate again")


def test_files_that_are_named_already_are_not_named_again():
    with pytest.raises(InputError, match=r"^other.json, line 3: no number$"), prefix_errors_with(ONE, OTHER):
        raise InputError("other.json, line 3: no number")


def test_other_errors_pass():
    with pytest.raises(KeyError), prefix_errors_with(ONE):
        raise KeyError("x")


def test_of_a_librarys_error_the_first_line_is_shown():
    assert first_line(OSError("\nno such file\nHint: look elsewhere")) == "no such file"
    assert first_line(MemoryError()) == "MemoryError"
    assert first_line(ValueError("x" * 1000)) == "x" * 300
