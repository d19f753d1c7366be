package s3blob

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packagecloud/internal/blob"
)

// Finding is what a probe found out about one ability of a store.
type Finding struct {
	What   string `json:"what"`
	OK     bool   `json:"ok"`
	Needed bool   `json:"needed"` // the bucket must not be used without it
	// Detail says, where it is not OK, why, and what is done without it.
	Detail string `json:"detail,omitempty"`
}

// probe is an ability and how it is tried. without says what follows if it is
// missing.
type probe struct {
	what    string
	needed  bool
	without string
	try     func(*prober, context.Context) error
}

var probes = []probe{
	{"list objects", true, "", (*prober).lists},
	{"store, read and delete", true, "", (*prober).stores},
	{"keep Content-Type, Content-Disposition and Cache-Control", true, "", (*prober).keeps},
	{"read ranges", true, "", (*prober).ranges},
	{"store in parts", true, "", (*prober).parts},
	{"store only what is not there (If-None-Match)", false, "two nodes that store the same object at the same time write it twice", (*prober).conditions},
	{"the same for parts", false, "two nodes that store the same large object at the same time write it twice", (*prober).partConditions},
	{"compose from ranges (UploadPartCopy)", false, "large indexes are sent again whole when they change", (*prober).copies},
	{"refresh attributes in place (CopyObject)", false, "reindex-everything cannot refresh stored objects", (*prober).restamps},
	{"links that clients can use", false, "clients cannot be redirected to the bucket; correct s3_public_endpoint or s3_signature_version, or use CloudFront", (*prober).links},
	{"refuse what is not signed", true, "THE BUCKET IS PUBLIC: private packages can be read by anybody; block public access", (*prober).private},
	{"list and abort uploads", false, "parts of uploads that were cut off stay, and cost; give the bucket a lifecycle rule that aborts incomplete uploads", (*prober).aborts},
}

// prober tries abilities below one key.
type prober struct {
	store  *Store
	folder string
}

// Probe tries what the store can, with some objects that it removes again. It
// sends about 20 MiB.
func (s *Store) Probe(ctx context.Context) []Finding {
	p := &prober{s, "indexes/probe-" + strings.ToLower(rand.Text())}
	findings := make([]Finding, 0, len(probes))
	for _, probe := range probes {
		f := Finding{What: probe.what, OK: true, Needed: probe.needed}
		if err := probe.try(p, ctx); err != nil {
			f.OK, f.Detail = false, err.Error()
			if probe.without != "" {
				f.Detail = probe.without + " (" + f.Detail + ")"
			}
		}
		findings = append(findings, f)
	}
	if err := p.clean(ctx); err != nil {
		findings = append(findings, Finding{What: "remove what was tried", Detail: err.Error()})
	}
	return findings
}

func (p *prober) clean(ctx context.Context) error {
	for info, err := range p.store.List(ctx, p.folder+"/") {
		if err == nil {
			err = p.store.Delete(ctx, info.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var probed = blob.Attributes{ContentType: "application/x-probe", Filename: "a probe+1~2.deb", Class: blob.Package}

func (p *prober) key(name string) string { return p.folder + "/" + name }

// put stores an object without any condition.
func (p *prober) put(ctx context.Context, name string, body []byte, condition *string) error {
	h := headersOf(probed)
	_, err := p.store.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &p.store.config.Bucket, Key: aws.String(p.key(name)), Body: bytes.NewReader(body), IfNoneMatch: condition,
		ContentType: h.contentType, ContentDisposition: h.disposition, CacheControl: h.cacheControl,
	})
	return err
}

func (p *prober) lists(ctx context.Context) error {
	if err := p.put(ctx, "listed", []byte("x"), nil); err != nil {
		return err
	}
	for info, err := range p.store.List(ctx, p.folder) {
		if err != nil || info.Key == p.key("listed") && info.Size == 1 {
			return err
		}
	}
	return errors.New("an object that was just stored is not listed")
}

func (p *prober) stores(ctx context.Context) error {
	if err := p.put(ctx, "stored", []byte("0123456789"), nil); err != nil {
		return err
	}
	if err := p.holds(ctx, "stored", []byte("0123456789")); err != nil {
		return err
	}
	if err := p.store.Delete(ctx, p.key("stored")); err != nil {
		return err
	}
	if _, err := p.store.Stat(ctx, p.key("stored")); !errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("a deleted object is still there, or looks like one that may not be seen: %w", err)
	}
	return nil
}

// holds compares what is stored.
func (p *prober) holds(ctx context.Context, name string, want []byte) error {
	o, err := p.store.Open(ctx, p.key(name))
	if err != nil {
		return err
	}
	defer o.Close()
	got, err := io.ReadAll(o)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("other bytes came back than were stored: %d and not %d", len(got), len(want))
	}
	return err
}

func (p *prober) keeps(ctx context.Context) error {
	have, err := p.store.head(ctx, p.key("listed"))
	if err != nil {
		return err
	}
	return compare(headersOf(probed), headers{have.ContentType, have.ContentEncoding, have.ContentDisposition, have.CacheControl})
}

