package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"

	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// enter makes, signs and stores the entry points that change. They are made
// last: everything that they name is stored by now.
func (g *generation) enter(ctx context.Context) error {
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
		return fmt.Errorf("get the signing key of %s: %w", g.repository.FullName(), err)
	}
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
		body, err := content(p, signer)
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
func content(p format.EntryPoint, s Signer) ([]byte, error) {
	switch p.Sign {
	case format.ClearSigned:
		return s.ClearSign(p.Body)
	case format.DetachSigned:
		return s.DetachSign(p.Body)
	case format.PublicKey:
		return s.PublicKey(), nil
	default:
		return p.Body, nil
	}
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
	s := format.Snapshot{Repository: g.repository, Distro: g.scope.Distro, Origin: g.Origin, Generation: g.number, Time: g.now}
	for _, d := range g.documents {
		if g.named != nil && !d.Names {
			continue // no entry point can depend on a list that has not changed
		}
		s.Documents = append(s.Documents, format.Rendered{Document: d.Document, Entries: d.row.Entries, ChangedAt: d.row.ChangedAt, Forms: d.row.Forms})
	}
	return s
}
