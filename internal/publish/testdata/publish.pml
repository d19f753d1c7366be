/*
 * How a scope is published: lease, snapshot, bytes, flip, grace, sweep. A model
 * for SPIN, with the names of the code:
 *
 *   lease    worker.go LeaseScope, keepLease: a random word in the row of the scope
 *   fence    db.Flip: only for who holds the lease, only from the generation rendered upon
 *   flip     generation.go flip: one transaction, after everything that it names is stored
 *   changes  rows that say what waits; a flip removes those that its snapshot had
 *   grace    collect: files of an old generation stay while a client may be in an update
 *   sweep    collect: an object without a row goes when no attempt can still name it
 *
 * A worker, the uploader and the collector may crash before each step. A lease
 * may run out at any moment, also while its worker is at work.
 *
 * Each planted fault is a macro; the model must fail with any of them:
 *
 *   NO_FENCE           a flip does not look at the lease
 *   ROWS_BEFORE_BYTES  a flip comes before the files are stored
 *   ALL_CHANGES        a flip removes changes that came after its snapshot
 *   NO_GRACE           files of an old generation go at once
 *   SWEEP_YOUNG        the sweep takes objects of attempts that are under way
 */

#ifndef ATTEMPTS
#define ATTEMPTS 3    /* each has a lease word and an object of its own, from 1 */
#endif
#ifndef CRASHES
#define CRASHES  1
#endif
#define WORKERS  2
#define DELETION 4    /* the change that takes out package 1 */

/* The database: survives crashes. Each atomic step on it is a transaction. */
byte lease;                  /* the word of who publishes; 0: nobody */
byte live;                   /* scopes.generation */
byte content[ATTEMPTS + 1];  /* packages that a generation lists, a bit each */
byte object[ATTEMPTS + 1];   /* the object that holds a generation; 0: the row is gone */
byte recorded;               /* packages that a committed row says are there */
byte changes;                /* the rows of changes that wait, a bit each */

/* The storage: survives crashes. */
bool stored[ATTEMPTS + 1];

/* What the outside world knows. */
byte acknowledged;           /* 201 was sent, and no deletion was asked for */
byte reading;                /* the generation that the client is updating from; 0: none */

/* For the model alone. */
byte attempts, crashes;
bool underway[ATTEMPTS + 1]; /* the attempt may still flip */

active [WORKERS] proctype worker() {
  byte word, base, snapshot, taken;
begin:
  true;
end:
  atomic {
    lease == 0 && changes != 0 && attempts < ATTEMPTS ->
    attempts++; word = attempts; lease = word; underway[word] = true
  }
  if
  :: atomic { crashes < CRASHES -> crashes++ } goto crashed
  :: true
  fi;
  atomic { base = live; snapshot = recorded; taken = changes }
#ifndef ROWS_BEFORE_BYTES
  stored[word] = true;
#endif
  if
  :: atomic { crashes < CRASHES -> crashes++ } goto crashed
  :: true
  fi;
  atomic {
    if
#ifdef NO_FENCE
    :: true ->
#else
    :: lease == word && live == base ->
#endif
       live++;
       content[live] = snapshot; object[live] = word;
#ifdef ALL_CHANGES
       changes = 0;
#else
       changes = changes & ~taken;
#endif
       /* What was acknowledged and listed stays listed. */
       assert((content[live - 1] & acknowledged & ~content[live]) == 0);
#ifdef NO_GRACE
       if
       :: live > 1 && object[live - 1] != 0 -> stored[object[live - 1]] = false; object[live - 1] = 0
       :: else
       fi
#endif
    :: else
    fi
  }
#ifdef ROWS_BEFORE_BYTES
  if
  :: atomic { crashes < CRASHES -> crashes++ } goto crashed
  :: true
  fi;
  stored[word] = true;
#endif
  atomic {
    underway[word] = false;
    if
    :: lease == word -> lease = 0
    :: else
    fi;
    word = 0; base = 0; snapshot = 0; taken = 0
  }
  goto begin;
crashed:
  atomic { underway[word] = false; word = 0; base = 0; snapshot = 0; taken = 0 }
  goto begin
}

/* A lease runs out: its worker is dead, or slow. */
active proctype time() {
end:
  do
  :: atomic { lease != 0 -> lease = 0 }
  od
}

/* Pushes two packages and deletes the first one. A crash between the transaction
   and the answer leaves a package that is recorded and not acknowledged. */
active proctype uploader() {
  atomic { recorded = 1; changes = 1 }
  atomic { acknowledged = 1 }
  if
  :: atomic { recorded = recorded | 2; changes = changes | 2 }
     atomic { acknowledged = acknowledged | 2 }
     atomic { acknowledged = acknowledged & ~1; recorded = recorded & ~1; changes = changes | DELETION }
  :: atomic { acknowledged = acknowledged & ~1; recorded = recorded & ~1; changes = changes | DELETION }
     atomic { recorded = recorded | 2; changes = changes | 2 }
  fi
}

#define NAMED(o) (object[1] == o || object[2] == o || object[3] == o || object[ATTEMPTS] == o)

active proctype collector() {
  byte o;
end:
  do
  /* A file of an old generation, once no client is in an update from it: the
     row goes first, then the object. */
  :: atomic { live > 1 && object[1] != 0 && reading != 1 -> o = object[1]; object[1] = 0 }
     if
     :: atomic { stored[o] = false; o = 0 }
     :: atomic { crashes < CRASHES -> crashes++; o = 0 }
     fi
  :: atomic { live > 2 && object[2] != 0 && reading != 2 -> o = object[2]; object[2] = 0 }
     if
     :: atomic { stored[o] = false; o = 0 }
     :: atomic { crashes < CRASHES -> crashes++; o = 0 }
     fi
  /* The sweep: an object that no row names. */
#ifdef SWEEP_YOUNG
  :: atomic { stored[1] && !NAMED(1) -> stored[1] = false }
  :: atomic { stored[2] && !NAMED(2) -> stored[2] = false }
#else
  :: atomic { stored[1] && !NAMED(1) && !underway[1] -> stored[1] = false }
  :: atomic { stored[2] && !NAMED(2) && !underway[2] -> stored[2] = false }
#endif
  od
}

/* A client: the entry point first, then what it names. */
active proctype client() {
end:
  do
  :: atomic { live > 0 -> reading = live }
     atomic { assert(stored[object[reading]]); reading = 0 }
  /* No change is lost: when none waits, the live generation is what the rows say. */
  :: atomic { live > 0 && changes == 0 -> assert(content[live] == recorded) }
  od
}
