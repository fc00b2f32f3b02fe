"""What comes of a call, in terms that can be compared: what it returns, or what it raises."""

import re


def without_addresses(text):
    return re.sub(r"0x[0-9a-f]+", "0x", text)


def outcome(function, *arguments, **keywords):
    """What a call returns, or what it raises, told by `raised`."""
    try:
        return function(*arguments, **keywords)
    except Exception as error:
        return raised(error)


def raised(error):
    """The type of an exception, its text without addresses, and its notes."""
    notes = [without_addresses(str(note)) for note in getattr(error, "__notes__", ())]
    return type(error), without_addresses(str(error)), notes
