package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/rpm/rpmtest"
)

// TestKill kills the server at random moments while packages are pushed,
// deleted and published. After each restart packagecloud-ctl verify must find
// nothing wrong and everything acknowledged must be there.
func TestKill(t *testing.T) {
	const rounds = 200
	s := start(t)
	s.createRepository(t, "demo")
	var kept []pushed
	for round := range rounds {
		if t.Failed() {
			return
		}
		kept = append(kept, s.disturb(t, round)...)
		s.verify(t) // as it was left, before anything can repair it
		s.run(t)
		if round%10 == 9 {
			s.settle(t, kept)
		}
	}
	s.settle(t, kept)
	s.verify(t)
	s.checkLinks(t.Context(), t, "/admin/demo/ubuntu", "jammy", 1)
	t.Logf("%d rounds, %d packages acknowledged", rounds, len(kept))
}

// disturb pushes with several writers until the server is killed, and returns
// what was acknowledged and not deleted.
func (s *instance) disturb(t *testing.T, round int) (kept []pushed) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var writers sync.WaitGroup
	for writer := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprintf("p%d-%d-%d", round, writer, i)
				distro, file := el9, "x.rpm"
				var body []byte
				if writer%2 == 0 {
					padding := make([]byte, rand.IntN(300_000))
					_, _ = rand.NewChaCha8([32]byte{byte(i), byte(writer), byte(round)}).Read(padding)
					distro, file, body = jammy, "x.deb", debtest.Package{Name: name, Files: map[string][]byte{"usr/share/x": padding}, DataCompression: "none"}.Build()
				} else {
					body = rpmtest.Package{Name: name}.Build()
				}
				p, err := s.push(ctx, "admin/demo", distro, file, body, "")
				if err != nil {
					return
				}
				if i%4 == 3 {
					// Whether a deletion that broke off took place nobody knows.
					_, _, _ = s.call(ctx, "DELETE", p.DestroyURL, "", nil)
					continue
				}
				mu.Lock()
				kept = append(kept, p)
				mu.Unlock()
			}
		})
	}
	time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
	s.kill()
	cancel()
	writers.Wait()
	web.CloseIdleConnections()
	return kept
}

// checkLinks reads an apt repository as a client does: all that InRelease
// lists, by its digest, and one in so many of the packages that are listed. It
// returns the names of the packages.
func (s *instance) checkLinks(ctx context.Context, t testing.TB, base, suite string, every int) map[string]bool {
	t.Helper()
	status, release, _, err := s.get(ctx, base+"/dists/"+suite+"/InRelease")
	if err != nil || status != 200 {
		t.Errorf("InRelease: %d %v", status, err)
		return nil
	}
	_, list, _ := strings.Cut(string(release), "SHA256:\n")
	list, _, _ = strings.Cut(list, "-----BEGIN")
	names := make(map[string]bool)
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
			return names
		}
		if strings.HasSuffix(f[2], "/Packages") {
			s.checkPackages(ctx, t, base, string(body), every, names)
		}
	}
	return names
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
