"""`python -m fastcopyreg run`: a program whose interpreters all begin with the swap.

The program gets an interpreter of its own, with the options of this one, so that it is run as it
would be without: the same ``__main__``, ``sys.path`` and ``sys.argv``.
"""

import os
import subprocess
import sys

from .install import VARIABLE, has_startup_file


class CannotRun(Exception):
    """The program would run without the swap; says why."""


def run(program):
    """Run the interpreter with the arguments *program*; return its exit status.

    Where a process can become another program, this does not return.
    """
    if sys.flags.ignore_environment:
        raise CannotRun(f"isolated mode (-I, -E) ignores {VARIABLE}; leave it out")
    if not has_startup_file():
        raise CannotRun(
            "fastcopyreg.pth is in no site directory of this interpreter, so a program would not "
            "be asked; install fastcopyreg with pip, or call fastcopyreg.install() in the program"
        )
    # The options that multiprocessing gives to its children.
    command = [sys.executable, *subprocess._args_from_interpreter_flags(), *program]
    environment = {**os.environ, VARIABLE: "1"}
    if os.name == "nt":  # There execve() would return to the shell before the program ends.
        return subprocess.call(command, env=environment)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, environment)
