package node

import (
	"context"
	"fmt"

	"packagecloud/internal/blob"
	"packagecloud/internal/config"
	"packagecloud/internal/edge"
)

// Redirect gives links by which clients get objects themselves.
type Redirect interface {
	// Link is where the object with a storage key and a size in bytes is
	// served, for long enough to fetch it.
	Link(ctx context.Context, key string, size int64) (string, error)
}

// openRedirect tells where clients are sent: to CloudFront if that is enabled,
// or else to the bucket. It is nil where the server sends the bytes.
func openRedirect(c *config.Config, blobs blob.Store) (Redirect, error) {
	if c.CloudFrontEnabled {
		keys, err := edge.NewKeys(c.CloudFrontSecret.Reveal())
		if err != nil {
			return nil, fmt.Errorf("cloudfront_secret: %w", err)
		}
		return cloudFront{&edge.Signer{Origin: "https://" + c.CloudFrontPackagesDomain, Keys: keys}}, nil
	}
	if l, ok := blobs.(blob.Linker); ok {
		return bucket{l}, nil
	}
	return nil, nil
}

type cloudFront struct{ signer *edge.Signer }

func (f cloudFront) Link(_ context.Context, key string, size int64) (string, error) {
	return f.signer.URL(key, size), nil
}

type bucket struct{ linker blob.Linker }

func (b bucket) Link(ctx context.Context, key string, size int64) (string, error) {
	return b.linker.Link(ctx, key, edge.Lifetime(size))
}
