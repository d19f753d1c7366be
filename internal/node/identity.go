package node

import (
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

// maxIdentity is far above the length of an identity, in bytes.
const maxIdentity = 100

// ClaimStorage makes sure that all nodes of a database have the same storage: the
// first one writes an identity into both. A node with a folder or bucket of its
// own would answer "not found" for what others stored, and they for what it did.
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
	where := "the folder " + StorageDirectory(n.Config)
	if n.Config.S3Bucket != "" {
		where = "the bucket " + n.Config.S3Bucket
	}
	return fmt.Errorf("%w: its object %s says %s in %s, and the database wants %s. All nodes of a database must share one storage: "+
		"correct s3_bucket or mount the folder that the others use; for another storage run packagecloud-ctl migrate-storage; "+
		"if this is a copy that was restored without that object, put it there with the text %s",
		ErrOtherStorage, blob.IdentityKey, have, where, want, want)
}

// identify gives storage and database an identity, that of the storage if it has
// one. Of several nodes that do so at the same time one decides.
func (n *Node) identify(ctx context.Context) (string, error) {
	identity, err := readIdentity(ctx, n.Blobs)
	if err != nil {
		return "", err
	}
	if identity == "" {
		a := blob.Attributes{ContentType: "text/plain", Class: blob.Index}
		if err := n.Blobs.Put(ctx, blob.IdentityKey, []byte(strings.ToLower(rand.Text())), a); err != nil {
			return "", fmt.Errorf("give the storage an identity: %w", err)
		}
		if identity, err = readIdentity(ctx, n.Blobs); err != nil {
			return "", err
		}
	}
	if err := n.DB.Update(ctx, func(tx *db.Tx) error { return tx.SetStorageIdentity(ctx, identity) }); err != nil {
		return "", err
	}
	return n.DB.StorageIdentity(ctx)
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
