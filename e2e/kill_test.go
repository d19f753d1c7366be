package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/blob/s3blob/s3test"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/format/rpm/rpmtest"
)

// TestKill kills the server at random moments while packages of all types are
// pushed, promoted, deleted and published. After each restart packagecloud-ctl
// verify must find nothing wrong and everything acknowledged must be there.
func TestKill(t *testing.T) {
	folder, bucket := 60, 15 // rounds
	if soaking() {
		folder, bucket = 200, 25
	}
	t.Run("folder", func(t *testing.T) { survive(t, start(t), folder) })
	t.Run("bucket", func(t *testing.T) {
		environment := append(s3test.New(t).Environ(), "PACKAGECLOUD_DATABASE_URL="+dbtest.PostgresURL(t))
		survive(t, start(t, environment...), bucket)
	})
}

func survive(t *testing.T, s *instance, rounds int) {
	s.createRepository(t, "demo")
	s.createRepository(t, "stable")
	var all acknowledged
	for round := range rounds {
		s.disturb(t, round, &all)
		s.verify(t) // as it was left, before anything can repair it
		s.run(t)
		if round%10 == 9 {
			s.settle(t, all.kept)
		}
	}
	s.settle(t, all.kept)
	s.verify(t)
	for _, p := range all.moving {
		if n := s.places(t, p); n != 1 {
			t.Errorf("%s, whose promotion broke off, is in %d repositories", p.Filename, n)
		}
	}
	for _, repository := range []string{"demo", "stable"} {
		s.checkLinks(t.Context(), t, "/admin/"+repository+"/ubuntu", "jammy", 1)
	}
	t.Logf("%d rounds, %d packages acknowledged, %d promotions broken off", rounds, len(all.kept), len(all.moving))
}

// acknowledged is what the server must not lose.
type acknowledged struct {
	mu     sync.Mutex
	kept   []pushed
	moving []pushed // whose promotion from demo to stable broke off: they are in one of the two
}

// writers are what each writer of a drill pushes: its package i of a name.
var writers = []func(name string, i int) (distro int, file string, body []byte){
	func(name string, i int) (int, string, []byte) {
		padding := make([]byte, rand.IntN(300_000))
		_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name + strconv.Itoa(i)))).Read(padding)
		p := debtest.Package{Name: fmt.Sprintf("%s-%d", name, i), Files: map[string][]byte{"usr/share/x": padding}, DataCompression: "none"}
		return jammy, "x.deb", p.Build()
	},
	func(name string, i int) (int, string, []byte) {
		return el9, "x.rpm", rpmtest.Package{Name: fmt.Sprintf("%s-%d", name, i)}.Build()
	},
	func(name string, i int) (int, string, []byte) {
		version := fmt.Sprintf("1.%d", i)
		return python, name + "-" + version + "-py3-none-any.whl", pytest.Wheel(name, version, "")
	},
	func(name string, i int) (int, string, []byte) {
		version := fmt.Sprintf("1.%d.0", i)
		return node1, name + "-" + version + ".tgz", npmtest.Package{Name: name, Version: version}.Build()
	},
	func(name string, i int) (int, string, []byte) {
		return anyfile, fmt.Sprintf("%s-%d.bin", name, i), []byte(name + strconv.Itoa(i))
	},
}

// disturb pushes with several writers until the server is killed, and adds to
// what was acknowledged.
func (s *instance) disturb(t *testing.T, round int, all *acknowledged) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for n, build := range writers {
		running.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				distro, file, body := build(fmt.Sprintf("p%d_%d", round, n), i)
				p, err := s.push(ctx, "admin/demo", distro, file, body, "")
				if err != nil {
					return
				}
				s.decide(ctx, t, p, i, all)
			}
		})
	}
	time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
	s.kill()
	cancel()
	running.Wait()
	web.CloseIdleConnections()
}

