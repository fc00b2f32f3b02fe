"""For type checkers the drop-in is the standard module, whose types it has."""

from copyreg import *
from copyreg import dispatch_table as dispatch_table
