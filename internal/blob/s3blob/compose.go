package s3blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"packagecloud/internal/blob"
)

// Compose implements blob.Composer. Ranges of 5 MiB and more are copied by the
// store, where it can.
func (s *Store) Compose(ctx context.Context, key string, parts []blob.Part, a blob.Attributes) error {
	if err := check(key); err != nil {
		return err
	}
	for _, p := range parts {
		if p.Key == "" {
			continue
		}
		if err := check(p.Key); err != nil {
			return err
		}
		if p.Offset < 0 || p.Size < 0 {
			return fmt.Errorf("compose %s: bytes %d+%d of %s are no range", key, p.Offset, p.Size, p.Key)
		}
	}
	return wrap("compose", key, s.compose(ctx, key, parts, a))
}

func (s *Store) compose(ctx context.Context, key string, parts []blob.Part, a blob.Attributes) error {
	if there, err := s.exists(ctx, key); there || err != nil {
		return err
	}
	blocks := plan(parts, s.limits)
	copies := slices.ContainsFunc(blocks, func(b block) bool { return b.copied.Key != "" })
	if !copies || int64(len(blocks)) > s.limits.parts || s.lacks.partCopies.Load() {
		return s.gather(ctx, key, parts, a)
	}
	err := s.composeBlocks(ctx, key, blocks, a)
	if err == nil || !unsupported(err) && !slices.Contains(partRefusals, code(err)) {
		return err
	}
	// A store that has no such copies, or wants all parts of one size.
	if unsupported(err) {
		s.lacks.partCopies.Store(true)
	}
	return s.gather(ctx, key, parts, a)
}

// partRefusals are answers of stores that want other parts than S3.
var partRefusals = []string{"InvalidPart", "EntityTooSmall", "InvalidPartOrder"}

func (s *Store) composeBlocks(ctx context.Context, key string, blocks []block, a blob.Attributes) error {
	senders := make([]sender, 0, len(blocks))
	var size int64
	for _, b := range blocks {
		size += b.size()
		if b.copied.Key != "" {
			senders = append(senders, s.copyRange(b.copied, nil))
			continue
		}
		senders = append(senders, s.sendPieces(b.pieces))
	}
	return s.upload(ctx, key, size, a, senders)
}

// copyRange has the store copy a range, of the version with an ETag if that is
// not nil.
func (s *Store) copyRange(p blob.Part, etag *string) sender {
	return func(ctx context.Context, to target) (types.CompletedPart, error) {
		out, err := s.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
			Bucket: &s.config.Bucket, Key: to.key, UploadId: to.upload, PartNumber: to.number,
			CopySource: s.source(p.Key), CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", p.Offset, p.Offset+p.Size-1)), CopySourceIfMatch: etag,
		})
		if err != nil {
			return types.CompletedPart{}, wrap("copy", p.Key, missing(err))
		}
		r := out.CopyPartResult
		return types.CompletedPart{
			ETag: r.ETag, ChecksumCRC32: r.ChecksumCRC32, ChecksumCRC32C: r.ChecksumCRC32C, ChecksumCRC64NVME: r.ChecksumCRC64NVME,
			ChecksumSHA1: r.ChecksumSHA1, ChecksumSHA256: r.ChecksumSHA256,
		}, nil
	}
}

// source is the header that names what is copied. It would have to be escaped,
// but the characters of keys and buckets need not be.
func (s *Store) source(key string) *string { return aws.String(s.config.Bucket + "/" + key) }

// sendPieces sends a block of pieces, which are read into memory.
func (s *Store) sendPieces(pieces []blob.Part) sender {
	return func(ctx context.Context, to target) (types.CompletedPart, error) {
		body, err := s.readPieces(ctx, pieces)
		if err != nil {
			return types.CompletedPart{}, err
		}
		return s.slice(io.NewSectionReader(bytes.NewReader(body), 0, int64(len(body))))(ctx, to)
	}
}

// parallelReads is how many pieces are read at the same time.
const parallelReads = 16

func (s *Store) readPieces(ctx context.Context, pieces []blob.Part) ([]byte, error) {
	body := make([]byte, total(pieces))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	rest := body
	for _, p := range pieces {
		piece := rest[:size(p)]
		rest = rest[size(p):]
		if p.Key == "" {
			copy(piece, p.Body)
			continue
		}
		group.Go(func() error { return wrap("read", p.Key, s.readRange(ctx, p.Key, piece, p.Offset)) })
	}
	return body, group.Wait()
}

// gather composes an object by reading all of it, through a file.
func (s *Store) gather(ctx context.Context, key string, parts []blob.Part, a blob.Attributes) (err error) {
	file, err := s.Stage(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for _, b := range cut(parts, s.limits.minPart) {
		body, err := s.readPieces(ctx, b.pieces)
		if err != nil {
			return err
		}
		if _, err := file.Write(body); err != nil {
			return err
		}
	}
	return file.Commit(ctx, key, a)
}
