"""The one extension, fastcopyreg._core; everything else is in pyproject.toml."""

from concurrent.futures import ThreadPoolExecutor
from glob import glob
from os import cpu_count, environ
from shlex import split
from sys import implementation

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

GNU = ["-std=c11", "-O3", "-fvisibility=hidden", "-fno-semantic-interposition", "-fno-plt"]
CORE = Extension("fastcopyreg._core", sorted(glob("csrc/*.c")), depends=sorted(glob("csrc/*.h")))


class BuildCore(build_ext):
    """Compiles what changed, file beside file; CFLAGS, the user's, have the last word."""

    def build_extension(self, ext):
        msvc = self.compiler.compiler_type == "msvc"
        flags = ["/std:c11", "/O2"] if msvc else GNU + split(environ.get("CFLAGS", ""))
        compile_all, object_names = self.compiler.compile, self.compiler.object_filenames

        def compile_changed(source, options):
            objects = object_names([source], output_dir=options["output_dir"])
            stale = self.force or newer_group([source, *ext.depends], objects[0])
            return compile_all([source], **options) if stale else objects

        def compile_side_by_side(sources, **options):
            with ThreadPoolExecutor(cpu_count()) as pool:
                return sum(pool.map(lambda source: compile_changed(source, options), sources), [])

        ext.extra_compile_args, self.compiler.compile = flags, compile_side_by_side
        super().build_extension(ext)


wanted = environ.get("FASTCOPYREG_EXTENSION") or ("no", "maybe")[implementation.name == "cpython"]
CORE.optional = {"yes": False, "maybe": True, "no": True}[wanted]
setup(ext_modules=[] if wanted == "no" else [CORE], cmdclass={"build_ext": BuildCore})