// decide deletes or promotes a package that was pushed, or keeps it.
func (s *instance) decide(ctx context.Context, t *testing.T, p pushed, i int, all *acknowledged) {
	var status int
	var answer []byte
	var err error
	switch i % 4 {
	case 1:
		status, answer, err = s.call(ctx, "POST", p.DestroyURL+"/promote.json?destination=admin/stable", "", nil)
	case 3:
		// Whether a deletion that broke off took place nobody knows.
		status, answer, err = s.call(ctx, "DELETE", p.DestroyURL, "", nil)
		if err == nil && status != http.StatusOK {
			t.Errorf("delete %s: %d %s", p.Filename, status, answer)
		}
		return
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	switch {
	case i%4 != 1:
		all.kept = append(all.kept, p)
	case err != nil:
		all.moving = append(all.moving, p)
	case status != http.StatusOK:
		t.Errorf("promote %s: %d %s", p.Filename, status, answer)
	default:
		p.PackageURL = strings.Replace(p.PackageURL, "/demo/", "/stable/", 1)
		all.kept = append(all.kept, p)
	}
}

// places counts the repositories that have a package of demo.
func (s *instance) places(t *testing.T, p pushed) (n int) {
	t.Helper()
	for _, repository := range []string{"demo", "stable"} {
		p.PackageURL = strings.Replace(p.PackageURL, "/demo/", "/"+repository+"/", 1)
		_, status, err := s.details(t.Context(), p)
		if err != nil || status != http.StatusOK && status != http.StatusNotFound {
			t.Errorf("%s: %d %v", p.PackageURL, status, err)
		}
		if status == http.StatusOK {
			n++
		}
	}
	return n
}

// checkLinks reads an apt repository as a client does: all that InRelease
// lists, by its digest, and one in so many of the packages that are listed. It
// returns the names of the packages.
func (s *instance) checkLinks(ctx context.Context, t testing.TB, base, suite string, every int) map[string]bool {
	t.Helper()
	names, _ := s.readScope(ctx, t, base, suite, every)
	return names
}

// readScope does what checkLinks does, and returns the InRelease as well.
func (s *instance) readScope(ctx context.Context, t testing.TB, base, suite string, every int) (names map[string]bool, release []byte) {
	t.Helper()
	status, release, _, err := s.get(ctx, base+"/dists/"+suite+"/InRelease")
	if err != nil || status != 200 {
		t.Errorf("InRelease: %d %v", status, err)
		return nil, nil
	}
	_, list, _ := strings.Cut(string(release), "SHA256:\n")
	list, _, _ = strings.Cut(list, "-----BEGIN")
	names = make(map[string]bool)
	seen := make(map[string]bool)
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) != 3 || seen[f[0]] {
			continue
		}
		seen[f[0]] = true
		folder := base + "/dists/" + suite + "/" + f[2][:strings.LastIndex(f[2], "/")]
		status, body, _, err := s.get(ctx, folder+"/by-hash/SHA256/"+f[0])
		if err != nil || status != 200 || sum(body) != f[0] || fmt.Sprint(len(body)) != f[1] {
			t.Errorf("%s: %d, %d bytes, %v", line, status, len(body), err)
			return names, release
		}
		if strings.HasSuffix(f[2], "/Packages") {
			s.checkPackages(ctx, t, base, string(body), every, names)
		}
	}
	return names, release
}

func (s *instance) checkPackages(ctx context.Context, t testing.TB, base, text string, every int, names map[string]bool) {
	t.Helper()
	for stanza := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		field := make(map[string]string)
		for line := range strings.Lines(stanza) {
			name, value, _ := strings.Cut(line, ":")
			field[name] = strings.TrimSpace(value)
		}
		if field["Package"] == "" {
			continue
		}
		names[field["Package"]] = true
		if rand.IntN(every) != 0 {
			continue
		}
		status, body, _, err := s.get(ctx, base+"/"+field["Filename"])
		if err != nil || status != 200 || sum(body) != field["SHA256"] {
			t.Errorf("%s is listed, and answers %d, %d bytes, %v", field["Filename"], status, len(body), err)
		}
	}
}
