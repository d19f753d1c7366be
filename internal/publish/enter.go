package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// enter makes, signs and stores the entry points that change. They are made
// last: everything that they name is stored by now.
func (g *generation) enter(ctx context.Context) (err error) {
	if g.origin, err = g.findOrigin(ctx); err != nil {
		return err
	}
	points, err := g.format.EntryPoints(g.snapshot())
	if err != nil || len(points) == 0 {
		return err
	}
	files, err := g.DB.LivePoints(ctx, g.scope.ID)
	if err != nil {
		return err
	}
	live := make(map[string]db.File, len(files))
	for _, f := range files {
		live[f.Path] = f
	}
	signer, err := g.Signer(ctx, g.repository)
	if err != nil {
		return fmt.Errorf("get the signing keys of %s: %w", g.repository.FullName(), err)
	}
	g.signed = signer.Fingerprints()
	changed := make(map[string]bool)
	// Whatever was asked to be made again is, for its bytes may be lost.
	again := g.has(db.Rebuild)
	for _, p := range points {
		// A signature is as old as what it signs; made again it would differ.
		if p.Sign == format.DetachSigned && !changed[p.Pair] && !again && !g.has(db.Refresh) {
			if _, ok := live[p.Path]; ok {
				continue
			}
		}
		body, err := content(p, signer, g.now)
		if err != nil {
			return fmt.Errorf("sign %s: %w", p.Path, err)
		}
		sum := sha256.Sum256(body)
		digest := hex.EncodeToString(sum[:])
		if f, ok := live[p.Path]; ok && f.SHA256 == digest && !again {
			continue
		}
		changed[p.Path] = true
		if err := g.put(ctx, p, digest, body); err != nil {
			return err
		}
	}
	return nil
}

// content is what clients get.
func content(p format.EntryPoint, s Signer, at time.Time) ([]byte, error) {
	switch p.Sign {
	case format.ClearSigned:
		return s.ClearSign(p.Body, at)
	case format.DetachSigned:
		return s.DetachSign(p.Body, at)
	case format.PublicKey:
		return s.PublicKey()
	default:
		return p.Body, nil
	}
}

// errKeysChanged says that the keys that sign the repository are others than
// those that signed the generation. It is made again at once.
var errKeysChanged = errors.New("the signing keys of the repository were changed meanwhile")

// checkKeys looks, in the transaction of the flip, whether the keys that signed
// are still those of the repository.
func (g *generation) checkKeys(ctx context.Context, tx *db.Tx) error {
	if g.signed == nil {
		return nil
	}
	rows, err := tx.SigningKeys(ctx, g.repository.ID)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(rows, g.signed, func(k repo.Key, fingerprint string) bool { return k.Fingerprint == fingerprint }) {
		return errKeysChanged
	}
	return nil
}

// objectName is a name for an object that only this file of this attempt to make
// this generation has: files with the same bytes must not share one, because
// they are replaced, and collected, at different times.
func (g *generation) objectName(file string) string {
	g.objects++
	if over := len(file) - 100; over > 0 {
		file = file[over:] // or the name would be cut at its front
	}
	return fmt.Sprintf("%d-%d-%s-%d-%s", g.scope.ID, g.number, g.lease[:8], g.objects, file)
}

// put stores an entry point.
func (g *generation) put(ctx context.Context, p format.EntryPoint, digest string, body []byte) error {
	f := db.File{
		ScopeID: g.scope.ID, Path: p.Path, Generation: g.number, SHA256: digest, Size: int64(len(body)), CreatedAt: g.now,
		Object: repo.IndexKey(digest, g.objectName(path.Base(p.Path))), ContentType: p.ContentType, Pair: p.Pair,
	}
	if err := g.Blobs.Put(ctx, f.Object, body, Attributes(f)); err != nil {
		return fmt.Errorf("store %s: %w", p.Path, err)
	}
	g.files = append(g.files, f)
	return nil
}

// snapshot is the generation as formats see it.
func (g *generation) snapshot() format.Snapshot {
	s := format.Snapshot{Repository: g.repository, Distro: g.scope.Distro, Origin: g.origin, Generation: g.number, Time: g.now}
	for _, d := range g.documents {
		if g.named != nil && !d.Names {
			continue // no entry point can depend on a list that has not changed
		}
		s.Documents = append(s.Documents, format.Rendered{Document: d.Document, Entries: d.row.Entries, ChangedAt: d.row.ChangedAt, Forms: d.row.Forms})
	}
	return s
}
