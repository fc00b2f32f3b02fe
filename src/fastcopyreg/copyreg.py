"""``copyreg``: every name of the running version's module, on its own tables.

``dispatch_table``, the extension registry and the reduction functions are the standard library's
objects.  Only `pickle` and `constructor` are new: they do what the originals do, and remember the
constructors that those forget (see ``fastcopyreg.registered_constructors``).

PYTEST_DONT_REWRITE: it has these names and no others, also under pytest.
"""

from . import _constructors, _places, _stdlib

globals().update(_stdlib.COPYREG)


def pickle(ob_type, pickle_function, constructor_ob=None):
    """Register *pickle_function* as the reducer of objects whose type is exactly *ob_type*.

    *constructor_ob*, if it is not None, is remembered as a safe constructor.  Raises TypeError if
    *pickle_function* or *constructor_ob* is not callable.  The reducer goes into
    ``copyreg.dispatch_table``, where the standard library's ``pickle`` and ``copy`` find it too.
    """
    if callable(pickle_function) and callable(constructor_ob):
        # Before the reducer: what is in the table is complete, also in a child forked meanwhile.
        _constructors.remember(constructor_ob)
    _stdlib.register_reducer(ob_type, pickle_function, constructor_ob)
    _places.note(ob_type, pickle_function, _places.caller()[0])


def constructor(object):
    """Remember *object* as a safe constructor; raise TypeError if it is not callable."""
    _stdlib.register_constructor(object)
    _constructors.remember(object)
