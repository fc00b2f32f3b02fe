"""Imported by one test, which drops it from sys.modules and looks who imports it again."""


class Held:
    """A class that is another one after the module was imported again."""
