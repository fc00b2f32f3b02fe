"""What hooks do to upset whoever calls them: to the graph that is copied, its classes, copy's
tables, the memo, the collector, the interpreter.

Each is called with the run (support.hooked), the hook's object, and the memo if the hook has it.
"""

import collections
import contextlib
import copy as std_copy
import copyreg
import gc
import sys
import types

from support.hooked import (
    ANY_METHOD,
    DISPATCHED,
    FIELDS,
    REDUCERS,
    SPECIAL,
    Current,
    Fault,
    hook,
)  # fmt: skip

TOOL = 3
"""The monitoring tool that hooks use."""


def alter_container(run, obj, memo):
    target, other, how = run.some_node(), run.some_node(), run.dice.randrange(6)
    with contextlib.suppress(TypeError, KeyError, IndexError, AttributeError, ValueError):
        if isinstance(target, list):
            alter_list(target, other, how)
        elif isinstance(target, dict):
            alter_dict(target, other, how)
        elif isinstance(target, (set, collections.deque)):
            target.clear() if how < 2 else target.pop() if how < 4 else target.add(how)
        else:
            alter_fields(target, other, how, run.dice.choice(FIELDS))


def alter_list(target, other, how):
    if how == 0:
        list.clear(target)
    elif how == 1:
        list.pop(target)
    elif how == 2:
        list.insert(target, 0, other)
    elif how == 3:
        target[:] = [other] * 20
    else:
        list.append(target, other)


def alter_dict(target, other, how):
    if how == 0:
        dict.clear(target)
    elif how == 1:
        dict.popitem(target)
    elif how == 2:
        for key in list(dict.keys(target)):
            dict.__setitem__(target, key, other)
    elif how == 3:
        key = next(iter(dict.keys(target)))
        value = dict.pop(target, key)
        dict.__setitem__(target, key, value)
    else:
        dict.__setitem__(target, f"new {how}", other)


def alter_fields(target, other, how, name):
    if how == 0:
        object.__delattr__(target, name)
    elif how == 1:
        target.__dict__ = {"a": other, "d": 5}
    elif how == 2:
        target.__dict__.clear()
    elif how == 3:
        Current.run.kept.append(target.__dict__)
    elif how == 4:
        target.__dict__[name] = other
    else:
        object.__setattr__(target, name, other)


def alter_type_of(run, obj, memo):
    target, cls = run.some_node(), run.some_class()
    with contextlib.suppress(TypeError, AttributeError):
        target.__class__ = cls


def swap_method(run, obj, memo):
    cls, other = run.some_class(), run.some_class()
    name = run.dice.choice(SPECIAL)
    if run.dice.random() < 0.5:
        value = other.__dict__.get(name, run.dice.choice([None, ANY_METHOD.get(name)]))
        if value is not None or name in ("__deepcopy__", "__copy__"):
            with contextlib.suppress(TypeError, AttributeError):
                setattr(cls, name, value)
    else:
        with contextlib.suppress(AttributeError, TypeError):
            delattr(cls, name)


def spoil_field(run, obj, memo):
    cls, name = run.some_class(), run.dice.choice(FIELDS)
    value = run.dice.choice([property(lambda self: hook("property", self)), 5, None])
    with contextlib.suppress(AttributeError, TypeError):
        if value is None:
            delattr(cls, name)
        else:
            setattr(cls, name, value)


def spoil_slotnames(run, obj, memo):
    cls = run.some_class()
    names = cls.__dict__.get("__slotnames__")
    how = run.dice.randrange(4)
    if how == 0 and names:
        names.pop()
    elif how == 1 and names is not None:
        names.append("a")
    elif how == 2:
        cls.__slotnames__ = ["b"]
    elif names is not None:
        del cls.__slotnames__


def register(run, obj, memo):
    cls = run.dice.choice([*run.classes, type(run.some_node())])
    if isinstance(run.some_node(), type) or cls in (type, types.FunctionType):
        return
    copyreg.dispatch_table[cls] = run.dice.choice(REDUCERS)


def unregister(run, obj, memo):
    copyreg.dispatch_table.pop(run.some_class(), None)


def dispatch(run, obj, memo):
    cls = run.dice.choice([*run.classes, type(run.some_node())])
    std_copy._deepcopy_dispatch[cls] = run.dice.choice(DISPATCHED)


def drop_dispatch(run, obj, memo):
    std_copy._deepcopy_dispatch.pop(run.dice.choice([list, dict, tuple, *run.classes]), None)


