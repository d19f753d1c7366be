package ctl

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"packagecloud/internal/config"
	"packagecloud/internal/edge"
	"packagecloud/internal/seal"
)

// TestRotationStages: the configuration and what is kept tell how far a
// rotation is.
func TestRotationStages(t *testing.T) {
	const former, fresh, other = "MDI2ZDhhYmMxYThiMjVmMTBlODM4OWNmZWZiZmI2NWI", "q2fXb8cVnR5tYw1zKdP0sLgHj3mA7uEo9iBv6xNrTkQ", "Zt3kLq8WnB1xYc6vRj0uHs5gPe2mDa9oTf7iNrXwQzE"
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	kept := func(swapped time.Time, dropped bool) *rotation {
		return &rotation{Secret: fresh, Former: edge.KeyID(former), Swapped: swapped, Dropped: dropped}
	}
	for _, c := range []struct {
		what          string
		first, second config.Secret
		kept          *rotation
		hurry         bool
		want          rotationStage // empty for an error
	}{
		{"nothing is under way", former, "", nil, false, stageBegin},
		{"somebody replaces the secret by hand", former, other, nil, false, ""},
		{"the configuration is as before", former, "", kept(time.Time{}, false), false, stageAnnounce},
		{"nor does a hurry change that", former, "", kept(time.Time{}, false), true, stageAnnounce},
		{"the new one was added as the second", former, fresh, kept(time.Time{}, false), false, stageAnnounce},
		{"another one was added as the second", former, other, kept(time.Time{}, false), false, ""},
		{"the new one signs, as was not seen before", fresh, former, kept(time.Time{}, false), false, stageDrain},
		{"it was seen a second less than a day ago", fresh, former, kept(now.Add(time.Second-drain), false), false, stageDrain},
		{"it was seen a day ago", fresh, former, kept(now.Add(-drain), false), false, stageDrop},
		{"the line was removed early", fresh, "", kept(now, false), false, stageDrain},
		{"the former one leaked", fresh, former, kept(time.Time{}, false), true, stageDrop},
		{"the configuration was put back", former, "", kept(now, false), false, stageAnnounce},
		{"it was put back too late", former, "", kept(now, true), false, stageAnnounce},
		{"the line is still there", fresh, former, kept(now, true), false, stageCleanUp},
		{"the line is removed", fresh, "", kept(now, true), false, stageComplete},
		{"another secret altogether", other, "", kept(now, false), false, ""},
	} {
		got, err := c.kept.stage(&config.Config{CloudFrontSecret: c.first, CloudFrontSecondSecret: c.second}, now, c.hurry)
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q, %v; want %q", c.what, got, err, c.want)
		}
	}
}

// TestRotationIsKept: sealed, for nobody else, and not replaced by a run that
// begins at the same time.
func TestRotationIsKept(t *testing.T) {
	c := &config.Config{DataDirectory: t.TempDir()}
	c.MasterKeyFile = filepath.Join(c.DataDirectory, "master.key")
	file := rotationOf(c)
	if _, err := file.begin("former"); err == nil {
		t.Error("a secret was kept without a master key")
	}
	if _, err := seal.Create(c.MasterKeyFile); err != nil {
		t.Fatal(err)
	}
	if r, err := file.load(); r != nil || err != nil {
		t.Fatal(r, err)
	}
	r, err := file.begin("former")
	if err != nil {
		t.Fatal(err)
	}
	if second, err := file.begin("former"); err != nil || second.Secret != r.Secret {
		t.Errorf("two secrets were made: %v", err)
	}
	if s, err := file.announced(c); err != nil || s != r.Secret {
		t.Errorf("the secret is not announced: %v", err)
	}
	r.Swapped = time.Now().Round(0)
	if err := file.save(r); err != nil {
		t.Fatal(err)
	}
	if again, err := file.load(); err != nil || again.Secret != r.Secret || !again.Swapped.Equal(r.Swapped) {
		t.Errorf("what was kept is not what comes back: %v", err)
	}
	text, err := os.ReadFile(file.path)
	info, err2 := os.Stat(file.path)
	if err != nil || err2 != nil || info.Mode().Perm() != 0o600 || bytes.Contains(text, []byte(r.Secret)) {
		t.Errorf("the file is not sealed: %v %v %v", info.Mode(), err, err2)
	}
	if left, _ := filepath.Glob(filepath.Join(c.DataDirectory, ".cloudfront*")); len(left) > 0 {
		t.Errorf("%q were left", left)
	}
}
