package ctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"packagecloud/internal/config"
	"packagecloud/internal/edge"
	"packagecloud/internal/seal"
)

// drain is how long the former secret stays good after the configuration was
// first seen without it in front: links live for six hours, and all servers
// must have been restarted.
const drain = 24 * time.Hour

// rotation is a replacement of the secret that is under way. It is kept, sealed
// to the master key, from before anybody else knows the new secret until it is
// alone.
type rotation struct {
	Secret string // the new one
	Former string // the key id of the one that it replaces
	// Swapped is when the configuration was first seen to sign with the new
	// one, and Dropped whether the edges have the new one alone.
	Swapped time.Time
	Dropped bool
}

// rotationStage is how far it is.
type rotationStage string

// The stages, in their order. Each but the first and the last is entered by a
// change of the configuration, or of time.
const (
	stageBegin    rotationStage = "begin"    // make a secret, and go on as in announce
	stageAnnounce rotationStage = "announce" // the edges get both, then the configuration
	stageDrain    rotationStage = "drain"    // links of the former secret are still good
	stageDrop     rotationStage = "drop"     // the edges get the new one alone
	stageCleanUp  rotationStage = "clean-up" // the configuration still has the former one
	stageComplete rotationStage = "complete" // nothing is left but to forget the rotation
)

// stage tells how far a rotation is by what a configuration has. r is nil if
// none is under way.
func (r *rotation) stage(c *config.Config, now time.Time, hurry bool) (rotationStage, error) {
	first, second := c.CloudFrontSecret.Reveal(), c.CloudFrontSecondSecret.Reveal()
	switch {
	case r == nil && second != "":
		return "", errors.New("cloudfront_second_secret is set, and not by this command: finish that replacement first (docs/cloudfront.md), remove the line, and run this again")
	case r == nil:
		return stageBegin, nil
	case first != r.Secret && edge.KeyID(first) != r.Former:
		return "", errors.New("cloudfront_secret is neither the secret from before nor the one that replaces it: put back one of them")
	case first != r.Secret && second != "" && second != r.Secret:
		return "", errors.New("cloudfront_second_secret is another secret than the one that replaces cloudfront_secret: remove the line")
	case first != r.Secret:
		return stageAnnounce, nil
	case r.Dropped && second != "":
		return stageCleanUp, nil
	case r.Dropped:
		return stageComplete, nil
	case hurry || !r.Swapped.IsZero() && !now.Before(r.Swapped.Add(drain)):
		return stageDrop, nil
	}
	return stageDrain, nil
}

// rotationFile keeps a rotation.
type rotationFile struct{ path, masterKey string }

func rotationOf(c *config.Config) rotationFile {
	return rotationFile{filepath.Join(c.DataDirectory, "cloudfront-rotation"), c.MasterKeyFile}
}

const rotationLabel = "rotation of the CloudFront secret"

// load is nil if no rotation is under way.
func (f rotationFile) load() (*rotation, error) {
	sealed, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the rotation of the secret: %w", err)
	}
	s, err := seal.Open(f.masterKey)
	if err != nil {
		return nil, err
	}
	text, err := s.Unseal(rotationLabel, sealed)
	r := &rotation{}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.path, err)
	}
	return r, nil
}

// begin keeps a new rotation, or loads the one that another run began.
func (f rotationFile) begin(former string) (*rotation, error) {
	r := &rotation{Secret: edge.GenerateSecret(), Former: edge.KeyID(former)}
	err := f.keep(r, os.Link) // which does not replace
	if errors.Is(err, fs.ErrExist) {
		return f.load()
	}
	return r, err
}

// save keeps what has become of a rotation.
func (f rotationFile) save(r *rotation) error { return f.keep(r, os.Rename) }

// keep writes a rotation to disk before it gets its name.
func (f rotationFile) keep(r *rotation, name func(from, to string) error) error {
	s, err := seal.Open(f.masterKey)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the new secret is kept under the master key, and there is none at %s: run this on a server, as its user", f.masterKey)
	}
	if err != nil {
		return err
	}
	text, err := json.Marshal(r) //nolint:gosec // it is sealed below
	if err != nil {
		return fmt.Errorf("keep the rotation of the secret: %w", err)
	}
	sealed, err := s.Seal(rotationLabel, text)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(f.path), ".cloudfront-rotation-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep the rotation of the secret: %w", err)
	}
	defer os.Remove(file.Name()) //nolint:errcheck // it has another name by then
	_, err = file.Write(sealed)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("keep the rotation of the secret: %w", err)
	}
	if err := name(file.Name(), f.path); err != nil {
		return fmt.Errorf("keep the rotation of the secret: %w", err)
	}
	return syncFolder(filepath.Dir(f.path))
}

// forget ends a rotation.
func (f rotationFile) forget() error {
	if err := os.Remove(f.path); err != nil {
		return fmt.Errorf("forget the rotation of the secret: %w", err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("keep the rotation of the secret: %w", err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("keep the rotation of the secret: %w", err)
	}
	return nil
}

// announced is the new secret while the configuration does not have it: whoever
// sets the edges up must not take it from them.
func (f rotationFile) announced(c *config.Config) (string, error) {
	r, err := f.load()
	if err != nil || r == nil || r.Dropped || r.Secret == c.CloudFrontSecret.Reveal() || r.Secret == c.CloudFrontSecondSecret.Reveal() {
		return "", err
	}
	return r.Secret, nil
}
