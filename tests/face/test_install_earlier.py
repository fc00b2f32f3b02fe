"""What modules took before `install()` and keep elsewhere than in a global; and what finding it
costs.
"""

import functools
import gc
import os
import pickle
import subprocess
import sys
import textwrap
import types

import pytest

import fastcopyreg
from fastcopyreg import _holders, _stdlib
from fastcopyreg.install import Substitutes
from support.folders import TESTS

requires_core = pytest.mark.skipif(
    fastcopyreg.backend != "c", reason="the Python backend has nothing to install"
)


@pytest.fixture
def library():
    """Make a module that is loaded as `library` from its source; it is gone afterwards."""
    made = []

    def make(source, name="library"):
        module = sys.modules[name] = types.ModuleType(name)
        made.append(name)
        exec(textwrap.dedent(source), vars(module))
        return module

    yield make
    for name in made:
        sys.modules.pop(name, None)


def run(script, *options):
    environment = dict(os.environ, PYTHONPATH=str(TESTS), PYTHONSAFEPATH="1")
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", textwrap.dedent(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# Each: the source of a library, an expression for what it uses, and the place as reported.
TAKEN = {
    "default": (
        "def load(data, loads=pickle.loads): return loads(data)",
        "library.load.__defaults__[0]",
        "library.load(loads=)",
    ),
    "later default": (
        "def load(data, a=1, loads=pickle.loads, b=2): return loads(data)",
        "library.load.__defaults__[1]",
        "library.load(loads=)",
    ),
    "keyword-only default": (
        "def load(data, *, loads=pickle.loads): return loads(data)",
        "library.load.__kwdefaults__['loads']",
        "library.load(loads=)",
    ),
    "default of a function in a container": (
        """
        def load(data, loads=pickle.loads): return loads(data)
        REGISTRY = {"pickle": [load]}
        del load
        """,
        "library.REGISTRY['pickle'][0].__defaults__[0]",
        "library.load(loads=)",
    ),
    "closure": (
        """
        def make():
            loads = pickle.loads
            return lambda data: loads(data)
        load = make()
        """,
        "library.load.__closure__[0].cell_contents",
        "library.make.<locals>.<lambda>.<closure>.loads",
    ),
    "partial": (
        "load = functools.partial(pickle.loads, encoding='bytes')",
        "library.load.func",
        "functools.partial(_pickle.loads).func",
    ),
    "argument of a partial": (
        """
        def call(function, data): return function(data)
        load = functools.partial(call, pickle.loads)
        """,
        "library.load.args[0]",
        "functools.partial(library.call).args[0]",
    ),
    "keyword of a partial": (
        """
        def call(data, function): return function(data)
        load = functools.partial(call, function=pickle.loads)
        """,
        "library.load.keywords['function']",
        "functools.partial(library.call).keywords['function']",
    ),
    "class attribute": (
        """
        class Codec:
            loads = pickle.loads
        """,
        "library.Codec.loads",
        "library.Codec.loads",
    ),
    "static method": (
        """
        class Codec:
            loads = staticmethod(pickle.loads)
        """,
        "vars(library.Codec)['loads'].__func__",
        "library.Codec.loads",
    ),
    "class method": (
        """
        class Codec:
            loads = classmethod(pickle.loads)
        """,
        "vars(library.Codec)['loads'].__func__",
        "library.Codec.loads",
    ),
    "class made in a function": (
        """
        def make():
            class Codec:
                loads = pickle.loads
            return Codec
        codec = [make()]
        """,
        "library.codec[0].loads",
        "library.make.<locals>.Codec.loads",
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_was_taken_is_replaced_and_restored(swap, library, name):
    source, expression, place = TAKEN[name]
    made = library("import functools, pickle\n" + textwrap.dedent(source))

    def used():
        return eval(expression, {"library": made})

    assert used() is _stdlib.loads
    swap.install()
    assert used() is swap.ours.loads
    assert place in swap.replaced
    swap.uninstall()
    assert used() is _stdlib.loads


@pytest.mark.parametrize("name", TAKEN)
def test_what_was_changed_meanwhile_is_not_restored(swap, library, name):
    source, expression, _ = TAKEN[name]
    made = library("import functools, pickle\n" + textwrap.dedent(source))
    swap.install()
    for holder in _holders.holders(Substitutes([(swap.ours.loads, len)])):
        for found in [
            key for key, value in holder.namespace().items() if value is swap.ours.loads
        ]:
            if "library" in holder.place(found) or isinstance(holder, _holders.PartialHolder):
                holder.set(found, len)
    assert eval(expression, {"library": made}) is len
    swap.uninstall()
    assert eval(expression, {"library": made}) is len


def test_many_methods(swap, library):
    """More than the core looks for at once, and a class that has it in more ways than one."""
    made = library("""
        import pickle
        classes = [
            type(f"Codec{i}", (), {"loads": staticmethod(pickle.loads), "load": pickle.loads})
            for i in range(150)
        ]
    """)
    swap.install()
    for cls in made.classes:
        assert cls.load is cls.loads is swap.ours.loads
    swap.uninstall()
    for cls in made.classes:
        assert cls.load is cls.loads is _stdlib.loads


def test_a_class_as_a_default_is_left_where_a_subclass_was_made(swap, library):
    """Its module may call the class with an instance of that subclass."""
    made = library("""
        import pickle
        class Mine(pickle.Pickler):
            base = pickle.Pickler
            def dump(self, obj, base=pickle.Pickler):
                return base.dump(self, obj)
    """)
    swap.install()
    assert made.Mine.dump.__defaults__[0] is made.Mine.base is _stdlib.Pickler
    reported = dict(swap.unreachable)
    assert reported["library.Mine.dump(base=)"] == "its module has made a subclass of it"
    assert reported["library.Mine.base"] == "its module has made a subclass of it"
    assert not any("Mine" in place for place in swap.replaced)


def test_a_partial_keeps_what_else_it_has(swap, library):
    made = library("""
        import functools, pickle
        load = functools.partial(pickle.loads, b"N.", encoding="bytes")
        load.note = "mine"
    """)
    swap.install()
    assert (made.load.args, made.load.keywords) == ((b"N.",), {"encoding": "bytes"})
    assert made.load.note == "mine"
    assert made.load() is None


def test_functions_of_copy_itself_keep_theirs(swap):
    """The standard library's deepcopy goes on working as it was."""
    before = {
        name: value.__defaults__
        for name, value in _stdlib.COPY.items()
        if type(value) is types.FunctionType
    }
    assert any(_stdlib.deepcopy in (defaults or ()) for defaults in before.values())
    swap.install()
    for name, defaults in before.items():
        assert _stdlib.COPY[name].__defaults__ is defaults


def test_a_class_that_cannot_be_changed_is_reported(swap, monkeypatch):
    class Fixed:
        loads = pickle.loads

    from fastcopyreg import install

    machinery = sys.modules["fastcopyreg.install"]
    assert install is machinery.install
    inner = machinery.ClassHolder.set

    def refusing(self, name, value):
        if self.label.endswith("Fixed"):
            raise TypeError("immutable type")
        inner(self, name, value)

    monkeypatch.setattr(machinery.ClassHolder, "set", refusing)
    swap.install()
    place = f"{__name__}.{Fixed.__qualname__}.loads"
    assert dict(swap.unreachable)[place] == "it cannot be changed"
    assert place not in swap.replaced


def test_a_serializer_like_that_of_kombu(swap, library):
    """It keeps `pickle.load` as a default argument of a function that only a registry has."""
    made = library("""
        import pickle
        from io import BytesIO

        pickle_load = pickle.load

        class Registry:
            def __init__(self):
                self.decoders = {}

        registry = Registry()

        def pickle_loads(s, load=pickle_load):
            return load(BytesIO(s))

        def register_pickle():
            def pickle_dumps(obj, dumper=pickle.dumps):
                return dumper(obj, protocol=4)
            registry.decoders["pickle"] = pickle_dumps, pickle_loads

        register_pickle()
    """)
    swap.install()
    dumps, loads = made.registry.decoders["pickle"]
    assert dumps.__defaults__ == (swap.ours.dumps,)
    assert loads.__defaults__ == (swap.ours.load,)
    assert loads(dumps([1])) == [1]
    assert {"library.pickle_load", "library.pickle_loads(load=)"} <= set(swap.replaced)
    swap.uninstall()
    assert (dumps.__defaults__, loads.__defaults__) == ((_stdlib.dumps,), (_stdlib.load,))


# --- what cannot be replaced is named

# Each: the source of a library, and the places where it holds what is left as it is.
HELD = {
    "dict": ("CODECS = {'pickle': [(pickle.dumps, 1)]}", ["CODECS['pickle'][0][0]"]),
    "two": ("CODECS = {3: (copy.copy, pickle.loads)}", ["CODECS[3][0]", "CODECS[3][1]"]),
    "key": ("KEYED = {pickle.dumps: 1}", ["KEYED"]),
    "other keys": ("CODECS = {(1, 2): pickle.dumps}", ["CODECS[<tuple>]"]),
    "frozenset": ("CODECS = [frozenset([pickle.dumps])]", ["CODECS[0]"]),
    "deque": ("codecs = collections.deque([pickle.dumps])", ["codecs"]),
    "default_factory": ("made = collections.defaultdict(copy.copy)", ["made.default_factory"]),
    "instance": ("codec = Codec(pickle.loads)", ["codec.loads"]),
    "instance with its dict": ("codec = Codec(pickle.loads); vars(codec)", ["codec.loads"]),
    "slots": ("codec = Slotted(); codec.loads = pickle.loads", ["codec.loads"]),
    "dict with attributes": (
        "class Sub(dict): pass\nsub = Sub(a=pickle.dumps)\nsub.b = pickle.loads",
        ["sub['a']", "sub.b"],
    ),
    "instance that cannot be asked": (
        """
        class Mute:
            def __getattribute__(self, name): raise AssertionError(name)
            __eq__ = __hash__ = __repr__ = __iter__ = __getattribute__
        mute = Mute()
        object.__getattribute__(mute, "__dict__")["loads"] = pickle.loads
        """,
        ["mute.loads"],
    ),
    "cache": ("cached = functools.lru_cache(pickle.dumps)", ["cached.__wrapped__"]),
    "registry of singledispatch": (
        "single = functools.singledispatch(pickle.dumps)",
        ["single.__wrapped__", "single.registry[<type>]"],
    ),
    "bound method": ("bound = types.MethodType(pickle.dumps, 3)", ["bound.__func__"]),
    "property": ("class Codec:\n    data = property(pickle.dumps)", ["Codec.data.fget"]),
    "cached_property": (
        "class Codec:\n    data = functools.cached_property(copy.copy)",
        ["Codec.data.func"],
    ),
    "partialmethod": (
        "class Codec:\n    dumps = functools.partialmethod(pickle.dumps)",
        ["Codec.dumps.func"],
    ),
    "default_factory of a field": (
        """
        @dataclasses.dataclass
        class Codec:
            made: object = dataclasses.field(default_factory=pickle.Pickler)
        """,
        ["Codec.__dataclass_fields__['made'].default_factory"],
    ),
    "container of a class": ("class Codec:\n    codecs = {1: copy.copy}", ["Codec.codecs[1]"]),
    "attribute of a function": ("def f(): pass\nf.dumps = pickle.dumps", ["f.dumps"]),
    "container as a default": (
        "def f(codecs={1: copy.copy}): return codecs",
        ["f.__defaults__[0][1]"],
    ),
    "methodcaller": ("call = operator.methodcaller('x', pickle.dumps)", ["call[0]"]),
    "iterator": ("mapped = map(pickle.loads, [])", ["mapped"]),
    "context variable": (
        "var = contextvars.ContextVar('var', default=pickle.loads)",
        ["var"],
    ),
    "generator": (
        "def codecs(dumps):\n    yield dumps\nrunning = codecs(pickle.dumps)\nnext(running)",
        ["running"],
    ),
}
LIBRARY = """
import collections, contextvars, copy, dataclasses, functools, operator, pickle, types

class Codec:
    def __init__(self, loads): self.loads = loads

class Slotted:
    __slots__ = ("loads",)
"""


def test_what_is_held_elsewhere_is_named(swap, library):
    """All of it in one look, since that goes through every object of the process."""
    # Names of their own: objects of others may wait for the collector.
    own = [f"held_{index}_{swap.kind.replace('-', '_')}" for index in range(len(HELD))]
    made = [
        library(LIBRARY + textwrap.dedent(source), name)
        for name, (source, _) in zip(own, HELD.values(), strict=True)
    ]
    before = [dict(vars(module)) for module in made]
    swap.install()
    found = dict(swap.held_elsewhere())
    for name, (_, places) in zip(own, HELD.values(), strict=True):
        named = [place for place in found if place.startswith(f"{name}.")]
        assert sorted(named) == sorted(f"{name}.{place}" for place in places)
        assert all(found[place].endswith(" holds it") for place in named)
    swap.uninstall()
    for module, names in zip(made, before, strict=True):
        assert all(vars(module)[key] is value for key, value in names.items())


def test_what_is_replaced_is_not_named(swap, library):
    """Nor are annotations, and what is held weakly."""
    source = "\n".join(textwrap.dedent(source) for source, _, _ in TAKEN.values())
    library(
        "import functools, pickle, weakref\n"
        f"{source}\n"
        "def annotated(x: pickle.Pickler, y: [pickle.Unpickler] = 0): pass\n"
        "class Annotated:\n    x: pickle.Pickler\n"
        "watched = weakref.ref(pickle.Pickler)\n",
        own := f"nothing_held_{swap.kind.replace('-', '_')}",
    )
    swap.install()
    assert [place for place, _ in swap.held_elsewhere() if place.startswith(own)] == []


@requires_core
@pytest.mark.parametrize(
    "imported",
    [
        "pickle",
        "multiprocessing.pool, multiprocessing.managers, concurrent.futures.process",
        "fastcopyreg.safe, fastcopyreg.reducers, fastcopyreg.compiler, fastcopyreg.bench",
        "logging.config, email, shelve, sqlite3, unittest.mock, asyncio",
    ],
)
def test_where_nobody_holds_anything_nothing_is_named(imported):
    out = run(f"""
        import copy, {imported}
        import fastcopyreg
        for _ in range(2):
            print(fastcopyreg.install().unreachable)
            fastcopyreg.uninstall()
    """)
    assert out == "()\n()\n"


@requires_core
def test_who_reads_the_report_pays_for_it():
    """The search is made once, when it is wanted; the report travels without it."""
    run("""
        import pickle, sys
        import fastcopyreg
        CODECS = {"pickle": pickle.dumps}
        report = fastcopyreg.install()
        assert "fastcopyreg._elsewhere" not in sys.modules
        from fastcopyreg import _elsewhere
        asked = []
        find = _elsewhere.find
        _elsewhere.find = lambda *given: asked.append(1) or find(*given)
        expected = (("__main__.CODECS['pickle']", "a dict holds it"),)
        assert report.unreachable == expected, report.unreachable
        assert report.unreachable == expected and asked == [1]
        assert str(report).endswith("__main__.CODECS['pickle']: a dict holds it")
        fastcopyreg.uninstall()
        assert report.unreachable == expected
        later = fastcopyreg.install()
        fastcopyreg.uninstall()
        assert later.unreachable == () and asked == [1]
        fastcopyreg.install()
        other = pickle.loads(pickle.dumps(fastcopyreg.install()))
        assert (other.unreachable, other.replaced) == (expected, report.replaced)
    """)


# --- what it costs


def test_nothing_else_is_imported():
    """Not by the import, nor by `install()`; what the core needs later comes when it does."""
    out = run(
        """
        import copy, pickle, sys
        before = set(sys.modules)
        import fastcopyreg
        fastcopyreg.install()
        print(*sorted(set(sys.modules) - before))
        """,
        "-I",
    )
    others = {name for name in out.split() if name.partition(".")[0] != "fastcopyreg"}
    assert others <= {"collections.abc", *sys.builtin_module_names}
    needed = {"_backend", "_constructors", "_places", "_stdlib", "copy", "copyreg", "install"}
    needed |= {"pickle", "registration", "diagnosis", "_fallback", "_core", "_holders"}
    assert {name.partition(".")[2] for name in set(out.split()) - others} - {""} <= needed


def calls_of_install():
    """How many functions are called, in Python and in C, by a second install()."""
    out = run("""
        import multiprocessing.reduction, sys, types
        import fastcopyreg

        def calls():
            fastcopyreg.install()
            fastcopyreg.uninstall()
            count = 0
            def see(frame, event, argument):
                nonlocal count
                count += event in ("call", "c_call")
            sys.setprofile(see)
            fastcopyreg.install()
            sys.setprofile(None)
            fastcopyreg.uninstall()
            return count

        def add(modules, names):
            for i in range(modules):
                made = sys.modules[f"made_{names}_{i}"] = types.ModuleType("made")
                vars(made).update({f"name_{j}": object() for j in range(names)})

        print(calls())
        add(1, 10_000)
        print(calls())
        add(100, 1)
        print(calls())
    """)
    return map(int, out.split())


@requires_core
def test_names_cost_no_call():
    """The modules are gone through in Python, their names in C."""
    few, many_names, many_modules = calls_of_install()
    assert many_names - few < 20
    assert many_modules - many_names < 100 * 6


@requires_core
@pytest.mark.skipif(sys.version_info < (3, 14), reason="there the objects are always looked at")
@pytest.mark.skipif(not _holders._COUNTED, reason="references are not counted here")
@pytest.mark.parametrize(
    "before",
    [
        pytest.param("import pickle", id="pickle"),
        pytest.param("import multiprocessing.pool, concurrent.futures.process", id="pools"),
        pytest.param("import email, shelve", id="email"),
        # What a module in C keeps to itself, and names that a module with a subclass keeps.
        pytest.param("import xml.etree.ElementTree, _elementtree", id="a module in C"),
        pytest.param("from pickle import Pickler; A = type('A', (Pickler,), {})", id="a subclass"),
        pytest.param(
            "import pickle; A = type('A', (pickle.Pickler,), {}); B = type('B', A.__bases__, {})",
            id="subclasses with the same bases",
        ),
        pytest.param(
            "from multiprocessing.reduction import ForkingPickler\nclass A(ForkingPickler): pass",
            id="a subclass of ForkingPickler",
        ),
    ],
)
def test_objects_are_looked_at_only_if_somebody_took_something(before):
    before = textwrap.indent(before, " " * 8).lstrip()
    run(f"""
        {before}
        import copy, pickle
        import fastcopyreg
        from fastcopyreg import _holders

        looked = []
        find = _holders._find_holders
        _holders._find_holders = lambda *given: looked.append(1) or find(*given)
        for _ in range(2):
            fastcopyreg.install()
            assert not looked, "nobody has taken anything"
            fastcopyreg.uninstall()

        for original in (pickle.Pickler, pickle.dumps, copy.deepcopy):
            holder = [original]
            fastcopyreg.install()
            assert looked, original
            fastcopyreg.uninstall()
            looked.clear()
    """)


@requires_core
@pytest.mark.alone
def test_looking_at_all_objects_costs_no_more_than_the_collectors_own():
    """In a process with many functions and classes; the collector asks each for all it has."""
    run("""
        import gc, pickle, sys, time, types
        import fastcopyreg

        methods = "".join(f"    def m{i}(self): pass\\n" for i in range(7))
        functions = "".join(f"def f{i}(x=1): return x\\n" for i in range(15))
        code = compile(f"class A:\\n{methods}\\n{functions}", "made", "exec")
        for i in range(1000):
            made = sys.modules[f"made_{i}"] = types.ModuleType(f"made_{i}")
            exec(code, vars(made))
        made.f0.__defaults__ = pickle.loads,

        def seconds(function):
            begun = time.process_time()
            function()
            return time.process_time() - begun

        ours, theirs = [], []
        for _ in range(15):
            ours.append(seconds(fastcopyreg.install))
            assert made.f0.__defaults__[0] is fastcopyreg.pickle.loads
            fastcopyreg.uninstall()
            theirs.append(seconds(lambda: gc.get_referrers(made)))
        assert sorted(ours)[5] < 2.5 * sorted(theirs)[5], (ours, theirs)
    """)


@requires_core
def test_what_is_looked_for_and_among_what():
    core = fastcopyreg._backend.core
    wanted = object()
    module = types.ModuleType("made")
    module.c = wanted
    found = core.find_names([{"a": wanted, "b": 1}, None, 3, {}, {2: wanted}, module], (wanted,))
    assert found == [(0, "a", wanted), (4, 2, wanted), (5, "c", wanted)]
    for arguments in ((), ([],), ((), ()), ([], []), ([], (), ()), ([], (wanted,) * 65)):
        with pytest.raises(TypeError):
            core.find_names(*arguments)
        with pytest.raises(TypeError):
            core.find_holders(*arguments)
    many = tuple(object() for _ in range(64))
    names = dict(enumerate([*many, *map(str, range(200))]))
    assert [value for _, _, value in core.find_names([names], many)] == list(many)


@requires_core
def test_holders_are_those_that_hold():
    wanted = object()

    def default(x=wanted):
        pass

    def keyword(*, x=wanted):
        pass

    def closure():
        return wanted

    def nothing(x=1, *, y=2):
        return textwrap

    class Attribute:
        x = wanted

    class Static:
        x = staticmethod(wanted)
        y = classmethod(wanted)

    class Nothing:
        y = 1

    def empty():
        return later

    class Derived(functools.partial):
        pass

    made = [default, keyword, closure, Attribute, functools.partial(default, wanted)]
    made += [functools.partial(print, x=wanted), Derived(print, wanted)]
    # A class is found by its method.
    made += [vars(Static)["x"], vars(Static)["y"]]
    others = [nothing, Nothing, empty, functools.partial(print, 1), 3, [wanted], (wanted,)]
    others += [Static, staticmethod(print), classmethod(print)]
    found = fastcopyreg._backend.core.find_holders([*made, *others], (wanted,))
    assert len(found) == len(made)
    assert all(a is b for a, b in zip(found, made, strict=True))
    if _holders._VISITS:
        everywhere = fastcopyreg._backend.core.find_holders(None, (wanted,))
        assert set(map(id, everywhere)) == set(map(id, made))
    later = 1
    assert empty() == later


def test_no_references_are_lost(swap):
    """Installing and uninstalling leaves the originals with as many references as before."""
    if not _holders._COUNTED:
        pytest.skip("references are not counted here")
    swap.install()
    swap.uninstall()
    gc.collect()
    before = [sys.getrefcount(_stdlib.PICKLE[name]) for name in ("dumps", "loads", "load")]
    for _ in range(3):
        swap.install()
        swap.uninstall()
    gc.collect()
    after = [sys.getrefcount(_stdlib.PICKLE[name]) for name in ("dumps", "loads", "load")]
    assert after == before


@requires_core
@pytest.mark.parametrize("held", ["a closure", "nowhere"])
def test_classes_derived_before_go_on_working(held):
    """What `super()` means in a method of a class that is replaced is that class."""
    run(
        f"""
        import io, pickle
        from multiprocessing import reduction

        def holding():
            cls = reduction.ForkingPickler
            return lambda: cls

        class Derived(reduction.ForkingPickler):
            def __init__(self, *args):
                super().__init__(*args)

        holder = holding() if {held == "a closure"} else None
        classes = [reduction.ForkingPickler, Derived]
        import fastcopyreg

        def dumped():
            for cls in (*classes, reduction.ForkingPickler):
                file = io.BytesIO()
                cls(file, 5).dump([cls.__name__])
                assert pickle.loads(file.getvalue()) == [cls.__name__]

        dumped()
        report = fastcopyreg.install()
        assert classes[0] is not reduction.ForkingPickler
        assert not [place for place in report.replaced if place.endswith("<closure>.__class__")]
        dumped()
        fastcopyreg.uninstall()
        assert classes[0] is reduction.ForkingPickler
        dumped()
        """
    )