def swap_tables(run, obj, memo):
    name = run.dice.choice(["_deepcopy_dispatch", "dispatch_table"])
    table = dict(getattr(std_copy, name))
    how = run.dice.randrange(4)
    if how == 1:
        table[run.some_class()] = (DISPATCHED if name[0] == "_" else REDUCERS)[1]
    elif how == 2:
        table = collections.UserDict(table)
    elif how == 3:
        name, table = "_deepcopy_dispatch", collections.OrderedDict(std_copy._deepcopy_dispatch)
    setattr(std_copy, name, table)


def monitor(run, obj, memo):
    if sys.version_info >= (3, 12):
        with contextlib.suppress(ValueError):
            sys.monitoring.use_tool_id(TOOL, "harm")
            sys.monitoring.set_events(TOOL, sys.monitoring.events.PY_START)


def share_dict(run, obj, memo):
    with contextlib.suppress(AttributeError, TypeError):
        run.some_node().__dict__ = run.some_node().__dict__


def fail(run, obj, memo):
    error = run.dice.choice(
        [Fault, KeyError, AttributeError, StopIteration, TypeError, MemoryError, KeyboardInterrupt]
    )
    raise error("by a hook")


def again(run, obj, memo):
    run.kept.append(run.module.deepcopy(run.some_node()))


def again_shallow(run, obj, memo):
    run.kept.append(run.module.copy(run.some_node()))


def collect(run, obj, memo):
    gc.collect(run.dice.randrange(3))


def freeze(run, obj, memo):
    gc.freeze()
    if run.dice.random() < 0.5:
        gc.collect()
    gc.unfreeze()


def look(run, obj, memo):
    gc.get_referrers(run.some_node())
    gc.get_objects(generation=0)


def switch_collector(run, obj, memo):
    (gc.enable if run.dice.random() < 0.5 else gc.disable)()


def often_collect(run, obj, memo):
    gc.set_threshold(run.dice.choice([1, 10, 2000]), 5, 5)


def trace(run, obj, memo):
    if run.dice.random() < 0.5:
        sys.settrace(lambda frame, event, arg: None)
    else:
        sys.setprofile(lambda frame, event, arg: None)


def trace_no_more(run, obj, memo):
    sys.settrace(None)
    sys.setprofile(None)


def forget(run, obj, memo):
    """Drop what the run holds of the source: what is left holds itself, or the memo does."""
    run.forgotten = True
    run.names.clear()  # Others may take their addresses.
    run.nodes[:] = run.nodes[:1]


def drop_fields(run, obj, memo):
    target = run.some_node()
    with contextlib.suppress(AttributeError, TypeError):
        vars(target).clear()
    for name in FIELDS:
        with contextlib.suppress(AttributeError, TypeError):
            delattr(target, name)


def empty_all(run, obj, memo):
    for target in list(run.nodes):
        if type(target) in (list, dict):
            target.clear()


def hold_dict(run, obj, memo):
    with contextlib.suppress(AttributeError, TypeError):
        run.kept.append(run.some_node().__dict__)


def memo_delete(run, obj, memo):
    key = run.dice.choice([id(run.some_node()), id(memo)])
    memo.pop(key, None)


def memo_put(run, obj, memo):
    memo[id(run.some_node())] = run.dice.choice([None, 5, run.some_node(), [run.some_node()]])


def memo_clear(run, obj, memo):
    memo.clear()


def memo_spoil_kept(run, obj, memo):
    memo[id(memo)] = run.dice.choice([None, [], 5, Keeper(), set()])


def memo_keep(run, obj, memo):
    run.kept.append(memo)


def memo_same(run, obj, memo):
    run.kept.append(run.module.deepcopy(run.some_node(), memo))


def memo_of_self(run, obj, memo):
    run.module.deepcopy(memo, memo if run.dice.random() < 0.5 else None)


class Keeper:
    """Takes the place of the list that keeps sources alive."""

    def append(self, obj):
        hook("keeper", obj)


ACTIONS = [
    alter_container, alter_container, alter_container, alter_container, alter_type_of, swap_method,
    swap_method, spoil_field, spoil_slotnames, register, register, unregister, dispatch,
    drop_dispatch, fail, again, again, again_shallow, collect, freeze, look, switch_collector,
    often_collect, trace, trace_no_more, swap_tables, monitor, share_dict, forget, drop_fields,
    drop_fields, empty_all, hold_dict,
]  # fmt: skip
MEMO_ACTIONS = [
    memo_delete, memo_put, memo_clear, memo_spoil_kept, memo_keep, memo_same, memo_same,
    memo_of_self,
]  # fmt: skip

FORGETTING = (memo_delete, memo_clear, memo_spoil_kept)
