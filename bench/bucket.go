package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// counter stands before a bucket and counts what is asked of it.
type counter struct {
	*httptest.Server
	requests, sent, received atomic.Int64
}

func newCounter(store *url.URL) *counter {
	c := new(counter)
	proxy := &httputil.ReverseProxy{
		// The host is signed.
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(store); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error {
			r.Body = &counted{r.Body, &c.received}
			return nil
		},
	}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.requests.Add(1)
		r.Body = &counted{r.Body, &c.sent}
		proxy.ServeHTTP(w, r)
	}))
	return c
}

type counted struct {
	io.ReadCloser
	bytes *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// openBucket opens a node that keeps everything in a new bucket, with the
// environment that says where.
func openBucket(ctx context.Context) (*benchNode, *counter, []string, error) {
	store, err := url.Parse(os.Getenv("PACKAGECLOUD_TEST_S3"))
	if err != nil || store.User == nil {
		return nil, nil, nil, errors.New("there is no S3 server: run scripts/bench")
	}
	secret, _ := store.User.Password()
	access := store.User.Username()
	store.User = nil
	c := newCounter(store)
	name := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	client := s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(store.String()), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
	})
	if _, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &name}); err != nil {
		return nil, nil, nil, fmt.Errorf("make a bucket: %w", err)
	}
	environment := []string{
		"PACKAGECLOUD_S3_BUCKET=" + name, "PACKAGECLOUD_S3_ENDPOINT=" + c.URL, "PACKAGECLOUD_S3_PATH_STYLE=true",
		"PACKAGECLOUD_AWS_ACCESS_KEY=" + access, "PACKAGECLOUD_AWS_SECRET_KEY=" + secret,
	}
	n, err := open(ctx, environment...)
	return n, c, environment, err
}

// benchBucket measures what one more package costs in a bucket.
func benchBucket(ctx context.Context) (rows []row, err error) {
	for text := range strings.SplitSeq(*sizes, ",") {
		size, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		for _, k := range kinds {
			if k.name != "deb" && k.name != "rpm" {
				continue // publishing composes nothing: what there is for each name is stored when it is asked for
			}
			r, err := publishIntoBucket(ctx, k, size)
			if err != nil {
				return nil, err
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func publishIntoBucket(ctx context.Context, k kind, size int) (row, error) {
	n, c, _, err := openBucket(ctx)
	if err != nil {
		return row{}, err
	}
	defer c.Close()
	defer n.forget()
	u, r, _, err := owner(ctx, n.Node, "acme")
	if err != nil {
		return row{}, err
	}
	say("%s in a bucket: recording %s packages", k.name, thousands(size))
	if err := fill(ctx, n.Node, k, u, r, 0, size); err != nil {
		return row{}, err
	}
	var ahead clock
	n.Worker.Now = ahead.now
	step := func() (cpu time.Duration, err error) {
		ahead.ahead += time.Minute
		m := measure()
		worked, err := n.Worker.Step(ctx)
		if err == nil && !worked {
			err = errors.New("there was nothing to publish")
		}
		_, cpu, _ = m.used()
		return cpu, err
	}
	if _, err := step(); err != nil {
		return row{}, err
	}
	var costs []time.Duration
	var requests, sent, received []int64
	for i := range rounds {
		if err := fill(ctx, n.Node, k, u, r, size+i, size+i+1); err != nil {
			return row{}, err
		}
		q, s, b := c.requests.Load(), c.sent.Load(), c.received.Load()
		cpu, err := step()
		if err != nil {
			return row{}, err
		}
		costs, requests = append(costs, cpu), append(requests, c.requests.Load()-q)
		sent, received = append(sent, c.sent.Load()-s), append(received, c.received.Load()-b)
	}
	slices.Sort(costs)
	for _, all := range [][]int64{requests, sent, received} {
		slices.Sort(all)
	}
	whole, err := n.liveSize(ctx)
	return row{
		fmt.Sprintf("publish one %s more than %s in a bucket", k.name, thousands(size)),
		fmt.Sprintf("%s CPU, %d requests, %s sent, %s read back", milliseconds(costs[rounds/2]), requests[rounds/2], mebibytes(sent[rounds/2]), mebibytes(received[rounds/2])),
		fmt.Sprintf("the files of a generation have %s", mebibytes(whole)),
	}, err
}

// liveSize is how many bytes the files of all live generations have that are
// objects of their own.
func (n *benchNode) liveSize(ctx context.Context) (size int64, err error) {
	scopes, err := n.DB.Scopes(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range scopes {
		files, err := n.DB.LiveFiles(ctx, s.ID)
		if err != nil {
			return 0, err
		}
		for _, f := range files {
			if f.Object != "" {
				size += f.Size
			}
		}
	}
	return size, nil
}
