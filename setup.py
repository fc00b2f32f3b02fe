"""The one extension, fastcopyreg._core; everything else is in pyproject.toml.

Where the compiler is GCC, the core is compiled twice: first so that it counts what it does, while
benchmarks/train.py runs it, and then by these counts, over all files at once but those of nested
objects.  Calls with one object gain up to a fifth by it.  FASTCOPYREG_PROFILE=no compiles once; an
absolute path is where the counts are kept, and from where they are taken if they are there: the
same sources compiled by the same counts give the same file.
"""

from concurrent.futures import ThreadPoolExecutor
from glob import glob
from os import cpu_count, environ, makedirs, path, sep
from platform import machine
from shlex import split
from shutil import copyfile, copytree, rmtree
from subprocess import DEVNULL, run
from sys import executable, implementation, platform, stderr, version_info
from sysconfig import get_config_var

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.modified import newer_group

GNU = ["-std=c11", "-O3", "-fvisibility=hidden", "-fno-semantic-interposition", "-fno-plt"]
# What the interpreter was compiled with, and CFLAGS in the environment take the place of.
GNU += ["-fno-strict-overflow", *([] if get_config_var("Py_DEBUG") else ["-DNDEBUG"])]
COUNTED = ["-fprofile-partial-training", "-flto=auto", "-fno-fat-lto-objects"]
# What was seldom counted is compiled to be small, and GCC 12 writes copies in line there that are
# half as fast as the library's: of the megabytes, which come seldom.
if machine() in ("x86_64", "AMD64", "i386", "i686"):
    COUNTED += ["-mstringop-strategy=libcall"]

# What pickles nested objects: from 3.14 the depth that the stack allows for is what their frames
# take, and compiling over all files makes them larger (tests/dump/test_pickler_recursion.py).
NESTING = {
    f"csrc/dump/{name}.c"
    for name in (
        "save",
        "save_default",
        "save_dict",
        "save_newobj",
        "save_object",
        "save_reduce",
        "save_sequence",
        "save_set",
        "save_snapshot",
        "save_value",
    )
}
CORE = Extension(
    "fastcopyreg._core",
    sorted(glob("csrc/**/*.c", recursive=True)),
    include_dirs=["csrc"],
    depends=sorted(glob("csrc/**/*.h", recursive=True)),
)

# What an interpreter reads when it starts, beside the package in site-packages: it listens to
# FASTCOPYREG_INSTALL.  From 3.18 on a .pth file executes nothing; where there is a .start file of
# the same name, none does from 3.15 on.  To call what a .start file names, site imports pkgutil,
# which takes fifty times as long as the .pth file, so that file is there only where it must be.
STARTUP = ["fastcopyreg.pth"]
if environ.get("FASTCOPYREG_START") == "yes" or version_info >= (3, 18):
    STARTUP += ["fastcopyreg.start", "fastcopyreg_start.py"]

# What says that the core is not compiled to be fast, but to be looked into.
LOOKED_INTO = ("-O0", "-O1", "-Og", "-UNDEBUG", "-fsanitize", "-fprofile", "-ftest", "--coverage")


