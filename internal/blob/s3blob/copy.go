package s3blob

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packagecloud/internal/blob"
)

// Copy implements blob.Store. The store copies by itself what it can.
func (s *Store) Copy(ctx context.Context, from, to string, a blob.Attributes) error {
	if err := check(from); err != nil {
		return err
	}
	if err := check(to); err != nil {
		return err
	}
	have, err := s.head(ctx, from)
	if err != nil {
		return wrap("copy", from, err)
	}
	return wrap("copy", from, s.copyObject(ctx, from, to, have, a))
}

// copyTwin copies an object that is said to have the same bytes, if it has the
// same size at least.
func (s *Store) copyTwin(ctx context.Context, from, to string, size int64, a blob.Attributes) error {
	have, err := s.head(ctx, from)
	if err != nil {
		return err
	}
	if got := aws.ToInt64(have.ContentLength); got != size {
		return fmt.Errorf("%s has %d bytes and not %d", from, got, size)
	}
	return s.copyObject(ctx, from, to, have, a)
}

func (s *Store) copyObject(ctx context.Context, from, to string, have *s3.HeadObjectOutput, a blob.Attributes) error {
	size := aws.ToInt64(have.ContentLength)
	if size > s.limits.maxObjectCopy || s.lacks.copies.Load() {
		return s.compose(ctx, to, []blob.Part{{Key: from, Size: size}}, a)
	}
	there, err := s.exists(ctx, to)
	if there || err != nil {
		return err
	}
	h := headersOf(a)
	_, err = s.client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: &s.config.Bucket, Key: &to, CopySource: s.source(from), CopySourceIfMatch: have.ETag, MetadataDirective: types.MetadataDirectiveReplace,
		ContentType: h.contentType, ContentEncoding: h.encoding, ContentDisposition: h.disposition, CacheControl: h.cacheControl,
	})
	if unsupported(err) {
		s.lacks.copies.Store(true)
		return s.compose(ctx, to, []blob.Part{{Key: from, Size: size}}, a)
	}
	return missing(err)
}
