"""The pytest plug-in of fastcopyreg, found by its entry point: the fixtures of its `testing`.

It is no part of the package, so that a run which asks for neither fixture imports nothing of it.
"""

import functools

import pytest


@pytest.fixture
def race():
    """`fastcopyreg.testing.race`: is it as many times as fast as the standard library?

    A test that races is skipped where the C core is not in use; FASTCOPYREG_BACKEND=c makes its
    absence an error.
    """
    from fastcopyreg import testing

    @functools.wraps(testing.race)
    def raced(*arguments, **options):
        __tracebackhide__ = True
        try:
            return testing.race(*arguments, **options)
        except testing.CoreMissing as reason:
            pytest.skip(str(reason))

    return raced


@pytest.fixture
def assert_roundtrip():
    """`fastcopyreg.testing.assert_roundtrip`: is it pickled, loaded and copied as it should be?"""
    from fastcopyreg import testing

    return testing.assert_roundtrip
