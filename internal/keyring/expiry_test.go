package keyring_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"packagecloud/internal/auth"
	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/keyring"
	"packagecloud/internal/repo"
	"packagecloud/internal/seal"
	"packagecloud/internal/sign"
)

// public is a key that was made some days ago and lasts for so many, 0 for ever.
func public(t *testing.T, made, lasts int) sign.Public {
	t.Helper()
	at := time.Now().AddDate(0, 0, -made)
	e, err := openpgp.NewEntity("acme", "", "", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519, Time: func() time.Time { return at }, KeyLifetimeSecs: uint32(lasts * 24 * 60 * 60),
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	k, err := sign.ParsePublic([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestExpiring names the keys that expire within 30 days, or have, and no others.
func TestExpiring(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		sealer, err := seal.OpenOrCreate(filepath.Join(t.TempDir(), "master.key"))
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		account := db.Account{User: repo.User{Name: "acme", Email: "a@example.com", CreatedAt: time.Now()}}
		err = d.Update(ctx, func(tx *db.Tx) error { _, err := auth.CreateUser(ctx, tx, sealer, &account); return err })
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"over": "expired on", "soon": "expires on"}
		for name, days := range map[string][2]int{"ever": {1, 0}, "years": {1, 700}, "later": {1, 40}, "soon": {1, 8}, "over": {60, 30}} {
			r := repo.Repository{OwnerID: account.ID, Owner: "acme", Name: name, CreatedAt: time.Now()}
			k := public(t, days[0], days[1])
			row := repo.Key{Type: repo.RepositoryKey, Name: name, Fingerprint: k.Fingerprint, Public: k.Armored, Sealed: []byte("x"), CreatedAt: time.Now()}
			if err := d.Update(ctx, func(tx *db.Tx) error {
				if err := auth.CreateRepository(ctx, tx, sealer, &r); err != nil {
					return err
				}
				row.RepositoryID = r.ID
				return tx.InsertKey(ctx, &row, true)
			}); err != nil {
				t.Fatal(err)
			}
		}
		found, err := keyring.New(d, sealer, sign.Ed25519).Expiring(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found {
			words := want[e.Repository.Name]
			if words == "" || !strings.Contains(e.Words(), words) || !strings.Contains(e.Words(), "packagecloud-ctl import-key acme/"+e.Repository.Name) {
				t.Errorf("%s: %s", e.Repository.FullName(), e.Words())
			}
			delete(want, e.Repository.Name)
		}
		if len(want) > 0 {
			t.Errorf("nothing is said of %v", want)
		}
	})
}
