/* copy, deepcopy and replace.

   The order of the questions is in copyroute.h, the memo in copymemo.h, instances of default
   reduction in default.h. copier.c chooses the way of an object, copier_container.c and
   copier_default.c walk containers and instances; other objects are asked for their reduction in
   copier_reduce.c and made again in copier_rebuild.c and copier_state.c. copier_deep.c walks
   objects that are nested more deeply than the C stack allows for, on the heap. copier_shallow.c
   has copy and replace; copyfunction.c makes functions of them that bind as Python functions do.

   Foreign code is whatever may run Python code or drop a last reference.  Around each such
   call stand copier_before_foreign, which makes the memo own all it names, and
   copier_after_foreign, which starts a new epoch: nothing read from a table, a type or a
   container before is trusted after. */
#ifndef FASTCOPYREG_COPY_COPIER_H
#define FASTCOPYREG_COPY_COPIER_H

#include "copy/copymemo.h"
#include "copy/copyroute.h"
#include "types/construct.h"
#include "base/state.h"
#include "types/typeinfo.h"
#include "base/stack.h"
#include "base/poll.h"
#include "copy/room.h"
#include "types/room.h"

/* The C sides of the functions; strong or NULL.  They run Python code. */
PyObject *copier_deepcopy(struct core_state *state, PyObject *object, PyObject *memo);
PyObject *copier_copy(struct core_state *state, PyObject *object);
PyObject *copier_replace(struct core_state *state, PyObject *const *args, size_t nargsf,
                         PyObject *kwnames);

/* y.__setstate__(state), or y.__dict__.update and setattr.  0 or -1.  Runs Python code. */
int copier_apply_state(struct core_state *state, PyObject *source, PyObject *copy,
                       PyObject *copied_state);

/* Makes what is in Python of the copier, so that it is there whenever it is needed.  0 or -1. */
int copier_state_setup(PyObject *module);

/* The standard library's _reconstruct(x, memo, *reduce_value); memo NULL for None. */
PyObject *copier_reconstruct(struct core_state *state, PyObject *object, PyObject *memo,
                             PyObject *reduce_value);

/* for item in items: copy.append(item); and for key, value in items: copy[key] = value.  0 or -1.
   They run Python code. */
int copier_append_all(struct core_state *state, PyObject *items, PyObject *copy);
int copier_set_all(struct core_state *state, PyObject *items, PyObject *copy);

/* copyreg.__newobj__(*args) without its frame: args[0].__new__(*args).  Strong or NULL.  Runs
   Python code. */
static inline PyObject *
copier_call_newobj(struct core_state *state, PyObject *const *args, size_t nargsf)
{
    PyObject *function = PyObject_GetAttr(args[0], state->str.new);
    PyObject *object = function == NULL ? NULL : PyObject_Vectorcall(function, args, nargsf, NULL);
    Py_XDECREF(function);
    return object;
}

/* The object's __reduce_ex__(4) or __reduce__(); strong or NULL.  The
   error's text has %S for the type. */
PyObject *copier_ask_object(struct core_state *state, PyObject *object, const char *error);

/* Around each copy: the facts of types are not freed while they are in use. */
static inline void
copier_begin(struct core_state *state)
{
    state->copy->routes->calls++;
    typeinfo_enter(state);
}

/* Checks that there is C stack for a copy, if it is made within another call of ours: 0, or -1
   with RecursionError. */
static inline int
copier_may_begin(struct core_state *state)
{
    return likely(state->types->infos->busy == 0) ? 0 : stack_check();
}

/* May run Python code. */
static inline void
copier_end(struct core_state *state)
{
    struct copyroutes *routes = state->copy->routes;
    if (--routes->calls == 0 && unlikely(routes->by_type.dead != NULL)) {
        weaktable_free_dead(&routes->by_type);
    }
    typeinfo_leave(state);
    construct_free_dead(state);
}

enum {
    /* Levels that are walked on the C stack, if it is large: enough for any nesting that is not
       endless.  Deeper levels are walked on the heap. */
    COPIER_DEPTH = 20000,
    /* So much of a stack is used whose bounds are not known, asking now and then. */
    COPIER_STACK = 64 * 1024,
    COPIER_STEP = 8 * 1024,
    /* Items between two looks at signals and other threads: below 2 ms. */
    COPIER_BUDGET = 2048,
    ATOMS_MET = 8,
};

