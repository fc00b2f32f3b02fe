"""A program that sends registered objects between processes in every way there is.

    python pools.py METHOD

It prints what happens, exceptions too, so that two runs of it can be compared: one with the swap
and one without.  A run that hangs ends by itself, with the traceback of every thread.
"""

import copyreg
import faulthandler
import multiprocessing
import os
import re
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, process
from multiprocessing import connection, managers, shared_memory

DEADLINE = 100

# So long what never ends is waited for.
WAIT = 0.5

BROKEN = ("EOFError", "ConnectionResetError", "BrokenPipeError", "ConnectionRefusedError")
BROKEN += ("FileNotFoundError",)


class Config:
    """As in the documentation of copyreg: something that holds what cannot be pickled."""

    def __init__(self, name, retries, path):
        self.name, self.retries, self.path = name, retries, path
        self.lock = threading.Lock()

    def __eq__(self, other):
        return (self.name, self.retries, self.path) == (other.name, other.retries, other.path)

    __hash__ = None


def reduce_config(config):
    return Config, (config.name, config.retries, config.path)


class Refusing:
    """Cannot be pickled."""

    def __reduce__(self):
        raise ValueError("refuses to be pickled")


class Poisonous:
    """Cannot be loaded."""

    def __reduce__(self):
        return raise_on_load, ()


def raise_on_load():
    raise LookupError("refuses to be loaded")


# At the top of the module, so that a worker that starts anew registers it too.
copyreg.pickle(Config, reduce_config)


def bump(config):
    return Config(config.name, config.retries + 1, config.path)


def end(_):
    os._exit(3)


def make(kind):
    return {"refusing": Refusing, "poisonous": Poisonous, "nothing": dict}[kind]()


def echo(get, put):
    """Send back what arrives, until None does."""
    while (item := get()) is not None:
        put(item)


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {re.sub('0x[0-9a-f]+', '', str(error))}"


def configs(count):
    return [Config(f"c{i}", i, ("a", i)) for i in range(count)]


def pools(context):
    """Pool and ProcessPoolExecutor: the documentation's example, and many objects both ways."""
    with context.Pool(2) as pool:
        yield "example", [c.retries for c in pool.map(bump, configs(4))]
        many = configs(5_000)
        yield "many", pool.map(bump, many) == [bump(c) for c in many]
        yield "argument", outcome(pool.apply, bump, (Refusing(),))
        # A result that cannot be loaded is waited for without end, there too.
        yield "refusing", outcome(pool.apply_async(make, ("refusing",)).get, 30)
        yield "goes on", pool.apply(bump, (Config("a", 1, "b"),)).retries
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        yield "executor", list(pool.map(bump, many, chunksize=500)) == [bump(c) for c in many]
        yield "argument", outcome(pool.submit(bump, Refusing()).result, 30)
        yield "refusing", outcome(pool.submit(make, "refusing").result, 30)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        yield "poisonous", type(pool.submit(make, "poisonous").exception(30)).__name__
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        broken = pool.submit(end, 1).exception(30)
        yield "died", isinstance(broken, process.BrokenProcessPool)


def channels(context):
    """Queues, a pipe, a manager and shared memory."""
    there, back = context.Queue(), context.SimpleQueue()
    child = context.Process(target=echo, args=(there.get, back.put))
    child.start()
    there.put(Refusing())  # Its feeder thread says so on stderr, and goes on.
    for config in configs(100):
        there.put(config)
    yield "queue", [back.get().retries for _ in range(100)] == list(range(100))
    there.put(None)
    child.join(30)
    yield "simple queue", outcome(back.put, Refusing())
    near, far = context.Pipe()
    child = context.Process(target=echo, args=(far.recv, far.send))
    child.start()
    near.send(configs(3))
    yield "pipe", near.recv() == configs(3)
    yield "pipe refusing", outcome(near.send, Refusing())
    near.send(None)
    child.join(30)
    yield "exit", child.exitcode
    with managers.SyncManager(ctx=context) as manager:
        shared = manager.dict(a=Config("a", 1, "b"))
        shared["b"] = bump(shared["a"])
        yield "manager", [c.retries for c in shared.values()]
        yield "manager refusing", outcome(shared.__setitem__, "c", Refusing())
        yield "manager goes on", len(shared)
    memory = shared_memory.SharedMemory(create=True, size=16)
    try:
        with context.Pool(1) as pool:
            yield (
                "shared memory",
                pool.apply(write_into, (memory, b"shared")),
                bytes(memory.buf[:6]),
            )
    finally:
        memory.close()
        memory.unlink()


