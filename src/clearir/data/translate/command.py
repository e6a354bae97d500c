"""Translation by any program that answers line by line, such as Apertium."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearir.data.translate.base import flatten
from clearir.support.errors import InputError


@dataclass(frozen=True)
class CommandTranslator:
    """A program that reads a text a line from stdin and writes a translation a line to stdout, then ends.

    ``CommandTranslator("apertium -u eng-spa")``. It is started once a batch, so no program that holds back its
    output until the end of its input can stall, and a kill loses one batch.

    Attributes:
        command: as typed in a shell (no shell runs it), or a list of arguments. ``{source}`` and ``{target}`` stand for
            the language codes, ``{source3}`` and ``{target3}`` for those of three letters.
        batch_size: lines a start of the program.
        blank_lines: send an empty line after each text and expect it back. Apertium needs this: it reads across
            line ends and would move words from one text into the next. None: for Apertium only.
    """

    command: str | Sequence[str]
    batch_size: int = 500
    blank_lines: bool | None = None

    def __post_init__(self) -> None:
        if not self._arguments():
            raise InputError("the command backend has no command; write one such as 'apertium -u eng-spa'")
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; it must be at least 1")

    @property
    def identity(self) -> str:
        """The command line."""
        return "command " + shlex.join(self._arguments())

    def translate(self, texts: Sequence[str], source: str, target: str) -> Iterator[str]:
        """Translate ``texts``, a start of the program for every ``batch_size`` of them.

        Raises:
            InputError: the program cannot be started, fails, or answers another number of lines.
        """
        command = [_fill(argument, source, target) for argument in self._arguments()]
        for start in range(0, len(texts), self.batch_size):
            yield from self._batch(command, [flatten(text) for text in texts[start : start + self.batch_size]])

    def _arguments(self) -> list[str]:
        if not isinstance(self.command, str):
            return list(self.command)
        try:
            return shlex.split(self.command)
        except ValueError as error:
            raise InputError(f"command {self.command!r}: {error}") from error

    def _batch(self, command: list[str], texts: list[str]) -> list[str]:
        blank = Path(command[0]).name == "apertium" if self.blank_lines is None else self.blank_lines
        end = "\n\n" if blank else "\n"
        answer = _run(command, "".join(text + end for text in texts))
        lines = answer.removesuffix("\n").split("\n")
        if blank:
            lines = lines[::2] if not any(lines[1::2]) else [line for line in lines if line]
        if len(lines) != len(texts):
            raise InputError(
                f"{shlex.join(command)}: {len(lines)} lines came back for {len(texts)} texts; the program must print"
                " one line per text" + ("" if blank else " (if it reads across line ends, set blank_lines)")
            )
        return lines


def _fill(argument: str, source: str, target: str) -> str:
    import langcodes

    for place, code in (("source", source), ("target", target)):
        argument = argument.replace("{" + place + "}", code)
        if "{" + place + "3}" in argument:
            argument = argument.replace("{" + place + "3}", langcodes.Language.get(code).to_alpha3())
    return argument


def _run(command: list[str], text: str) -> str:
    line = shlex.join(command)
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    except FileNotFoundError as error:
        raise InputError(
            f"{line}: no program {command[0]!r}; install it (on Debian, Apertium for English to Spanish is:"
            " apt-get install apertium-eng-spa) or give its path"
        ) from error
    except OSError as error:
        raise InputError(f"{line}: cannot be started ({error.strerror})") from error
    if done.returncode != 0:
        message = " | ".join(done.stderr.decode(errors="replace").split("\n")[-5:]).strip(" |")
        raise InputError(f"{line}: ended with status {done.returncode}" + (f": {message}" if message else ""))
    try:
        return done.stdout.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{line}: byte {error.start} of its answer is not UTF-8; make it write UTF-8") from error