class BuildCore(build_ext):
    """Compiles what changed, file beside file; CFLAGS, the user's, have the last word."""

    def build_extension(self, ext):
        users = split(environ.get("CFLAGS", ""))
        msvc = self.compiler.compiler_type == "msvc"
        self.compile_file = self.compiler.compile
        self.compiler.compile = self.compile_side_by_side
        if msvc:
            # Otherwise each of the threads would do it, at the same time.
            if not self.compiler.initialized:
                self.compiler.initialize(self.plat_name)
            self.build_with(ext, ["/std:c11", "/O2"])
        elif not self.wants_profile(users) or not self.build_by_profile(ext, users):
            self.build_with(ext, GNU + users)

    def build_with(self, ext, flags, link_flags=()):
        ext.extra_compile_args, ext.extra_link_args = flags, list(link_flags)
        super().build_extension(ext)

    def compile_side_by_side(self, sources, **options):
        def compile_changed(source):
            flags = options["extra_postargs"]
            if source.replace(sep, "/") in NESTING:
                flags = [flag for flag in flags if not flag.startswith("-flto")]
            objects = self.compiler.object_filenames([source], output_dir=options["output_dir"])
            stale = self.force or newer_group([source, *CORE.depends], objects[0])
            if not stale:
                return objects
            return self.compile_file([source], **{**options, "extra_postargs": flags})

        with ThreadPoolExecutor(cpu_count()) as pool:
            return sum(pool.map(compile_changed, sources), [])

    def wants_profile(self, users):
        """Whether the core is to be compiled by a profile, and the compiler can."""
        if environ.get("FASTCOPYREG_PROFILE", "yes") == "no":
            return False
        if any(flag.startswith(LOOKED_INTO) for flag in users):
            return False
        ask = [*self.compiler.compiler, "-dM", "-E", "-x", "c", "-"]
        try:
            asked = run(ask, stdin=DEVNULL, capture_output=True, text=True, check=False)
        except OSError:  # There is none; what follows says so.
            return False
        return "__GNUC__" in asked.stdout and "__clang__" not in asked.stdout

    def build_by_profile(self, ext, users):
        """Builds, trains and builds again.  False where something of it cannot be done."""
        places = self.build_lib, self.build_temp, self.inplace, self.force
        root = path.join(self.build_temp, "profile")
        counts, training = path.abspath(path.join(root, "counts")), path.join(root, "training")
        rmtree(root, ignore_errors=True)
        # Both compile to the same place: counts are found by the name of the object, and those of
        # functions and calls by the name that the compiler was given for it, which is relative.
        self.build_temp, self.force = path.join(root, "objects"), True
        counting = [f"-fprofile-generate={counts}"]
        counted = [f"-fprofile-use={counts}", *COUNTED]
        quiet = ["-Wno-missing-profile", "-Wno-coverage-mismatch"]
        kept = environ.get("FASTCOPYREG_PROFILE", "")
        kept = kept if path.isabs(kept) else None
        try:
            if kept and path.isdir(kept):
                take_counts(kept, counts, self.build_temp)
            else:
                copytree("src", training)
                self.build_lib, self.inplace = training, False
                self.build_with(ext, GNU + users + counting, counting)
                train(training)
                if kept:
                    keep_counts(counts, kept, self.build_temp)
            self.build_lib, _, self.inplace, _ = places
            self.build_with(ext, GNU + users + counted + quiet, GNU + users + counted + quiet)
        except Exception as error:
            print(f"fastcopyreg is built without a profile: {error!r}", file=stderr)
            return False
        finally:
            self.build_lib, self.build_temp, self.inplace, self.force = places
            rmtree(root, ignore_errors=True)
        return True


def counted_in(folder):
    """The files of counts in a folder, each with the path that it has there.

    GCC puts them under the object's path, whose slashes up to version 14 become a character.
    """
    for file in glob(path.join(folder, "**", "*.gcda"), recursive=True):
        yield file, path.relpath(file, folder).replace("#", "/").lstrip("/")


def keep_counts(counts, kept, objects):
    """Copies the counts, under names that say nothing of where the objects were."""
    for file, name in counted_in(counts):
        copy_to(file, path.join(kept, path.relpath("/" + name, path.abspath(objects))))


def take_counts(kept, counts, objects):
    """Copies them to where GCC looks for those of objects in this folder, in either way."""
    for file, name in counted_in(kept):
        wanted = path.join(path.abspath(objects), name)
        copy_to(file, counts + wanted)
        copy_to(file, path.join(counts, wanted.replace("/", "#")))


def copy_to(file, target):
    makedirs(path.dirname(target), exist_ok=True)
    copyfile(file, target)


def state_deployment_target():
    """Up to 3.12 poll.c asks timespec_get() for the time, which macOS has from 10.15 on."""
    if platform == "darwin" and version_info < (3, 13):
        built_for = get_config_var("MACOSX_DEPLOYMENT_TARGET") or "10.9"
        if tuple(map(int, str(built_for).split("."))) < (10, 15):
            environ.setdefault("MACOSX_DEPLOYMENT_TARGET", "10.15")


class BuildPython(build_py):
    """Adds what an interpreter reads when it starts, for installs that are not in place."""

    def run(self):
        super().run()
        if not self.editable_mode:
            for name in STARTUP:
                self.copy_file(path.join("src", name), path.join(self.build_lib, name))

    def get_outputs(self, include_bytecode=1):
        added = [] if self.editable_mode else [path.join(self.build_lib, n) for n in STARTUP]
        return super().get_outputs(include_bytecode) + added


def train(package):
    """Runs the counting core, which writes its counts when the process ends."""
    settings = {
        "PYTHONHASHSEED": "0",
        "FASTCOPYREG_BACKEND": "c",
        "FASTCOPYREG_PLANS_AFTER": "150",
    }
    searched = [path.abspath(package), *filter(None, [environ.get("PYTHONPATH")])]
    settings["PYTHONPATH"] = path.pathsep.join(searched)
    command = [executable, path.join("benchmarks", "train.py")]
    # However long it takes: an emulator needs many times what a processor does.
    run(command, env={**environ, **settings}, check=True)


state_deployment_target()
wanted = environ.get("FASTCOPYREG_EXTENSION") or ("no", "maybe")[implementation.name == "cpython"]
CORE.optional = {"yes": False, "maybe": True, "no": True}[wanted]
setup(
    ext_modules=[] if wanted == "no" else [CORE],
    cmdclass={"build_ext": BuildCore, "build_py": BuildPython},
)
