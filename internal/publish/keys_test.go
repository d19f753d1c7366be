package publish_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/keyring"
	"packagecloud/internal/publish"
	"packagecloud/internal/repo"
	"packagecloud/internal/sign"
	"packagecloud/internal/verify"
)

func newKey(t *testing.T) *sign.Key {
	t.Helper()
	k, err := sign.Generate(sign.Ed25519, "mine")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// otherProcess imports a key as packagecloud-ctl does beside a server: through
// a ring of its own.
func (s *system) importKey(k *sign.Key, alone bool) {
	s.t.Helper()
	other := keyring.New(s.db, s.sealer, sign.Ed25519)
	if _, err := other.Import(s.t.Context(), s.repo, k, alone); err != nil {
		s.t.Fatal(err)
	}
}

// signedBy expects that the live entry points of a scope are signed by the keys
// whose public parts are given, in that order, and that clients get those keys.
func (s *system) signedBy(v repo.DistroVersion, keys ...[]byte) {
	s.t.Helper()
	text := s.live(v, "index")
	for i, k := range keys {
		if _, err := sign.CheckDetached(k, []byte(text), []byte(s.live(v, "index.asc"))); err != nil {
			s.t.Errorf("index.asc, key %d: %v", i, err)
		}
		if got, _, err := sign.CheckClear(k, []byte(s.live(v, "index.signed"))); err != nil || string(got) != text {
			s.t.Errorf("index.signed, key %d: %v", i, err)
		}
	}
	want, err := sign.JoinPublic(keys...)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := s.live(v, "index.key"); got != string(want) {
		s.t.Errorf("the published key file is %s", got)
	}
	if got, err := s.ring.PublicKey(s.t.Context(), s.repo); err != nil || string(got) != string(want) {
		s.t.Errorf("the key file of the repository is %s, %v", got, err)
	}
}

func (s *system) publicKey() []byte {
	s.t.Helper()
	k, err := s.ring.PublicKey(s.t.Context(), s.repo)
	if err != nil {
		s.t.Fatal(err)
	}
	return k
}

// TestImportKey imports a key by another process right after a publication,
// eleven times, and ends the ones before it.
func TestImportKey(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		w := s.worker(s.blobs)
		setClock(w, hurried())
		old := s.publicKey()
		for i := range 11 {
			s.mustPush(one, "a", string(rune('a'+i)), "x86")
			s.settle(w)
			k := newKey(t)
			s.importKey(k, false)
			s.settle(w)
			s.signedBy(one, k.PublicKey(), old)
			s.verify()
			if ended, err := keyring.New(s.db, s.sealer, sign.Ed25519).Retire(t.Context(), s.repo); err != nil || len(ended) != 1 {
				t.Fatalf("%d keys were ended: %v", len(ended), err)
			}
			s.settle(w)
			s.signedBy(one, k.PublicKey())
			if _, err := sign.CheckDetached(old, []byte(s.live(one, "index")), []byte(s.live(one, "index.asc"))); !errors.Is(err, sign.ErrNotSigned) {
				t.Errorf("the ended key: %v", err)
			}
			s.verify()
			old = k.PublicKey()
		}
	})
}

// TestImportKeyAlone ends the key before it at once, and takes it back.
func TestImportKeyAlone(t *testing.T) {
	s := newSystem(t, dbtest.SQLite(t))
	w := s.worker(s.blobs)
	setClock(w, hurried())
	s.mustPush(one, "a", "1", "x86")
	s.settle(w)
	first, second := newKey(t), newKey(t)
	s.importKey(first, true)
	s.settle(w)
	s.signedBy(one, first.PublicKey())
	s.importKey(second, true)
	s.settle(w)
	s.signedBy(one, second.PublicKey())
	s.importKey(first, false)
	s.settle(w)
	s.signedBy(one, first.PublicKey(), second.PublicKey())
	s.verify()
}

// meddling runs something once, when entry points are stored.
type meddling struct {
	blob.Store
	run func()
}

func (m *meddling) Put(ctx context.Context, key string, body []byte, a blob.Attributes) error {
	if m.run != nil && a.ContentType == "application/pgp-signature" {
		run := m.run
		m.run = nil
		run()
	}
	return m.Store.Put(ctx, key, body, a)
}

// TestKeyChangesMeanwhile imports a key after a publication has signed with the
// one before it and before it flips.
func TestKeyChangesMeanwhile(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		k := newKey(t)
		w := s.worker(&meddling{Store: s.blobs, run: func() { s.importKey(k, true) }})
		flips := 0
		w.Flipped = func(int64) { flips++ }
		s.mustPush(one, "a", "1", "x86")
		if _, err := w.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.scope(one); got.Generation != 0 || got.Failures != 0 {
			t.Errorf("what the old key signed is generation %d, failures %d", got.Generation, got.Failures)
		}
		s.settle(w)
		s.signedBy(one, k.PublicKey())
		s.verify()
	})
}

// TestVerifyWantsActiveKey finds what only an earlier key of the repository has
// signed.
func TestVerifyWantsActiveKey(t *testing.T) {
	s := newSystem(t, dbtest.SQLite(t))
	w := s.worker(s.blobs)
	s.mustPush(one, "a", "1", "x86")
	s.settle(w)
	k := newKey(t)
	s.importKey(k, true)
	var found []string
	s.inspect(func(p verify.Problem) { found = append(found, p.Object+" "+p.What) })
	for _, want := range []string{
		"acme/tools/toyos/one/index.asc is not signed by the key " + k.Fingerprint() + ", which signs for the repository now: run packagecloud-ctl reindex-everything",
		"acme/tools/toyos/one/index.key is not the key file of the repository: run packagecloud-ctl reindex-everything",
	} {
		if !slices.Contains(found, want) {
			t.Errorf("verify says %q and not %q", found, want)
		}
	}
	s.settle(w)
	s.verify()
}

// TestLeaseOrder leases the oldest change first, and no repository holds up the
// others.
func TestLeaseOrder(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s := newSystem(t, d)
		w := s.worker(s.blobs)
		s.mustPush(one, "warm", "1", "x86")
		s.settle(w)
		setClock(w, func() time.Time { return time.Now().Add(2 * time.Second) }) // its pause is over
		s.mustPush(one, "warm", "2", "x86")
		s.mustPush(two, "new", "1", "x86")
		if _, err := w.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if one, two := s.scope(one).Generation, s.scope(two).Generation; one != 2 || two != 0 {
			t.Errorf("a scope that was never published comes before an older change: generations %d and %d", one, two)
		}
	})
}

var _ publish.Signer = sign.Together{}

// broken cannot store anything.
type broken struct{ blob.Store }

func (broken) Put(context.Context, string, []byte, blob.Attributes) error {
	return errors.New("the bucket says no")
}

// TestAwaitFailing tells whoever waits why the publication fails.
func TestAwaitFailing(t *testing.T) {
	s := newSystem(t, dbtest.SQLite(t))
	w := s.worker(broken{s.blobs})
	setClock(w, hurried())
	ctx, stop := context.WithCancel(t.Context())
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		w.Run(ctx, 1)
	}()
	p := s.mustPush(one, "a", "1", "x86")
	for _, err := range []error{w.Await(ctx, p.ID), w.AwaitScope(ctx, p.ScopeID)} {
		if !errors.Is(err, repo.ErrUnavailable) || !strings.Contains(err.Error(), "the bucket says no") {
			t.Errorf("who waits is told: %v", err)
		}
	}
	stop()
	<-finished
}