func compare(want, have headers) error {
	for _, h := range [][2]*string{{want.contentType, have.contentType}, {want.encoding, have.encoding}, {want.disposition, have.disposition}, {want.cacheControl, have.cacheControl}} {
		if aws.ToString(h[0]) != aws.ToString(h[1]) {
			return fmt.Errorf("%q came back as %q", aws.ToString(h[0]), aws.ToString(h[1]))
		}
	}
	return nil
}

func (p *prober) ranges(ctx context.Context) error {
	if err := p.put(ctx, "ranges", []byte("0123456789"), nil); err != nil {
		return err
	}
	got := make([]byte, 3)
	if _, err := p.store.readOnce(ctx, p.key("ranges"), got, 4); err != nil {
		return err
	}
	if string(got) != "456" {
		return fmt.Errorf("bytes 4 to 6 of 0123456789 are %q", got)
	}
	return nil
}

// large is enough for two parts.
func large() []byte { return bytes.Repeat([]byte("0123456789abcdef"), (6<<20)/16) }

// upload stores an object of two parts.
func (p *prober) upload(ctx context.Context, name string, condition *string) error {
	s := p.store
	key, body := p.key(name), large()
	parts := []sender{
		s.slice(io.NewSectionReader(bytes.NewReader(body), 0, 5<<20)),
		s.slice(io.NewSectionReader(bytes.NewReader(body), 5<<20, 1<<20)),
	}
	return s.multipart(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.config.Bucket, Key: &key}, parts, func(id *string, done []types.CompletedPart) (bool, error) {
		err := s.complete(ctx, key, id, done, int64(len(body)), &s3.CompleteMultipartUploadInput{IfNoneMatch: condition})
		return err == nil, err
	})
}

func (p *prober) parts(ctx context.Context) error {
	if err := p.upload(ctx, "parts", nil); err != nil {
		return err
	}
	return p.holds(ctx, "parts", large())
}

func (p *prober) conditions(ctx context.Context) error {
	return refused(p.put(ctx, "listed", []byte("y"), aws.String("*")))
}

func (p *prober) partConditions(ctx context.Context) error {
	return refused(p.upload(ctx, "parts", aws.String("*")))
}

// refused expects the answer to a condition that does not hold.
func refused(err error) error {
	if code(err) == "PreconditionFailed" {
		return nil
	}
	if err == nil {
		err = errors.New("an object that was there was written over")
	}
	return err
}

func (p *prober) copies(ctx context.Context) error {
	blocks := plan([]blob.Part{{Key: p.key("parts"), Size: 5 << 20}, {Body: []byte("tail")}}, p.store.limits)
	if err := p.store.composeBlocks(ctx, p.key("composed"), blocks, probed); err != nil {
		return err
	}
	return p.holds(ctx, "composed", append(large()[:5<<20], "tail"...))
}

func (p *prober) restamps(ctx context.Context) error {
	a := probed
	a.ContentType, a.Class = "application/x-new", blob.Index
	if _, err := p.store.Restamp(ctx, p.key("listed"), a); err != nil {
		return err
	}
	have, err := p.store.head(ctx, p.key("listed"))
	if err != nil {
		return err
	}
	return compare(headersOf(a), headers{have.ContentType, have.ContentEncoding, have.ContentDisposition, have.CacheControl})
}

func (p *prober) links(ctx context.Context) error {
	link, err := p.store.Link(ctx, p.key("ranges"), time.Minute)
	if err != nil {
		return err
	}
	status, body, err := fetch(ctx, link)
	if err == nil && (status != http.StatusOK || body != "0123456789") {
		err = fmt.Errorf("the answer to a link is %d %s", status, http.StatusText(status))
	}
	return err
}

func (p *prober) private(ctx context.Context) error {
	link, err := p.store.Link(ctx, p.key("ranges"), time.Minute)
	if err != nil {
		return err
	}
	bare, _, _ := strings.Cut(link, "?")
	status, _, err := fetch(ctx, bare)
	if err == nil && status < 400 {
		err = fmt.Errorf("the answer to a link without signature is %d %s", status, http.StatusText(status))
	}
	return err
}

// fetch gets a URL as clients do, without credentials.
func fetch(ctx context.Context, link string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, firstTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := (&http.Client{Transport: httpClient().GetTransport()}).Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	return answer.StatusCode, string(b), err
}

func (p *prober) aborts(ctx context.Context) error {
	s := p.store
	key := p.key("aborted")
	begun, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &s.config.Bucket, Key: &key})
	if err != nil {
		return err
	}
	out, err := s.client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &s.config.Bucket, Prefix: &key})
	if err == nil && len(out.Uploads) != 1 {
		err = fmt.Errorf("%d uploads are listed, and 1 is under way", len(out.Uploads))
	}
	return errors.Join(err, s.abort(ctx, &key, begun.UploadId))
}