struct copier {
    struct core_state *state;
    struct copymemo memo;
    uint64_t epoch;
    struct copyroute *last_route;  /* the one found last; routes live as long as the call */
    struct bound_plan *last_bound; /* by which an object was copied last; NULL: none */
    /* Of the type whose reducer was called last, if nothing else need be asked of its objects;
       and the reducer's code, an address only; its plan rests, or it has none: */
    struct copyroute *asked_route;
    PyObject *asked_code;
    int asked_rests;
    uintptr_t stack_floor; /* how far down the C stack it may go without asking; see stack.h */
    int depth;
    int unentered;   /* open ancestors that are not in the memo ... */
    int exclusive;   /* ... none of which others can present again: see is_unique() below */
    int atoms_hold;  /* the usual atoms may be taken for atoms, in this epoch */
    int tuples_hold; /* and tuples of them are their own copies, whatever the memo */
    int collector;   /* true if the collector was on and is held off; see compat.h */
    int budget;
    struct poll poll;
    /* The types of what were atoms, by their places among the arguments: */
    PyTypeObject *atoms_met[ATOMS_MET];
};

/* Looks at the copy module's tables in a new epoch; 0 if they are not what they should be.  Runs
   no Python code. */
ALWAYS_INLINE int
copier_look(struct copier *copier)
{
    struct copyroutes *routes = copier->state->copy->routes;
    copyroute_refresh(copier->state, copier->epoch);
    copier->atoms_hold = routes->atoms_hold && (copier->memo.dict == NULL || routes->atoms_first);
    copier->tuples_hold = routes->states_hold && copier->memo.dict == NULL;
    return routes->usable;
}

/* A deep copy of an object that stays alive until foreign code runs.  `unique`: it was just read
   from a container and has no other reference.  Strong or NULL.  Runs Python code. */
PyObject *copier_copy_object(struct copier *copier, PyObject *object, int unique);

/* The same with no more levels on the C stack, whatever the nesting; see copier_deep.c. */
PyObject *copier_copy_on_heap(struct copier *copier, PyObject *object);

/* The same by the standard library's own function, where the copy module's tables are not what
   they should be. */
PyObject *copier_hand_over(struct copier *copier, PyObject *object);

/* ---- by kind of object -------------------------------------------------- */

/* Deep copies of an owned object, strong or NULL; each runs Python code if its parts do. */
PyObject *copier_copy_list(struct copier *copier, PyObject *list, int unique);
PyObject *copier_copy_tuple(struct copier *copier, PyObject *tuple, int unique);
PyObject *copier_copy_dict(struct copier *copier, PyObject *dict, int unique);
PyObject *copier_copy_method(struct copier *copier, PyObject *method);

/* By what the program put into the dispatch, which is called. */
PyObject *copier_by_dispatch(struct copier *copier, PyObject *object, PyObject *function);

/* The copy of a tuple: the memo's, where an item led back to the tuple; the tuple itself, where
   all parts are the same; or the copies, which are entered then.  `foreign`: code ran that may
   have released all other references to the tuple, so the memo owns it at once.  Strong. */
PyObject *copier_choose_tuple(struct copier *copier, PyObject *tuple, PyObject *copies, int same,
                              int unique, int foreign);

/* Of an instance, as its type's plan says. */
PyObject *copier_copy_default(struct copier *copier, struct copyroute *route, PyObject *object,
                              int unique);

/* By its reduction: `reducer` from dispatch_table, or NULL. */
PyObject *copier_by_reduction(struct copier *copier, PyObject *object, PyObject *reducer,
                              unsigned int facts, int unique);

/* ---- steps that several of them take ------------------------------------ */

/* Lets signals be handled and other threads run, if they wait.  0, or -1 with what a handler
   raised.  Runs Python code. */
int copier_attend(struct copier *copier);

/* Opens the memo's entry of a copy that is filled before the standard library fills it, and has
   parts to be copied; and closes what was opened.  0 or -1. */
int copier_open_part(struct copier *copier, struct open_instance *open, unsigned kind, int unique);
void copier_close_part(struct copier *copier, struct open_instance *open);

/* A dict in the middle of being copied, as the standard library's iterator sees it. */
struct dict_walk {
    PyObject *dict;
    PyObject *copy;
    Py_ssize_t position;
    Py_ssize_t used; /* items at the start */
    Py_ssize_t left; /* items not seen yet */
};

/* The next item, borrowed: 1, 0 at the end, -1 with the RuntimeError of a changed dict. */
int copier_next_item(struct dict_walk *walk, PyObject **key, PyObject **value);

/* dict[key] = value.  0 or -1.  Runs Python code unless keys are str. */
int copier_store_item(struct copier *copier, PyObject *dict, PyObject *key, PyObject *value);

