"""For type checkers the drop-in is the standard module, whose types it has."""

from copy import *
from copy import __all__ as __all__
from copy import error as error
