"""Names of test cases, which must be the same in every process that runs a part of them."""


def by_repr(value):
    """Return the repr of a parameter, for pytest's `ids`; None if it tells an address."""
    text = repr(value)
    return None if " at 0x" in text else text
