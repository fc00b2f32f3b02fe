"""What a process holds, and what an operation adds to it.

References are counted by debug builds only (`sys.gettotalrefcount`). Blocks are the small
allocations of Python's allocator. Bytes are what tracemalloc traces: every allocation by the
`PyMem` functions, large ones too, which is where tables and buffers are.
"""

import gc
import itertools
import sys
import tracemalloc
import typing

SMALLEST = 32  # bytes of the smallest allocation that only tracemalloc sees
HAS_REFERENCES = hasattr(sys, "gettotalrefcount")


class Held(typing.NamedTuple):
    """What the process holds, or how much more it holds than before."""

    references: int
    blocks: int
    size: int

    def __sub__(self, other):
        return Held(*(mine - its for mine, its in zip(self, other, strict=True)))

    def __str__(self):
        references = f"{self.references:+} references, " if HAS_REFERENCES else ""
        return f"{references}{self.blocks:+} blocks, {self.size:+} bytes"

    def is_leak(self, at_least=1):
        """Whether this is more than noise: so many references, blocks or small allocations."""
        return (
            self.references >= at_least
            or self.blocks >= at_least
            or self.size >= SMALLEST * at_least
        )


# The interpreter's cache of attribute look-ups keeps some thousands of the names looked up.
clear_caches = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache


def held():
    """What the process holds now, garbage collected and the interpreter's caches emptied first."""
    clear_caches()
    gc.collect()
    references = sys.gettotalrefcount() if HAS_REFERENCES else 0
    return Held(references, sys.getallocatedblocks(), tracemalloc.get_traced_memory()[0])


def growth(call, repeat):
    """What so many calls leave behind, less what a measurement itself keeps."""
    call()  # an exception makes frame objects of the callers' frames, once
    first = held()
    second = held()
    for _ in itertools.repeat(None, repeat):  # a number would be held, and counted
        call()
    return (held() - second) - (second - first)


def judged_by():
    """The measures that this interpreter has, in words."""
    if HAS_REFERENCES:
        return "references, blocks and bytes"
    return "blocks and bytes (a release build counts no references)"
