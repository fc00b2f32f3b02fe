/* What the core needs to know of CPython on Windows, to be compiled on another system by
   tools/portable.py.  It stands in for the pyconfig.h of the interpreter at hand; nothing is linked,
   run or installed with it. */
#ifndef FASTCOPYREG_WINDOWS_PYCONFIG_H
#define FASTCOPYREG_WINDOWS_PYCONFIG_H

#define MS_WIN32
#define MS_WINDOWS
#define NT_THREADS
#define PLATFORM "win32"
#define WITH_THREAD 1
#define WITH_DOC_STRINGS 1

#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define SIZEOF_DOUBLE 8
#define SIZEOF_FLOAT 4
#define SIZEOF_WCHAR_T 2
#define SIZEOF_OFF_T 4
#define SIZEOF_FPOS_T 8
#define SIZEOF_TIME_T 8
#define SIZEOF_PID_T 4
#define ALIGNOF_LONG 4
#define ALIGNOF_SIZE_T SIZEOF_SIZE_T
#define ALIGNOF_MAX_ALIGN_T 8

#ifdef _WIN64
#  define MS_WIN64
#  define SIZEOF_VOID_P 8
#  define SIZEOF_SIZE_T 8
#  define SIZEOF_HKEY 8
#else
#  define SIZEOF_VOID_P 4
#  define SIZEOF_SIZE_T 4
#  define SIZEOF_HKEY 4
#endif

#define HAVE_ERRNO_H 1
#define HAVE_STDDEF_H 1
#define HAVE_STDARG_PROTOTYPES 1
#define HAVE_WCHAR_H 1
#define HAVE_IO_H 1
#define HAVE_PROCESS_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_SYS_TYPES_H 1
#define HAVE_PY_SSIZE_T 1
#define HAVE_LONG_LONG 1

#include <sys/types.h>
#ifdef _WIN64
typedef long long Py_ssize_t;
#else
typedef int Py_ssize_t;
#endif
#define PY_SSIZE_T_MAX (SIZEOF_SIZE_T == 8 ? 0x7fffffffffffffffLL : 0x7fffffff)

#endif
