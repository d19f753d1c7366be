package keyring

import (
	"context"
	"fmt"
	"time"

	"packagecloud/internal/clock"
	"packagecloud/internal/repo"
	"packagecloud/internal/sign"
)

// notice is how long before a key expires people are told.
const notice = 30 * 24 * time.Hour

// Expiry is a key that signs a repository's metadata and expires soon, or has.
type Expiry struct {
	Repository  repo.Repository
	Fingerprint string
	At          time.Time
	Expired     bool
}

// Words say what is so, and what to do.
func (e Expiry) Words() string {
	when := "expires on " + e.At.UTC().Format(time.DateOnly) + ", and package managers refuse the repository then"
	if e.Expired {
		when = "expired on " + e.At.UTC().Format(time.DateOnly) + ", and package managers refuse the repository"
	}
	return fmt.Sprintf("the signing key %s %s: where it is kept, run gpg --quick-set-expire %s 2y and gpg --export-secret-keys %s > FILE, here packagecloud-ctl import-key %s FILE, and the install script again on machines, which have the key as it was",
		e.Fingerprint, when, e.Fingerprint, e.Fingerprint, e.Repository.FullName())
}

// Expiring lists the signing keys that have expired, or do so within 30 days.
func (r *Ring) Expiring(ctx context.Context) ([]Expiry, error) {
	keys, err := r.db.AllSigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	now := clock.Now()
	var all []Expiry
	for _, k := range keys {
		public, err := sign.ParsePublic(k.Public)
		if err != nil {
			return nil, fmt.Errorf("read key %s: %w", k.Name, err)
		}
		if public.Expires.IsZero() || public.Expires.Sub(now) > notice {
			continue
		}
		e := Expiry{Fingerprint: k.Fingerprint, At: public.Expires, Expired: !public.Expires.After(now)}
		if e.Repository, err = r.db.RepositoryByID(ctx, k.RepositoryID); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}
