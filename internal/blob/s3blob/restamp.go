package s3blob

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packagecloud/internal/blob"
)

// Restamp implements blob.Restamper. S3 cannot change attributes: the object is
// copied onto itself, whereby it loses much that must be sent along. A bucket
// with versions keeps the old one.
func (s *Store) Restamp(ctx context.Context, key string, a blob.Attributes) (changed bool, err error) {
	if err := check(key); err != nil {
		return false, err
	}
	for attempt := 1; ; attempt++ {
		changed, err = s.restamp(ctx, key, headersOf(a))
		if code(err) != "PreconditionFailed" || attempt == readAttempts {
			return changed, wrap("refresh the attributes of", key, err)
		}
		// Somebody else did the same just now.
	}
}

func (s *Store) restamp(ctx context.Context, key string, h headers) (bool, error) {
	have, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.config.Bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return false, missing(err)
	}
	if h.contentType == nil {
		h.contentType = have.ContentType
	}
	same := func(a, b *string) bool { return aws.ToString(a) == aws.ToString(b) }
	if same(have.ContentType, h.contentType) && (h.encoding == nil || same(have.ContentEncoding, h.encoding)) && same(have.ContentDisposition, h.disposition) && same(have.CacheControl, h.cacheControl) {
		return false, nil
	}
	if aws.ToInt64(have.ContentLength) <= s.limits.maxObjectCopy {
		return true, missing(s.copyWhole(ctx, key, h, have))
	}
	return true, missing(s.copyParts(ctx, key, h, have))
}

// copyWhole copies an object onto itself in one request, which keeps its tags.
func (s *Store) copyWhole(ctx context.Context, key string, h headers, have *s3.HeadObjectOutput) error {
	_, err := s.client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: &s.config.Bucket, Key: &key, CopySource: s.source(key), CopySourceIfMatch: have.ETag, MetadataDirective: types.MetadataDirectiveReplace,
		ContentType: h.contentType, ContentEncoding: cmp.Or(h.encoding, have.ContentEncoding), ContentDisposition: h.disposition, CacheControl: h.cacheControl,
		ContentLanguage: have.ContentLanguage, Expires: have.Expires, Metadata: have.Metadata, //nolint:staticcheck // Expires is what CopyObject takes
		StorageClass: have.StorageClass, WebsiteRedirectLocation: have.WebsiteRedirectLocation, ChecksumAlgorithm: checksumOf(have),
		ServerSideEncryption: have.ServerSideEncryption, SSEKMSKeyId: have.SSEKMSKeyId, BucketKeyEnabled: have.BucketKeyEnabled,
		ObjectLockMode: have.ObjectLockMode, ObjectLockRetainUntilDate: have.ObjectLockRetainUntilDate, ObjectLockLegalHoldStatus: have.ObjectLockLegalHoldStatus,
	})
	return err
}

// copyParts does the same for objects that one request cannot copy.
func (s *Store) copyParts(ctx context.Context, key string, h headers, have *s3.HeadObjectOutput) error {
	tags, err := s.tags(ctx, key, have)
	if err != nil {
		return err
	}
	in := &s3.CreateMultipartUploadInput{
		Bucket: &s.config.Bucket, Key: &key, Tagging: tags,
		ContentType: h.contentType, ContentEncoding: cmp.Or(h.encoding, have.ContentEncoding), ContentDisposition: h.disposition, CacheControl: h.cacheControl,
		ContentLanguage: have.ContentLanguage, Expires: have.Expires, Metadata: have.Metadata, //nolint:staticcheck // Expires is what CreateMultipartUpload takes
		StorageClass: have.StorageClass, WebsiteRedirectLocation: have.WebsiteRedirectLocation, ChecksumAlgorithm: checksumOf(have),
		ServerSideEncryption: have.ServerSideEncryption, SSEKMSKeyId: have.SSEKMSKeyId, BucketKeyEnabled: have.BucketKeyEnabled,
		ObjectLockMode: have.ObjectLockMode, ObjectLockRetainUntilDate: have.ObjectLockRetainUntilDate, ObjectLockLegalHoldStatus: have.ObjectLockLegalHoldStatus,
	}
	size := aws.ToInt64(have.ContentLength)
	var parts []sender
	for _, b := range plan([]blob.Part{{Key: key, Size: size}}, s.limits) {
		parts = append(parts, s.copyRange(b.copied, have.ETag))
	}
	return s.multipart(ctx, in, parts, func(id *string, done []types.CompletedPart) (bool, error) {
		// If the object was deleted in the meantime, it must not come back.
		err := s.complete(ctx, key, id, done, size, &s3.CompleteMultipartUploadInput{IfMatch: have.ETag})
		return err == nil, err
	})
}

// tags are those of an object, as a header, or nil if there are none.
func (s *Store) tags(ctx context.Context, key string, have *s3.HeadObjectOutput) (*string, error) {
	out, err := s.client.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: &s.config.Bucket, Key: &key})
	if err != nil {
		if aws.ToInt32(have.TagCount) == 0 && (unsupported(err) || slices.Contains([]string{"AccessDenied", "NoSuchTagSet"}, code(err))) {
			return nil, nil
		}
		return nil, fmt.Errorf("read its tags, which the copy would lose: %w", err)
	}
	tags := url.Values{}
	for _, t := range out.TagSet {
		tags.Set(aws.ToString(t.Key), aws.ToString(t.Value))
	}
	if len(tags) == 0 {
		return nil, nil
	}
	return aws.String(tags.Encode()), nil
}

// checksumOf is the kind of checksum that an object has, for the copy to have
// one of the same kind; "" for what the store does by itself.
func checksumOf(have *s3.HeadObjectOutput) types.ChecksumAlgorithm {
	switch {
	case have.ChecksumSHA256 != nil:
		return types.ChecksumAlgorithmSha256
	case have.ChecksumSHA1 != nil:
		return types.ChecksumAlgorithmSha1
	case have.ChecksumCRC32C != nil:
		return types.ChecksumAlgorithmCrc32c
	case have.ChecksumCRC64NVME != nil:
		return types.ChecksumAlgorithmCrc64nvme
	case have.ChecksumCRC32 != nil:
		return types.ChecksumAlgorithmCrc32
	}
	return ""
}
