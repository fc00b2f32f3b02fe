"""Who includes and calls whom in the C sources: what holds the rooms of csrc/ to their order.

The sources are read, not compiled: a function is what begins a line with its name and is followed
by a body, and a call is its name in the body of another.  Each file is taken with its header.
"""

import re
from collections import defaultdict

ORDER = {
    "base": 0,
    "plans": 1,
    "values": 2,
    "types": 3,
    "dump": 4,
    "load": 4,
    "copy": 4,
    "core": 5,
}

# What the grammar's own recursion calls: a part of an object is an object.
RECURSION = {"save_object", "save_slow", "save_built", "copier_copy_object"}

FUNCTION = re.compile(r"^([a-z_]\w*)\([^;{}]*\)\s*\{", re.MULTILINE)
INCLUDE = re.compile(r'^#include "(.*?)"', re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
LITERAL = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'")


def without_comments(text):
    """Return C code without comments and literals, line for line."""
    text = COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    return LITERAL.sub("0", text)


def bodies(code):
    """Return what stands inside of braces and in macros: calls, but no declarations."""
    kept, depth = [], 0
    for line in code.split("\n"):
        if line.startswith("#"):
            if depth or line.startswith("#define"):
                kept.append(line)
            continue
        if depth:
            kept.append(line)
        depth += line.count("{") - line.count("}")
    return "\n".join(kept)


class Sources:
    """The files under a folder, by their paths in it: "dump/memo.h"."""

    def __init__(self, folder):
        paths = sorted(folder.rglob("*.[ch]"))
        self.texts = {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in paths}
        self.code = {name: without_comments(text) for name, text in self.texts.items()}
        self.shared, self.own = defaultdict(set), defaultdict(set)
        for name, code in self.code.items():
            for match in FUNCTION.finditer(code):
                head = code[: match.start()].rstrip("\n").rpartition("\n")[2]
                is_own = name.endswith(".c") and ("static" in head or "INLINE" in head)
                (self.own if is_own else self.shared)[match[1]].add(name)

    def names_in_more_than_one_file(self):
        """Return the functions, with their files, that are defined in several."""
        everywhere = {n: self.shared[n] | self.own[n] for n in {*self.shared, *self.own}}
        return {n: sorted(files) for n, files in sorted(everywhere.items()) if len(files) > 1}

    def includes(self):
        """Return pairs of a file and what it includes, both without their ending."""
        return {
            (stem(f), stem(g)) for f, code in self.texts.items() for g in INCLUDE.findall(code)
        }

    def calls(self):
        """Return who calls whom, as {caller: {callee: names}}, less the grammar's recursion."""
        found = defaultdict(lambda: defaultdict(set))
        for name, code in self.code.items():
            for word in set(re.findall(r"\b[a-z_]\w*\b", bodies(code))) - RECURSION:
                if name in self.own.get(word, ()):
                    continue
                for owner in self.shared.get(word, ()):
                    if stem(owner) != stem(name):
                        found[stem(name)][stem(owner)].add(word)
        return found


def stem(name):
    return name.rpartition(".")[0]


def room_of(name):
    return name.partition("/")[0]


def is_upward(caller, callee):
    """Whether a use goes against the order of the rooms, or across, or into no room at all."""
    a, b = room_of(caller), room_of(callee)
    return a not in ORDER or b not in ORDER or (a != b and ORDER[a] <= ORDER[b])


def upward(sources):
    """Return what goes against the order of the rooms, worded for people."""
    found = [f"{a} includes {b}" for a, b in sources.includes() if is_upward(a, b)]
    for caller, callees in sources.calls().items():
        for callee, names in callees.items():
            if is_upward(caller, callee):
                found.append(f"{caller} calls {', '.join(sorted(names))} of {callee}")
    return sorted(found)


def circles(sources):
    """Return the groups of files that call one another in a circle."""
    return circles_in(sources.calls())


def circles_in(calls):
    """Return the groups in which everybody is reached from everybody, given who calls whom."""

    def reached(start):
        seen, waiting = set(), [start]
        while waiting:
            for callee in calls.get(waiting.pop(), ()):
                if callee not in seen:
                    seen.add(callee)
                    waiting.append(callee)
        return seen

    reach = {caller: reached(caller) for caller in list(calls)}
    groups = {
        frozenset(b for b in reach[a] if a in reach.get(b, ())) for a in reach if a in reach[a]
    }
    return sorted(sorted(group) for group in groups)
