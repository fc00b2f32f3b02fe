"""The events of one dump, in order: which hook ran, on what."""

EVENTS = []


def note(*event):
    """Record an event; hooks call this first, so that the order of calls can be compared."""
    EVENTS.append(event)


def take():
    """All events since the last call."""
    events = tuple(EVENTS)
    EVENTS.clear()
    return events
