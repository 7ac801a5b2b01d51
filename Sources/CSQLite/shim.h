// SQLite is the job store. Swift cannot spell SQLITE_TRANSIENT (a cast to a function pointer), so it is given here as a function.
#pragma once
#include <sqlite3.h>

static inline sqlite3_destructor_type sorad_sqlite_transient(void) { return SQLITE_TRANSIENT; }
