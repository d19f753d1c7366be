package s3blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/staging"
)

// sender sends one part of an upload.
type sender func(ctx context.Context, to target) (types.CompletedPart, error)

// target is the place of a part.
type target struct {
	key, upload *string
	number      *int32
}

// upload stores an object of several parts, unless its key exists.
func (s *Store) upload(ctx context.Context, key string, size int64, a blob.Attributes, parts []sender) error {
	h := headersOf(a)
	in := &s3.CreateMultipartUploadInput{
		Bucket: &s.config.Bucket, Key: &key, ContentType: h.contentType, ContentEncoding: h.encoding,
		ContentDisposition: h.disposition, CacheControl: h.cacheControl,
	}
	return s.multipart(ctx, in, parts, func(id *string, done []types.CompletedPart) (bool, error) {
		return s.ifFree(ctx, key, func(ctx context.Context, condition *string) error {
			return s.complete(ctx, key, id, done, size, &s3.CompleteMultipartUploadInput{IfNoneMatch: condition})
		})
	})
}

// finisher makes an object of the parts of an upload. made is false if it did
// not, for whichever reason.
type finisher func(id *string, done []types.CompletedPart) (made bool, err error)

// multipart sends parts and finishes the upload. One that makes no object leaves
// nothing; one that is cut off by a crash is left to Tidy.
func (s *Store) multipart(ctx context.Context, in *s3.CreateMultipartUploadInput, parts []sender, finish finisher) (err error) {
	begun, err := s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return err
	}
	id := begun.UploadId
	made := false
	defer func() {
		if !made {
			err = errors.Join(err, s.abort(ctx, in.Key, id))
		}
	}()
	done := make([]types.CompletedPart, len(parts))
	// Parts on their way are not cut off when another fails: the store could
	// keep one after the upload was aborted.
	group, failed := errgroup.WithContext(ctx)
	group.SetLimit(s.limits.parallel)
	for i, send := range parts {
		if failed.Err() != nil {
			break
		}
		group.Go(func() (err error) {
			if failed.Err() != nil {
				return nil //nolint:nilerr // Wait tells why the group failed
			}
			number := aws.Int32(int32(i + 1))
			done[i], err = send(ctx, target{in.Key, id, number})
			done[i].PartNumber = number
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	made, err = finish(id, done)
	return err
}

// complete makes the object. If the answer of an earlier attempt was lost, the
// upload is gone and the object there.
func (s *Store) complete(ctx context.Context, key string, id *string, done []types.CompletedPart, size int64, conditions *s3.CompleteMultipartUploadInput) error {
	conditions.Bucket, conditions.Key, conditions.UploadId = &s.config.Bucket, &key, id
	conditions.MultipartUpload = &types.CompletedMultipartUpload{Parts: done}
	_, err := s.client.CompleteMultipartUpload(ctx, conditions)
	if code(err) != "NoSuchUpload" {
		return err
	}
	if there, herr := s.head(ctx, key); herr != nil || aws.ToInt64(there.ContentLength) != size {
		return errors.Join(err, herr)
	}
	return nil
}

// abort forgets an upload and its parts, also if ctx has ended. A part that the
// store was still receiving can outlive the first request, so abort asks whether
// the upload is gone, and repeats the request until it is.
func (s *Store) abort(ctx context.Context, key, id *string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.config.Bucket, Key: key, UploadId: id})
		if err != nil && code(err) != "NoSuchUpload" && status(err) != 404 {
			return fmt.Errorf("abort the upload of %s: %w", *key, err)
		}
		left, err := s.underWay(ctx, key, id)
		if err != nil {
			return fmt.Errorf("look whether the upload of %s is aborted: %w", *key, err)
		}
		if !left {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the store keeps the upload of %s after it was aborted: %w", *key, ctx.Err())
		case <-time.After(wait):
		}
	}
}

// underWay reports whether the store lists an upload.
func (s *Store) underWay(ctx context.Context, key, id *string) (bool, error) {
	pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.config.Bucket, Prefix: key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return false, err
		}
		for _, u := range page.Uploads {
			if aws.ToString(u.Key) == *key && aws.ToString(u.UploadId) == *id {
				return true, nil
			}
		}
	}
	return false, nil
}

// slices cuts bytes into parts of equal size, but for the last.
func (s *Store) slices(body io.ReaderAt, size int64) (parts []sender) {
	each := s.partSize(size)
	for from := int64(0); from < size; from += each {
		parts = append(parts, s.slice(io.NewSectionReader(body, from, min(each, size-from))))
	}
	return parts
}

// partSize is how large parts must be for an object not to have too many.
func (s *Store) partSize(size int64) int64 {
	const unit = 1 << 20
	least := (size + s.limits.parts - 1) / s.limits.parts
	return max(s.limits.part, (least+unit-1)/unit*unit)
}

func (s *Store) slice(body *io.SectionReader) sender {
	return func(ctx context.Context, to target) (types.CompletedPart, error) {
		out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &s.config.Bucket, Key: to.key, UploadId: to.upload, PartNumber: to.number, Body: body, ContentLength: aws.Int64(body.Size()),
		})
		if err != nil {
			return types.CompletedPart{}, err
		}
		return types.CompletedPart{
			ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
			ChecksumSHA1: out.ChecksumSHA1, ChecksumSHA256: out.ChecksumSHA256,
		}, nil
	}
}

// Tidy implements blob.Tidier: it forgets uploads that no process can still
// work on. Until then their parts are paid for.
func (s *Store) Tidy(ctx context.Context) error {
	return s.tidy(ctx, s.Now().Add(-staging.Abandoned))
}

func (s *Store) tidy(ctx context.Context, before time.Time) error {
	for _, kind := range blob.Kinds {
		pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.config.Bucket, Prefix: aws.String(kind + "/")})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("list the uploads under way: %w", err)
			}
			for _, u := range page.Uploads {
				if check(aws.ToString(u.Key)) != nil || !aws.ToTime(u.Initiated).Before(before) {
					continue
				}
				if err := s.abort(ctx, u.Key, u.UploadId); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
