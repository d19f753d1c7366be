package node

import (
	"context"
	"fmt"

	"packagecloud/internal/blob"
	"packagecloud/internal/clock"
	"packagecloud/internal/config"
	"packagecloud/internal/edge"
)

// Redirect gives links by which clients get objects themselves.
type Redirect interface {
	// Link is where the object with a storage key and a size in bytes is
	// served, for long enough to fetch it.
	Link(ctx context.Context, key string, size int64) (string, error)
}

// openRedirect tells where clients are sent: to CloudFront or our own edge if
// there is one, or else to the bucket. It is nil where the server sends the bytes.
func openRedirect(c *config.Config, blobs blob.Store) (Redirect, error) {
	switch {
	case c.CloudFrontEnabled:
		return openEdge(c, "https://"+c.CloudFrontPackagesDomain, blobs)
	case c.EdgeURL != nil:
		return openEdge(c, c.EdgeURL.String(), blobs)
	}
	if l, ok := blobs.(blob.Linker); ok {
		return bucket{l}, nil
	}
	return nil, nil
}

// openEdge signs links by the clock of the bucket, as those who check them have the
// time: our edges take it from the bucket too, and CloudFront is right. So it does
// not matter when the clocks of nodes and edges are wrong.
func openEdge(c *config.Config, origin string, blobs blob.Store) (Redirect, error) {
	keys, err := EdgeKeys(c)
	if err != nil {
		return nil, err
	}
	s := &edge.Signer{Origin: origin, Keys: keys, Now: clock.Now}
	if t, ok := blobs.(blob.Timekeeper); ok {
		s.Now = t.Now
	}
	return signer{s}, nil
}

// EdgeKeys are the secrets of links; the first one signs.
func EdgeKeys(c *config.Config) (*edge.Keys, error) {
	secrets := []string{c.CloudFrontSecret.Reveal()}
	if second := c.CloudFrontSecondSecret.Reveal(); second != "" {
		secrets = append(secrets, second)
	}
	keys, err := edge.NewKeys(secrets...)
	if err != nil {
		return nil, fmt.Errorf("cloudfront_secret, cloudfront_second_secret: %w", err)
	}
	return keys, nil
}

type signer struct{ *edge.Signer }

func (s signer) Link(_ context.Context, key string, size int64) (string, error) {
	return s.URL(key, size), nil
}

type bucket struct{ linker blob.Linker }

func (b bucket) Link(ctx context.Context, key string, size int64) (string, error) {
	return b.linker.Link(ctx, key, edge.Lifetime(size))
}
