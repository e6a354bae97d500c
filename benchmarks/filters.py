"""What the checks of rows drop of human translations, which is nearly all by mistake, and of text with a wrong label.

    python benchmarks/filters.py ../shared/data

The folder has ``mlqa/MLQA_V1/dev`` and ``afriqa/gold_passages``. Needs the extra ``langid``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

from clearir.data.filters import FilterSettings, filter_rows, language_check
from clearir.data.rows import Row
from clearir.data.sources import read

#: language of the text -> what it is said to be
MISLABELLED = (("es", "sw"), ("ar", "sw"), ("es", "pt"), ("de", "nl"), ("zu", "sw"), ("ig", "yo"))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    mlqa = [row for row in read("squad", folder / "mlqa" / "MLQA_V1" / "dev") if row.target_query is not None]
    afriqa: list[Row] = []
    for part in ("train", "dev"):
        afriqa += read("afriqa", folder / "afriqa" / "gold_passages", split=part, on_bad="skip")
    rows = mlqa + afriqa
    print(f"{len(rows):,} human translations")
    for name, settings in (("default", FilterSettings()), ("with numbers", FilterSettings(numbers=True))):
        dropped = filter_rows(rows, settings).dropped
        print(name, {reason: one.count for reason, one in dropped.items()})
    wrong = language_check(FilterSettings().language_confidence)
    print("wrong language:", dict(Counter(row.language for row in rows if wrong(row))))
    for spoken, said in MISLABELLED:
        texts = [replace(row, language=said) for row in rows if row.language == spoken]
        print(f"{spoken} said to be {said}: {sum(wrong(row) is not None for row in texts)} of {len(texts)} dropped")


if __name__ == "__main__":
    main()
