"""The standard library's originals, taken once, before anything is swapped.

Whoever needs what ``pickle``, ``_pickle``, ``copyreg`` or ``copy`` had before ``install()`` takes
it from here: the drop-ins, the fallback, the racer, the tests.  `PICKLE`, `C_PICKLE`, `COPYREG`
and `COPY` are read-only snapshots of those modules' names; what every caller wants is spelled out
below them.
"""

import copy as std_copy
import copyreg as std_copyreg
import pickle as std_pickle
from types import MappingProxyType, ModuleType

try:
    import _pickle as std_c_pickle
except ImportError:  # PyPy has no C pickle.
    std_c_pickle = None

# What the import system writes into a module, to say which module it is: no drop-in takes these.
MODULE_ATTRIBUTES = frozenset(vars(ModuleType("empty"))) | {
    "__file__",
    "__cached__",
    "__builtins__",
}


def snapshot(module):
    """Return the names of *module*, but for its own identity, as a read-only mapping.

    The values are read from the module's dict, so that nothing lazy is imported by looking.
    """
    names = {} if module is None else vars(module)
    return MappingProxyType({k: v for k, v in names.items() if k not in MODULE_ATTRIBUTES})


PICKLE = snapshot(std_pickle)
C_PICKLE = snapshot(std_c_pickle)
COPYREG = snapshot(std_copyreg)
COPY = snapshot(std_copy)

Pickler, Unpickler = std_pickle.Pickler, std_pickle.Unpickler
dump, dumps = std_pickle.dump, std_pickle.dumps
load, loads = std_pickle.load, std_pickle.loads

copy, deepcopy = std_copy.copy, std_copy.deepcopy
replace = COPY.get("replace")  # None before 3.13.

register_reducer, register_constructor = std_copyreg.pickle, std_copyreg.constructor
dispatch_table = std_copyreg.dispatch_table
