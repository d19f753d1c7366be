package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"packagecloud/internal/repo"
)

// Key is a public key of a repository.
type Key struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	// Type is repo for the key that signs the repository, package for one
	// that signs packages.
	Type        string `json:"keytype"`
	DestroyPath string `json:"destroy_url"`
	DownloadURL string `json:"download_url"`
}

// Keys lists the public keys of a repository.
func (c *Client) Keys(ctx context.Context, r *Repository) ([]Key, error) {
	var answer struct {
		Keys []Key `json:"gpg_keys"`
	}
	_, err := c.get(ctx, r.Paths.GPGKeys, &answer)
	return answer.Keys, err
}

// DeleteKey removes a key.
func (c *Client) DeleteKey(ctx context.Context, k *Key) error {
	return c.delete(ctx, k.DestroyPath)
}

// CreateKey uploads a public key that signs packages. That of an earlier attempt,
// whose answer was lost, has the name that is taken: a name has the fingerprint of
// its key in it.
func (c *Client) CreateKey(ctx context.Context, r *Repository, path string) (*Key, error) {
	data, err := readKey(path)
	if err != nil {
		return nil, err
	}
	var frame bytes.Buffer
	w := multipart.NewWriter(&frame)
	part, err := w.CreateFormFile("gpg_key[keydata]", filepath.Base(path))
	if err == nil {
		_, err = part.Write(data)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("frame %s: %w", path, err)
	}
	body := frame.Bytes()
	a, err := c.do(ctx, &request{
		method: http.MethodPost, path: r.Paths.GPGKeys, kind: w.FormDataContentType(), size: int64(len(body)),
		body: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	})
	if err == nil {
		k := new(Key)
		return k, a.decode(k)
	}
	if a.repeated() {
		if k := c.takenKey(ctx, r, err); k != nil {
			return k, nil
		}
	}
	return nil, err
}

// takenKey is the key whose name a refusal says to be taken, nil if it says
// something else.
func (c *Client) takenKey(ctx context.Context, r *Repository, refusal error) *Key {
	invalid, ok := errors.AsType[*repo.InvalidError](refusal)
	if !ok {
		return nil
	}
	all, err := c.Keys(ctx, r)
	if err != nil {
		return nil
	}
	for _, k := range all {
		if slices.Contains(invalid.Fields["error"], k.Name+" "+repo.TakenMessage) {
			return &k
		}
	}
	return nil
}

// maxKey bounds a file with a public key, in bytes.
const maxKey = 1 << 20

func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > maxKey {
		return nil, fmt.Errorf("%s is longer than %d bytes: give a public key", path, maxKey)
	}
	return data, nil
}
