// Package s3blob is a blob.Store in a bucket of S3, or of a store that speaks
// its language.
//
// The key of an object is its key in the bucket. Objects are stored whole or
// not at all, and only if their key is free (If-None-Match), so that nodes need
// not know of each other. What a store lacks is done without: see Capabilities.
//
// Uploads are staged in a folder of this machine, because they are parsed
// before anybody knows their digest, and sent from there without being held in
// memory.
package s3blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/staging"
)

// Store keeps objects in a bucket. It may be shared by any number of nodes.
type Store struct {
	config Config
	client *s3.Client
	signer signer
	clock  *storeClock
	limits limits
	// lacks are abilities that the store turned out not to have. A store that learns
	// one later is taken for as it was until the next start: nothing depends on one,
	// it only saves requests and bytes.
	lacks struct{ conditions, partCopies, copies atomic.Bool }
}

var (
	_ blob.Store      = (*Store)(nil)
	_ blob.Linker     = (*Store)(nil)
	_ blob.Composer   = (*Store)(nil)
	_ blob.Restamper  = (*Store)(nil)
	_ blob.Tidier     = (*Store)(nil)
	_ blob.Timekeeper = (*Store)(nil)
)

// limits are the numbers of S3. Tests make them smaller.
type limits struct {
	// single is up to which size an object is sent in one piece.
	single int64
	// part is the least size of the parts of a larger one.
	part int64
	// minPart is what S3 takes as a part that is not the last.
	minPart int64
	// maxCopy is the most that a part may copy, at least two minPart, and
	// maxObjectCopy the most that one CopyObject does.
	maxCopy, maxObjectCopy int64
	// parts is the most parts of an object.
	parts int64
	// parallel is how many parts of an object are sent at the same time.
	parallel int
}

var standard = limits{
	single: 16 << 20, part: 16 << 20, minPart: 5 << 20, maxCopy: 1 << 30, maxObjectCopy: 5 << 30, parts: 10_000, parallel: 4,
}

// check reports why key cannot be a key of this store. Other things may live in
// the bucket: what is not of our kinds is not touched.
func check(key string) error {
	if err := blob.CheckKey(key); err != nil {
		return err
	}
	if kind, _, _ := strings.Cut(key, "/"); !slices.Contains(blob.Kinds, kind) || kind == key {
		return fmt.Errorf("storage key %q: must begin with one of %s and a slash", key, strings.Join(blob.Kinds, ", "))
	}
	return nil
}

// headers are the attributes of an object as S3 keeps them.
type headers struct{ contentType, encoding, disposition, cacheControl *string }

func headersOf(a blob.Attributes) (h headers) {
	if a.ContentType != "" {
		h.contentType = aws.String(a.ContentType)
	}
	if a.ContentEncoding != "" {
		h.encoding = aws.String(a.ContentEncoding)
	}
	if a.Filename != "" {
		h.disposition = aws.String(mime.FormatMediaType("attachment", map[string]string{"filename": a.Filename}))
	}
	h.cacheControl = aws.String(a.Class.CacheControl())
	return h
}

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, key string, body []byte, a blob.Attributes) error {
	if err := check(key); err != nil {
		return err
	}
	return wrap("store", key, s.put(ctx, key, bytes.NewReader(body), int64(len(body)), a))
}

// put stores bytes under a key, unless that exists. An object whose key names
// its digest and that has another size is replaced. Its bytes are not compared:
// S3 looks after those itself.
func (s *Store) put(ctx context.Context, key string, body io.ReaderAt, size int64, a blob.Attributes) error {
	if size > s.limits.single {
		there, err := s.head(ctx, key)
		switch {
		case errors.Is(err, blob.ErrNotFound):
		case err != nil || !damaged(there, key, size):
			return err
		default:
			if err := s.Delete(ctx, key); err != nil {
				return err
			}
		}
		return s.upload(ctx, key, size, a, s.slices(body, size))
	}
	stored, err := s.putSmall(ctx, key, body, size, a)
	if err != nil || stored || blob.DigestOf(key) == "" {
		return err
	}
	there, err := s.head(ctx, key)
	if err != nil && !errors.Is(err, blob.ErrNotFound) || err == nil && !damaged(there, key, size) {
		return err
	}
	return s.putOver(ctx, key, body, size, a, nil)
}