/* copy[key] = value, then the rest of the items.  0 or -1.  Runs Python code. */
int copier_finish_dict(struct copier *copier, struct dict_walk *walk, PyObject *key,
                       PyObject *value);

/* memo[id(object)] = copy.  Where no foreign code ran since `epoch`, in which the object was read
   and was not in the memo, it is not there now. */
int copier_enter(struct copier *copier, PyObject *object, PyObject *copy, int unique,
                 uint64_t epoch);

/* ---- by reduction ------------------------------------------------------- */

/* The copy of an owned object from the reduce value that foreign code gave, if that is a callable
   with a plan and atoms, which are their own copies.  OUTCOME_CLOSED, OUTCOME_RAISED, or
   OUTCOME_BAIL.  Runs no Python code. */
enum outcome copier_from_atoms(struct copier *copier, PyObject *object, PyObject *reduce_value,
                               PyObject **copy);

/* The copy of an owned object from a reduce value, which is stolen; `way` is the outcome of the
   above.  `planned`: 1 if others hold all that is in the value, 2 if a plan made it, 0 if foreign
   code did. */
enum outcome copier_from_value(struct copier *copier, PyObject *object, PyObject *reduce_value,
                               enum outcome way, int planned, int unique, PyObject **copy);

/* The copy in the end, of an object that is owned no longer; strong or NULL. */
PyObject *copier_finish_copy(struct copier *copier, PyObject *object, enum outcome way,
                             PyObject *copy);

/* The result of a Python function, called with an owned object; strong or NULL. */
PyObject *copier_ask_function(struct copier *copier, PyObject *function, PyObject *object);

/* Asks an owned object: 1 and the copy that its __deepcopy__ made, 0 and its reduce value, strong;
   or -1. */
int copier_ask_deeply(struct copier *copier, PyObject *object, unsigned int facts, PyObject **copy,
                      PyObject **reduce_value);

struct reducer;

/* Notes for the next object of the type, after one was copied by its bound plan ... */
void copier_remember_bound(struct copier *copier, PyTypeObject *type, Py_ssize_t count);

/* ... or is to be made from what its reducer returns: a function that has no plan, or whose plan
   rests; NULL: any other. */
void copier_remember_asked(struct copier *copier, struct copyroute *route, PyObject *function,
                           int rests);

/* The copy of an object that others cannot present again, of the type of the last object that was
   copied by a bound plan, without asking: 1, 0 if it cannot be copied so, or -1. */
int copier_copy_again(struct copier *copier, PyObject *object, PyObject **copy);

/* The same of the type whose reducer was called last. */
int copier_ask_again(struct copier *copier, PyObject *object, PyObject **copy);

/* ---- rebuilding --------------------------------------------------------- */

/* The copy that the standard library makes of a reduce value; strong or NULL. */
PyObject *copier_copy_from(struct copier *copier, PyObject *object, PyObject *reduce_value,
                           int unique);

struct bound_parts;

/* constructor(*parts) of copies of what was read from an object; strong or NULL. */
PyObject *copier_construct_from(struct copier *copier, struct bound_parts *parts);

/* function(*args), by its plan if it has one, args[-1] being free; strong or NULL. */
PyObject *copier_make_or_call(struct copier *copier, PyObject *function, PyObject **args,
                              Py_ssize_t count);

/* A StopIteration out of the generator that passes copied arguments on is a RuntimeError. */
void copier_leave_generator(struct copier *copier);

/* The next of an iterator: 1 and strong, 0 at the end, -1. */
int copier_next_of(struct copier *copier, PyObject *iterator, PyObject **item);

/* An item of dict items, which is stolen, as a tuple of two; strong, or NULL with the exception of
   `key, value = item`. */
PyObject *copier_pair(struct copier *copier, PyObject *item);

/* for item in items: copy.append(deepcopy(item, memo)); and
   for key, value in items: copy[deepcopy(key, memo)] = deepcopy(value, memo).  0 or -1. */
int copier_append_items(struct copier *copier, PyObject *items, PyObject *copy);
int copier_set_items(struct copier *copier, PyObject *items, PyObject *copy);

/* copier_apply_state() in a deepcopy; runs no Python code for a fresh ordinary instance. */
int copier_set_state(struct copier *copier, PyObject *source, PyObject *copy,
                     PyObject *copied_state);

/* Lets the collector on again if it was on, and is held off. */
ALWAYS_INLINE void
copier_resume_collector(struct copier *copier)
{
    if (ALLOCATION_COLLECTS && copier->collector) {
        copier->collector = 0;
        collector_resume(1);
    }
}

