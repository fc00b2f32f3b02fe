"""For type checkers the drop-in is the standard module, whose types it has."""

from pickle import *
from pickle import __all__ as __all__
from pickle import _Pickler as _Pickler
from pickle import _Unpickler as _Unpickler