def failures(context):
    """What dies, and what cannot be loaded, on either side: where there it is waited for without
    end, so it is here, and where there it is an exception, here it is the same.
    """
    for name, function, argument in (
        ("argument cannot be loaded", id, Poisonous()),
        ("result cannot be loaded", make, "poisonous"),
        ("worker died", end, 1),
    ):
        pool = context.Pool(1)
        [worker] = pool._pool
        yield f"pool: {name}", outcome(pool.apply_async(function, (argument,)).get, WAIT)
        # What it ends has ended: how the pool is terminated depends on that.
        if function is make:
            pool._result_handler.join(60)
        else:
            connection.wait([worker.sentinel], 60)
        yield "terminated", outcome(pool.terminate)
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            failed = pool.submit(function, argument).exception(60)
            yield f"executor: {name}", type(failed).__name__
    with context.Pool(1) as pool:
        mapped = pool.imap(make, ["refusing", "nothing", "refusing"])
        yield "imap", [outcome(mapped.next, 30) for _ in range(3)]
        yield "map", outcome(pool.map_async(make, ["refusing"]).get, 30)
        yield "starmap", outcome(pool.starmap_async(make, [("refusing",)]).get, 30)
        yield "unpicklable", outcome(pool.apply, lambda: 1)
    yield from failures_of_channels(context)


def failures_of_channels(context):
    for name, queue in (
        ("queue", context.Queue()),
        ("joinable queue", context.JoinableQueue()),
        ("simple queue", context.SimpleQueue()),
    ):
        queue.put(Poisonous())
        queue.put("goes on")
        yield f"{name}: not loaded here", outcome(queue.get), outcome(queue.get)
        child = context.Process(target=echo, args=(queue.get, queue.put))
        child.start()
        queue.put(Poisonous())
        child.join(60)
        yield f"{name}: not loaded there", child.exitcode
    near, far = context.Pipe()
    child = context.Process(target=echo, args=(far.recv, far.send))
    child.start()
    near.send(Poisonous())
    child.join(60)
    far.close()
    yield "pipe: not loaded there", child.exitcode, outcome(near.recv)
    near, far = context.Pipe()
    for value in (Poisonous(), "goes on"):
        far.send(value)
    yield "pipe: not loaded here", outcome(near.recv), outcome(near.recv)
    near.send_bytes(b"no pickle")
    yield "pipe: no pickle", type_of(far.recv)
    with managers.SyncManager(ctx=context) as manager:
        shared, waiting = manager.dict(), manager.Queue()
        for call in (shared.get, shared.update, waiting.put, manager.list):
            told = outcome(call, Poisonous()).partition(":")[0]
            yield "manager: not loaded there", told, outcome(shared.__len__)
        yield "manager: unpicklable", outcome(shared.setdefault, "a", lambda: 1), len(shared)
        yield "manager: no such", outcome(shared.pop, "a").partition("\n")[0]
    with context.Manager() as manager:
        process = manager._process
        shared = manager.dict()
        process.kill()
        process.join(60)
        yield "manager died", type_of(shared.get, "a")


def type_of(function, *arguments):
    """Return which exception a call ends in: how a connection breaks is not always the same."""
    told = outcome(function, *arguments).partition(":")[0]
    return "OSError" if told in BROKEN else told


def write_into(memory, data):
    memory.buf[: len(data)] = data
    return len(data)


def main():
    faulthandler.dump_traceback_later(DEADLINE, exit=True)
    context = multiprocessing.get_context(sys.argv[1])
    for part in (pools, channels, failures):
        for line in part(context):
            print(*line, flush=True)


if __name__ == "__main__":
    main()
