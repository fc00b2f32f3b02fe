"""Where reducers were registered, for `explain`: the file and the line of the call.

Only registrations through fastcopyreg are noted; the standard library's `copyreg.pickle` tells
nobody.  An entry keeps neither its type nor its reducer alive.
"""

from weakref import WeakKeyDictionary

_places = WeakKeyDictionary()


def note(ob_type, reducer, file_name, line):
    """Remember that *reducer* was registered for *ob_type* on this line."""
    _places[ob_type] = id(reducer), file_name, line


def place_of(ob_type, reducer):
    """Return (file name, line) of the registration of *reducer* for *ob_type*; None if unknown."""
    noted, *place = _places.get(ob_type, (None,))
    return tuple(place) if noted == id(reducer) else None
