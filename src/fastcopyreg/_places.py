"""Where reducers were registered, for `explain`: the file and the line of the call.

Only registrations through fastcopyreg are noted; the standard library's `copyreg.pickle` tells
nobody.  An entry keeps neither its type nor its reducer alive.
"""

import sys
from weakref import WeakKeyDictionary

_places = WeakKeyDictionary()


def caller():
    """Return (file name, line) from where the caller of this function was called, and the module.

    All are None if that is not Python code, as in a thread that runs nothing else.
    """
    try:
        frame = sys._getframe(2)
    except ValueError:
        return None, None
    return (frame.f_code.co_filename, frame.f_lineno), frame.f_globals.get("__name__")


def note(ob_type, reducer, place):
    """Remember that *reducer* was registered for *ob_type* at *place*, if that is known."""
    # Any hashable object can be registered, to no effect.
    if isinstance(ob_type, type) and place is not None:
        _places[ob_type] = id(reducer), *place


def place_of(ob_type, reducer):
    """Return (file name, line) of the registration of *reducer* for *ob_type*; None if unknown."""
    noted, *place = _places.get(ob_type, (None,))
    return tuple(place) if noted == id(reducer) else None
