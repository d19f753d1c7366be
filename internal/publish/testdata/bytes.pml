/*
 * How the bytes of packages are kept: store, claim, doom, collect. A model for
 * SPIN, with the names of the code:
 *
 *   store    upload.go store: the bytes under their key, which does nothing if they are there
 *   claim    record.go claimBlob: the transaction locks the row of the blob, takes its doom
 *            off, and stores the bytes once more
 *   doom     collect: ForgetPackages, when nothing refers to a blob any more
 *   collect  collect: DoomedBlobs, object and row go while the row is locked
 *   adopt    collect: orphan, an object without a row is given a doomed one
 *
 * Two packages have the same bytes: one is pushed and deleted while the other
 * is pushed. The uploaders and the collector may crash before each step.
 *
 * Each planted fault is a macro; the model must fail with any of them:
 *
 *   STORE_ONCE   the transaction does not store the bytes again
 *   DOOM_KEPT    the transaction does not take the doom off
 *   UNLOCKED     the collector does not lock the row
 */

#ifndef CRASHES
#define CRASHES 3
#endif
#define FREE      0
#define COLLECTOR 9

/* The database: survives crashes. */
bool row, doomed;
byte lock;                   /* who has locked the row; FREE: nobody. A crash frees it */
bool recorded[2];            /* a row says that the package is there */
bool kept[2];                /* its row, or a generation that clients may use, still is */

/* The storage: survives crashes. */
bool bytes;

bool acknowledged[2];        /* 201 was sent, and no deletion was asked for */
byte crashes;

#define REFERRED (kept[0] || kept[1])

active [2] proctype uploader() {
  byte me = _pid;
  assert(me < 2);
begin:
  bytes = true;
  if
  :: atomic { crashes < CRASHES -> crashes++ } goto begin
  :: true
  fi;
  atomic { lock == FREE -> lock = me + 1 }
#ifndef STORE_ONCE
  bytes = true;
#endif
  if
  :: atomic { crashes < CRASHES -> crashes++; lock = FREE } goto begin
  :: true
  fi;
  atomic {
    row = true;
#ifndef DOOM_KEPT
    doomed = false;
#endif
    recorded[me] = true; kept[me] = true; lock = FREE
  }
  if
  :: atomic { crashes < CRASHES -> crashes++ }   /* recorded, and never acknowledged */
  :: acknowledged[me] = recorded[me]              /* unless it is deleted by now */
  fi
}

/* Deletes the first package; its row stays for the grace time. */
active proctype deleter() {
end:
  atomic { recorded[0] -> recorded[0] = false; acknowledged[0] = false }
  kept[0] = false
}

active proctype collector() {
end:
  do
  :: atomic { row && !doomed && lock == FREE && !REFERRED -> doomed = true }
  :: atomic { !row && bytes && lock == FREE -> row = true; doomed = true }
#ifdef UNLOCKED
  :: doomed && !REFERRED ->
#else
  :: atomic {
#ifdef DOOM_KEPT
       doomed && lock == FREE -> lock = COLLECTOR
#else
       doomed && lock == FREE && !REFERRED -> lock = COLLECTOR
#endif
     }
#endif
     bytes = false;
     atomic {
       if
       :: row = false; doomed = false
       :: crashes < CRASHES -> crashes++              /* rolled back: the row stays */
       fi;
       if
       :: lock == COLLECTOR -> lock = FREE
       :: else
       fi
     }
  od
}

active proctype client() {
end:
  do
  :: atomic { acknowledged[0] || acknowledged[1] -> assert(bytes); assert(row) }
  od
}
