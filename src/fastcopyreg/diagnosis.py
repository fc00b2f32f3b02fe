"""`explain` and `check`: how objects are pickled and copied, and whether they survive it.

What finds the answers is imported when one of them is first called.
"""

__all__ = ("check", "explain")


def explain(x):
    """Say how an object, or the objects of a class, are reduced, rebuilt and copied, and why so.

    Returns an `Explanation`: readable when printed and in a notebook, plain data by ``to_dict()``.
    Given an object, what pickling, loading and copying it costs is measured as well.
    """
    from ._diagnosis.explanation import explanation_of

    return explanation_of(x)


def check(x, protocols=None, *, raise_=False):
    """Find out whether an object, or the objects of a class, survive pickling and copying.

    Of an object: its reduce value is valid, all parts can be pickled (the report says the way to
    the first that cannot: ``Order.lines[3].lock``), pickling by each of *protocols* (from 2 on,
    unless given), copying and deep copying make equal objects, and a fresh interpreter loads it.
    Of a class: its registration has effect, and a fresh interpreter can import it by name.

    Returns a `CheckReport`, which is true if there is no problem; with *raise_*, problems are
    raised as `CheckError`, an AssertionError, for use in a test suite.
    """
    from ._diagnosis.report import CheckError, report_of

    report = report_of(x, protocols)
    if raise_ and not report:
        raise CheckError(report)
    return report
