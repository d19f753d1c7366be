package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"packagecloud/internal/blob"
	"packagecloud/internal/db"
)

// ErrOtherStorage says that the storage is not that of the database.
var ErrOtherStorage = errors.New("the storage is not the one that belongs to the database")

// ErrUsedStorage says that a storage has what a new database does not know.
var ErrUsedStorage = errors.New("the storage belongs to another database")

// maxIdentity is far above the length of an identity, in bytes.
const maxIdentity = 100

// ClaimStorage makes sure that all nodes of a database have the same storage: the
// first one writes an identity into both. A node with a folder or bucket of its
// own would answer "not found" for what others stored, and they for what it did.
// A new database gets a new storage: no command can take over what is stored,
// because its names, versions and owners are in the database alone.
func (n *Node) ClaimStorage(ctx context.Context) error {
	want, err := n.DB.StorageIdentity(ctx)
	if err != nil {
		return err
	}
	if want == "" {
		if want, err = n.identify(ctx); err != nil {
			return err
		}
	}
	return n.compareStorage(ctx, want)
}

// CheckStorage is ErrOtherStorage if the storage belongs to another database, or
// to none while this one has another. It changes nothing.
func (n *Node) CheckStorage(ctx context.Context) error {
	want, err := n.DB.StorageIdentity(ctx)
	if err != nil || want == "" {
		return err
	}
	return n.compareStorage(ctx, want)
}

func (n *Node) compareStorage(ctx context.Context, want string) error {
	have, err := readIdentity(ctx, n.Blobs)
	switch {
	case err != nil:
		return err
	case have == want:
		return nil
	case have == "":
		have = "nothing"
	}
	return fmt.Errorf("%w: its object %s says %s in %s, and the database wants %s. All nodes of a database must share one storage: "+
		"correct s3_bucket or mount the folder that the others use; for another storage run packagecloud-ctl migrate-storage; "+
		"if this is a copy that was restored without that object, put it there with the text %s",
		ErrOtherStorage, blob.IdentityKey, have, n.where(), want, want)
}

// identify gives storage and database an identity. Of several nodes that do so at
// the same time one decides, and the others wait for its transaction.
func (n *Node) identify(ctx context.Context) (string, error) {
	have, err := readIdentity(ctx, n.Blobs)
	if err != nil {
		return "", err
	}
	identity := cmp.Or(have, strings.ToLower(rand.Text()))
	err = n.DB.Update(ctx, func(tx *db.Tx) error {
		first, err := tx.SetStorageIdentity(ctx, identity)
		if err != nil || !first {
			return err
		}
		stored, err := tx.AnythingStored(ctx)
		if err != nil {
			return err
		}
		if !stored {
			if err := n.unused(ctx, have); err != nil {
				return err
			}
		}
		return n.writeIdentity(ctx, identity)
	})
	if err != nil {
		return "", err
	}
	return n.DB.StorageIdentity(ctx)
}

// unused is ErrUsedStorage if the storage, which has an identity or none, is that of
// some other database than this one, which is new: its rows are not here, so that
// the sweep would take all that is stored for left-overs and remove it.
func (n *Node) unused(ctx context.Context, identity string) error {
	found := ""
	if identity != "" {
		found = blob.IdentityKey
	}
	for _, kind := range blob.Kinds {
		for info, err := range n.Blobs.List(ctx, kind+"/") {
			if err != nil {
				return fmt.Errorf("look whether the storage is used: %w", err)
			}
			if info.Key != blob.IdentityKey {
				found = info.Key
				break
			}
		}
	}
	if found == "" {
		return nil
	}
	return fmt.Errorf("%w: %s holds %s, and the database is new. If the database was lost, restore it from a backup; if data_directory or database_url name "+
		"the wrong one, correct them; if another server uses this storage, choose another folder by data_directory, or another bucket by s3_bucket. "+
		"If nobody needs what is stored, remove %s from it, and start again", ErrUsedStorage, n.where(), found, strings.Join(blob.Kinds, ", "))
}

// where names the storage.
func (n *Node) where() string {
	if n.Config.S3Bucket != "" {
		return "the bucket " + n.Config.S3Bucket
	}
	return "the folder " + StorageDirectory(n.Config)
}

// writeIdentity gives the storage an identity, if it has no other one.
func (n *Node) writeIdentity(ctx context.Context, identity string) error {
	a := blob.Attributes{ContentType: "text/plain", Class: blob.Index}
	if err := n.Blobs.Put(ctx, blob.IdentityKey, []byte(identity), a); err != nil {
		return fmt.Errorf("give the storage an identity: %w", err)
	}
	return n.compareStorage(ctx, identity)
}

// readIdentity is "" for a storage without one.
func readIdentity(ctx context.Context, store blob.Store) (string, error) {
	o, err := store.Open(ctx, blob.IdentityKey)
	if errors.Is(err, blob.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the identity of the storage: %w", err)
	}
	defer o.Close()
	text, err := io.ReadAll(io.LimitReader(o, maxIdentity))
	if err != nil {
		return "", fmt.Errorf("read the identity of the storage: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