/* Before foreign code that is handed nothing but sources: copies may stay hidden. */
ALWAYS_INLINE int
copier_before_asking(struct copier *copier)
{
    if (copymemo_flush(&copier->memo) < 0) {
        return -1;
    }
    copier_resume_collector(copier);
    return 0;
}

/* Before any other. */
ALWAYS_INLINE int
copier_before_foreign(struct copier *copier)
{
    if (copier_before_asking(copier) < 0) {
        return -1;
    }
    copymemo_reveal(&copier->memo);
    return 0;
}

/* Also where the first could not be called, or failed: the collector is still held off then. */
ALWAYS_INLINE void
copier_after_foreign(struct copier *copier)
{
    copier->epoch = ++copier->state->copy->epoch;
    copier->atoms_hold = copier->tuples_hold = 0;
    copier->exclusive = copier->unentered == 0;
    copier->collector |= collector_hold();
}

/* copier_before_foreign() before objects are released once a copy is made.  If that fails, or the
   copy was not made, the copy is released, and the exception stays set. */
void copier_before_death(struct copier *copier, PyObject **copy);

/* An ancestor is open whose entry in the memo comes only at its end. */
ALWAYS_INLINE void
copier_open_unentered(struct copier *copier, int unique)
{
    copier->unentered++;
    copier->exclusive &= unique;
}

ALWAYS_INLINE void
copier_close_unentered(struct copier *copier)
{
    copier->unentered--;
    copier->exclusive |= copier->unentered == 0;
}

/* The slow part of copier_keeps_class(). */
int copier_memo_lacks(struct copier *copier, PyTypeObject *type);

/* True if the class of an object is its own copy as the argument of copyreg.__newobj__: a memo
   that can be seen is asked about it, too, up to 3.13 always and since then where its own class is
   not `type`, which is an atom. */
ALWAYS_INLINE int
copier_keeps_class(struct copier *copier, PyTypeObject *type)
{
    return likely(copier->memo.dict == NULL)
           || (copier->state->copy->routes->atoms_first
               && Py_IS_TYPE((PyObject *)type, &PyType_Type))
           || copier_memo_lacks(copier, type);
}

/* Types of which most leaves are; atoms_hold is true if they are atoms now. */
ALWAYS_INLINE int
is_usual_atom(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type
           || object == Py_None || type == &PyBool_Type || type == &PyBytes_Type;
}

/* True if the types of all objects are usual for atoms: they are mostly those of the last ones at
   these places.  Runs no Python code. */
ALWAYS_INLINE int
copier_are_usual_atoms(struct copier *copier, PyObject *const *objects, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyTypeObject **met = &copier->atoms_met[i % ATOMS_MET];
        if (unlikely(Py_TYPE(objects[i]) != *met)) {
            if (!is_usual_atom(objects[i])) {
                return 0;
            }
            *met = Py_TYPE(objects[i]);
        }
    }
    return 1;
}

/* True if arguments are their own copies.  Runs no Python code. */
ALWAYS_INLINE int
copier_are_atoms(struct copier *copier, PyObject *const *objects, Py_ssize_t count)
{
    return copier_are_usual_atoms(copier, objects, count)
           && (copier->atoms_hold || (copier_look(copier) && copier->atoms_hold));
}

ALWAYS_INLINE PyObject *
copier_copy_part(struct copier *copier, PyObject *object, int unique)
{
    if (likely(is_usual_atom(object)) && likely(copier->atoms_hold)) {
        return Py_NewRef(object);
    }
    return copier_copy_object(copier, object, unique);
}

/* Enters a copy that is done as soon as it is made: the copied parts are atoms.  Of the object
   that the call is for, nobody can ask any more.  0 or -1. */
ALWAYS_INLINE int
copier_enter_at_once(struct copier *copier, PyObject *object, unsigned kind, PyObject *copy,
                     int unique)
{
    if (copier->depth == 1 && copier->memo.dict == NULL) {
        return 0;
    }
    return copymemo_enter_at_once(&copier->memo, object, kind, copy, unique);
}

/* Counts an item of a container. */
ALWAYS_INLINE int
count_item(struct copier *copier)
{
    return likely(--copier->budget >= 0) ? 0 : copier_attend(copier);
}

/* True if a part that was just read from a container cannot be met again.  A tuple enters the memo
   only at its end.  A tuple met again within itself brings its parts again: so while a tuple is
   open, parts are unique only if the tuple is, and no foreign code ran. */
ALWAYS_INLINE int
is_unique(const struct copier *copier, PyObject *object)
{
    return has_one_reference(object) && copier->exclusive;
}

#endif
