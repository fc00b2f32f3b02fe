"""MODULE:NAME, as the command line takes it."""

import importlib


class NotFound(LookupError):
    """There is nothing of that name; the message says how far it was found."""


def imported(name):
    """Return what *name*, ``MODULE:NAME``, means; raise `NotFound` if it means nothing.

    The module is imported; what that raises, other than ImportError, is raised.
    """
    module_name, colon, qualified_name = name.partition(":")
    if not (module_name and colon and qualified_name):
        raise NotFound(f"{name!r} is not of the form MODULE:NAME, package.module:Class")
    try:
        found = importlib.import_module(module_name)
    except ImportError as error:
        raise NotFound(f"cannot import {module_name}: {error}") from error
    for part in qualified_name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise NotFound(str(error)) from error
    return found
