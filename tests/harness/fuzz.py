"""A differential fuzzer: random graphs dumped by the standard library and by fastcopyreg, for
hours.

    python tests/harness/fuzz.py [--seed N] [--seconds N] [--evil]

Each case has a seed of its own, printed when the two differ or when a process ends by a signal,
and `--seed N --cases 1` runs that case again. Exit status 1 if anything was found. The graphs,
setups and comparison are those of the property tests (tests/support), drawn by `random` instead
of Hypothesis: some hundred times as many in the same time, and none shrunk.
"""

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.child import Crash, in_child
from support.graphs import FIXED, SHELLS, build
from support.implementations import OURS, STANDARD
from support.recording import TABLES, Setup, alike, explain, record
from support.shallow import run_shallow

BATCH = 2000  # Cases of one child process.
ENOUGH = 20  # Findings after which it stops.
SIZES = [127, 128, 255, 256, 257, 21845, 65535, 65536, 70000]


def random_int(dice):
    """An integer near a border."""
    power = dice.choice([3, 7, 8, 15, 16, 31, 32, 62, 63, 64, 127, 2040, 2048])
    return dice.choice([1, -1]) * ((1 << power) + dice.randint(-2, 2))


def random_text(dice):
    """Short text of any width, surrogates too."""
    alphabet = dice.choice(["ab", "é\x80ÿ", "\u1234\ud800z", "𝒳y\n\\\0"])
    return "".join(dice.choices(alphabet, k=dice.randrange(12)))


LEAF_VALUES = {
    "none": lambda dice: None,
    "bool": lambda dice: dice.random() < 0.5,
    "int": random_int,
    "float": lambda dice: dice.choice([dice.random(), -0.0, 1e300, float("inf")]),
    "str": random_text,
    "bytes": lambda dice: dice.randbytes(dice.randrange(12)),
    "bytearray": lambda dice: dice.randbytes(dice.randrange(12)),
    "long str": lambda dice: (dice.choice("xé\u1234"), dice.choice(SIZES)),
    "long bytes": lambda dice: (b"z", dice.choice(SIZES)),
    "global": lambda dice: dice.randrange(100),
    "standard": lambda dice: dice.randrange(100),
    "subclass": lambda dice: dice.randrange(100),
    "interned": lambda dice: dice.randrange(100),
}
COMMON_LEAVES = [
    "none",
    "bool",
    "int",
    "int",
    "float",
    "str",
    "str",
    "interned",
    "bytes",
    "global",
]


def random_nodes(dice, evil):
    """The description of a graph, as support.graphs builds it."""
    count = dice.choice([1, 3, 6, 12, 30, 100])
    kinds = [*SHELLS, *FIXED, *["list", "dict", "tuple"] * 3, *["instance"] * 10]
    kinds += ["evil"] * (8 if evil else 0)
    return tuple(random_node(dice, kinds, count, first=n == 0) for n in range(count))


def random_node(dice, kinds, count, first):
    """A leaf, or a parent whose children are numbers of nodes."""
    if not first and dice.random() < 0.35:
        rare = dice.random() < 0.2
        kind = dice.choice(list(LEAF_VALUES) if rare else COMMON_LEAVES)
        return kind, LEAF_VALUES[kind](dice), ()
    length = dice.choice([0, 1, 2, 3, 5, 9])
    if dice.random() < 0.01:
        length = dice.choice([999, 1000, 1001, 2000])
    children = tuple(dice.randrange(2 * count) for _ in range(length))
    return dice.choice(kinds), dice.randrange(100), children


def random_setup(dice):
    """A way to dump."""
    protocol = dice.choice([None, 0, 1, 2, 3, 4, 5, 5])
    if dice.random() < 0.5:
        return Setup(dice.choice(["dumps", "dumps", "dump"]), protocol, dice.random() < 0.8)
    return Setup(
        dice.choice(["pickler", "subclass"]),
        protocol,
        dice.random() < 0.8,
        persistent_id=dice.choice(["", "", "method", "instance"]),
        reducer_override=dice.choice(["", "", "method"]),
        table=dice.choice(["", "", "", *TABLES]),
        table_on=dice.choice(["instance", "class"]),
        dumps=dice.choice([1, 1, 2]),
        clear=dice.random() < 0.5,
    )


def run_case(seed, evil):
    """None if both agree, else what differs."""
    dice = random.Random(seed)
    nodes, setup = random_nodes(dice, evil), random_setup(dice)
    expected = record(STANDARD, setup, lambda: build(nodes))
    actual = record(OURS, setup, lambda: build(nodes))
    return None if alike(expected, actual) else explain(expected, actual, setup)


def run_cases(first, count, evil):
    """The first seed that shows a difference, and the difference; or None."""
    for seed in range(first, first + count):
        difference = run_case(seed, evil)
        if difference is not None:
            return seed, difference
    return None


def find_crash(first, count, evil):
    """The seed of the case whose process ends by a signal, by halving."""
    while count > 1:
        half = count // 2
        if isinstance(in_child(run_shallow, run_cases, first, half, evil, seconds=600), Crash):
            count = half
        else:
            first, count = first + half, count - half
    return first


def run_batch(first, count, evil):
    """Run cases in child processes; print what was found, and return how many findings."""
    found, end = 0, first + count
    while first < end and found < ENOUGH:
        result = in_child(run_shallow, run_cases, first, end - first, evil, seconds=1200)
        if result is None:
            break
        if isinstance(result, Crash):
            result = find_crash(first, end - first, evil), result
        seed, difference = result
        print(f"seed {seed}: {difference}", flush=True)
        found, first = found + 1, seed + 1
    return found


def main(arguments=None):
    """Run until the time is over; the exit status says whether anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=None, help="first case (default: the clock)")
    parser.add_argument(
        "--cases", type=int, default=None, help="how many cases (default: --seconds)"
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long to run")
    parser.add_argument("--evil", action="store_true", help="callbacks raise, mutate and drop")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else time.time_ns() // 1000
    if options.cases is not None:
        found = run_batch(seed, options.cases, options.evil)
        print(f"{options.cases} cases from seed {seed}: {found} found")
        return 1 if found else 0
    return run_for(options.seconds, seed, options.evil)


def run_for(seconds, seed, evil):
    """Batch after batch until the time is over."""
    end, found, first = time.monotonic() + seconds, 0, seed
    while time.monotonic() < end and found < ENOUGH:
        found += run_batch(seed, BATCH, evil)
        seed += BATCH
    print(
        f"{seed - first} cases from seed {first}, Python {sys.version.split()[0]}: {found} found"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
