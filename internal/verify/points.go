package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
	"packagecloud/internal/sign"
)

// clientAhead is how far ahead of a client's clock the time of a generation may
// be: apt's Acquire::Max-FutureTime.
const clientAhead = 10 * time.Second

// entryPoints makes the entry points again and compares them with those that
// clients get, and checks that every key that signs for the repository now has
// signed them.
func (s *scope) entryPoints(ctx context.Context) error {
	keys, err := s.tx.SigningKeys(ctx, s.repository.ID)
	if err != nil {
		return err
	}
	var newest db.File
	for _, f := range s.files {
		if f.DocumentID == 0 && f.Generation > newest.Generation {
			newest = f
		}
	}
	origin := s.state.Origin
	if origin == "" { // an older program published it
		origin = s.Origin
	}
	points, err := s.format.EntryPoints(format.Snapshot{
		Repository: s.repository, Distro: s.state.Distro, Origin: origin,
		Generation: newest.Generation, Time: newest.CreatedAt, Documents: s.rendered,
	})
	if err != nil {
		return err
	}
	if len(points) > 0 {
		if err := s.time(ctx); err != nil {
			return err
		}
	}
	for _, p := range points {
		name := s.name + "/" + p.Path
		f, ok := s.files[p.Path]
		if !ok {
			s.report(name, "is missing: run packagecloud-ctl reindex-everything")
			continue
		}
		body, err := s.readAll(ctx, f)
		if err != nil {
			s.report(name, "cannot be read: %v: run packagecloud-ctl reindex-everything", err)
			continue
		}
		if err := check(p, body, keys); err != nil {
			s.report(name, "%v", err)
		}
		if p.Sign == format.ClearSigned || p.Sign == format.DetachSigned {
			s.summary.Signatures++
		}
	}
	return nil
}

// time looks at the time of the live generation.
func (s *scope) time(ctx context.Context) error {
	now, err := s.clock(ctx, s.tx.Reader)
	if err != nil {
		return err
	}
	if ahead := s.state.PublishedAt.Sub(now); ahead > clientAhead {
		s.report(s.name, "was published at %s, which is %s ahead of the clock (%s): apt refuses it until then. If the clock is right now, a server that runs publishes it again within seconds; if it is not, set it right",
			s.state.PublishedAt.Format(time.RFC3339), ahead.Round(time.Second), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// check compares an entry point with what it must be.
func check(p format.EntryPoint, body []byte, keys []repo.Key) error {
	if len(keys) == 0 && p.Sign != format.Unsigned {
		return errors.New("the repository has no signing key: run packagecloud-ctl reindex-everything")
	}
	switch p.Sign {
	case format.Unsigned:
		return compare(p.Body, body)
	case format.PublicKey:
		want, err := publicKeys(keys)
		if err == nil && !bytes.Equal(body, want) {
			err = errors.New("is not the key file of the repository: run packagecloud-ctl reindex-everything")
		}
		return err
	}
	for _, k := range keys {
		if err := checkSignature(p, body, k); err != nil {
			return err
		}
	}
	return nil
}

// checkSignature looks for the signature of one key.
func checkSignature(p format.EntryPoint, body []byte, k repo.Key) error {
	text := p.Body
	var err error
	if p.Sign == format.ClearSigned {
		text, _, err = sign.CheckClear(k.Public, body)
	} else {
		_, err = sign.CheckDetached(k.Public, p.Body, body)
	}
	switch {
	case errors.Is(err, sign.ErrNotSigned):
		return fmt.Errorf("is not signed by the key %s, which signs for the repository now: run packagecloud-ctl reindex-everything", k.Fingerprint)
	case err == nil:
		return compare(p.Body, text)
	case p.Sign == format.DetachSigned:
		return fmt.Errorf("is no signature by the key %s of what the live generation lists: %w: run packagecloud-ctl reindex-everything", k.Fingerprint, err)
	}
	return fmt.Errorf("has a wrong signature by the key %s: %w: run packagecloud-ctl reindex-everything", k.Fingerprint, err)
}

// compare says where a text differs from what the database says.
func compare(want, got []byte) error {
	wanted, have := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i, line := range wanted {
		if i >= len(have) {
			return fmt.Errorf("ends before %.200q: run packagecloud-ctl reindex-everything", line)
		}
		if have[i] != line {
			return fmt.Errorf("has %.200q where the database says %.200q: run packagecloud-ctl reindex-everything", have[i], line)
		}
	}
	if len(have) > len(wanted) {
		return fmt.Errorf("has %.200q after its end: run packagecloud-ctl reindex-everything", have[len(wanted)])
	}
	return nil
}

// publicKeys is the file that clients get.
func publicKeys(keys []repo.Key) ([]byte, error) {
	all := make([][]byte, 0, len(keys))
	for _, k := range keys {
		all = append(all, k.Public)
	}
	return sign.JoinPublic(all...)
}
