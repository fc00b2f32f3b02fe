/* The route by which an object goes: see copier_route.h. */
#include "copy/copier_route.h"

#include "copy/copyfunction.h"
#include "copy/room.h"
#include "types/room.h"

struct copyroute *
copier_find_new_route(struct copier *copier, PyObject *object)
{
    struct core_state *state = copier->state;
    PyTypeObject *type = Py_TYPE(object);
    if (unlikely(!copyroute_is_plain_key((PyObject *)type))) {
        return NULL;
    }
    if (copyroute_is_pure(state, type)) {
        return copyroute_find(state, type, copier->epoch);
    }
    if (copier_before_foreign(copier) < 0) {
        return NULL;
    }
    Py_INCREF(object);
    struct copyroute *route = copyroute_find(state, type, copier->epoch);
    Py_DECREF(object);
    copier->collector |= collector_hold();
    return route;
}

/* An object for whose type no route was found: 1 and the standard library's copy, or -1 with an
   exception, which may be that of finding it. */
static int
hand_over_unrouted(struct copier *copier, PyObject *object, PyObject **copy)
{
    *copy = PyErr_Occurred() ? NULL : copier_hand_over(copier, object);
    return *copy == NULL ? -1 : 1;
}

int
copier_find_visible(struct copier *copier, PyObject *object, struct copyroute **route,
                    PyObject **copy)
{
    struct copyroutes *routes = copier->state->copy->routes;
    *copy = NULL;
    *route = routes->atoms_first ? copier_route_of(copier, object) : NULL;
    if (*route == NULL && routes->atoms_first) {
        return hand_over_unrouted(copier, object, copy);
    }
    if (*route != NULL && (*route)->kind == ROUTE_ATOMIC) {
        *copy = Py_NewRef(object);
        return 1;
    }
    int found = copymemo_find_visible(&copier->memo, object, copy);
    if (found != 0) {
        return found;
    }
    if (*route == NULL) {
        *route = copier_route_of(copier, object);
    }
    if (*route == NULL) {
        return hand_over_unrouted(copier, object, copy);
    }
    if ((*route)->kind <= ROUTE_CLASS) {
        *copy = Py_NewRef(object);
    }
    return *copy != NULL;
}