func damaged(there *s3.HeadObjectOutput, key string, size int64) bool {
	return blob.DigestOf(key) != "" && aws.ToInt64(there.ContentLength) != size
}

func (s *Store) putSmall(ctx context.Context, key string, body io.ReaderAt, size int64, a blob.Attributes) (stored bool, err error) {
	return s.ifFree(ctx, key, func(ctx context.Context, condition *string) error {
		return s.putOver(ctx, key, body, size, a, condition)
	})
}

func (s *Store) putOver(ctx context.Context, key string, body io.ReaderAt, size int64, a blob.Attributes, condition *string) error {
	h := headersOf(a)
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.config.Bucket, Key: &key, Body: io.NewSectionReader(body, 0, size), ContentLength: &size, IfNoneMatch: condition,
		ContentType: h.contentType, ContentEncoding: h.encoding, ContentDisposition: h.disposition, CacheControl: h.cacheControl,
	})
	return err
}

// ifFree runs an operation that stores an object, with the condition that its
// key is free. It is no error if it is not: stored is false then. On a store that knows no conditions it looks first: two
// nodes may then both store the object, which are the same bytes.
func (s *Store) ifFree(ctx context.Context, key string, run func(ctx context.Context, condition *string) error) (stored bool, err error) {
	if !s.lacks.conditions.Load() {
		err := run(ctx, aws.String("*"))
		if code(err) == "PreconditionFailed" {
			return false, nil
		}
		if !unsupported(err) {
			return err == nil, err
		}
		s.lacks.conditions.Store(true)
	}
	if there, err := s.exists(ctx, key); there || err != nil {
		return false, err
	}
	err = run(ctx, nil)
	return err == nil, err
}

func (s *Store) exists(ctx context.Context, key string) (bool, error) {
	_, err := s.head(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *Store) head(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.config.Bucket, Key: &key})
	return out, missing(err)
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, key string) (blob.Info, error) {
	if err := check(key); err != nil {
		return blob.Info{}, err
	}
	out, err := s.head(ctx, key)
	if err != nil {
		return blob.Info{}, wrap("look for", key, err)
	}
	return blob.Info{Key: key, Size: aws.ToInt64(out.ContentLength), ModTime: aws.ToTime(out.LastModified)}, nil
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(key); err != nil {
		return err
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.config.Bucket, Key: &key})
	if err = missing(err); errors.Is(err, blob.ErrNotFound) {
		return nil // AWS says that it is gone, other stores that it never was
	}
	return wrap("delete", key, err)
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for _, kind := range blob.Kinds {
			from := kind + "/"
			if strings.HasPrefix(prefix, from) {
				from = prefix
			} else if !strings.HasPrefix(from, prefix) {
				continue
			}
			if !s.list(ctx, from, yield) {
				return
			}
		}
	}
}

// list is false if yield wants no more, or there was an error.
func (s *Store) list(ctx context.Context, prefix string, yield func(blob.Info, error) bool) bool {
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.config.Bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			yield(blob.Info{}, wrap("list", prefix, err))
			return false
		}
		for _, o := range page.Contents {
			info := blob.Info{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size), ModTime: aws.ToTime(o.LastModified)}
			if check(info.Key) != nil {
				continue // not ours, such as a "folder" that a console made
			}
			if !yield(info, nil) {
				return false
			}
		}
	}
	return true
}

// staged is a file of this machine that has no key yet.
type staged struct {
	*staging.File
	store     *Store
	committed string // the key under which the bytes were stored last
}

// Stage implements blob.Store.
func (s *Store) Stage(context.Context) (blob.Staged, error) {
	f, err := staging.New(s.config.Staging)
	if err != nil {
		return nil, err
	}
	return &staged{File: f, store: s}, nil
}

// Commit implements blob.Staged.
func (t *staged) Commit(ctx context.Context, key string, a blob.Attributes) error {
	if err := check(key); err != nil {
		return err
	}
	if t.committed == key {
		// An upload makes sure of its bytes in the transaction that records
		// them. They are not sent again only to be told that they are there.
		if there, err := t.store.exists(ctx, key); there || err != nil {
			return wrap("look for", key, err)
		}
	}
	if a.Twin != "" && t.store.copyTwin(ctx, a.Twin, key, t.Size(), a) == nil {
		t.committed = key
		return nil
	}
	if err := t.store.put(ctx, key, t, t.Size(), a); err != nil {
		return wrap("store", key, err)
	}
	t.committed = key
	return nil
}
