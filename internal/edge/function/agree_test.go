package function_test

import (
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/edge"
	"packagecloud/internal/edge/edgetest"
)

// A million forged links, of which neither Go nor the Lambda function lets one
// through; the CloudFront function, whose njs is slower, is tried with fewer.
func TestForgeries(t *testing.T) {
	v := readVectors(t)
	total, fewer := 1_000_000, 20_000
	if testing.Short() {
		total, fewer = 20_000, 2_000
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	f := newForger(t, v, rand.New(rand.NewPCG(seed, 1)))
	inGo, inNode, inNjs := golang(t, v.Now, v.Secrets...), lambda(t, v.Now, v.Secrets...), cloudFront(t, v.Now, v.Secrets...)
	for _, got := range [][]verdict{inGo(t, f.good), inNode(t, f.good), inNjs(t, f.good)} {
		for i, v := range got {
			if v[0] != "pass" {
				t.Fatalf("the link to be forged does not pass: %q %q", f.good[i], v)
			}
		}
	}
	const batch = 20_000
	count := map[string]int{}
	for done := 0; done < total; done += batch {
		forged := make([]request, batch)
		for i := range forged {
			forged[i] = f.forge()
		}
		all := map[string][]verdict{"Go": inGo(t, forged), "Lambda": inNode(t, forged)}
		if done < fewer {
			all["CloudFront"] = inNjs(t, forged[:min(batch, fewer)])
		}
		for name, got := range all {
			for i, v := range got {
				if v[0] != "forbidden" {
					t.Fatalf("%s: a forged link is %s: %q", name, v[0], forged[i])
				}
				count[name]++
			}
		}
	}
	t.Logf("refused: %v", count)
}

// forger makes links from good ones that nobody signed.
type forger struct {
	*rand.Rand
	good   []request
	signed map[[2]string]bool // decoded path and token
}

func newForger(t testing.TB, v vectors, r *rand.Rand) *forger {
	f := &forger{Rand: r, signed: map[[2]string]bool{}}
	for i := range 40 {
		keys, err := edge.NewKeys(v.Secrets[i%2])
		if err != nil {
			t.Fatal(err)
		}
		key := []string{"packages/", "indexes/"}[i%2] + strings.Repeat(string("0123456789abcdef"[i%16]), 8) + []string{"/a_1.0_amd64.deb", "/b+c~1.rpm", "/d/e f.gem"}[i%3]
		s := edge.Signer{Keys: keys}
		path, query, _ := strings.Cut(s.Until(key, time.Unix(v.Now+int64(i), 0)), "?")
		f.good = append(f.good, request{"GET", path, query})
		f.signed[[2]string{"/" + key, query[2:]}] = true
	}
	return f
}

// forge changes a good link until it is one that was not signed. What decodes
// to the same is no forgery.
func (f *forger) forge() request {
	for {
		r := f.good[f.IntN(len(f.good))]
		for range 1 + f.IntN(3) {
			f.change(&r)
		}
		path, err := url.PathUnescape(r[1])
		token, single := "", 0
		for p := range strings.SplitSeq(r[2], "&") {
			if rest, ok := strings.CutPrefix(p, "t="); ok {
				token, single = rest, single+1
			}
		}
		if err != nil || single != 1 || !f.signed[[2]string{path, token}] {
			return r
		}
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func (f *forger) change(r *request) {
	other := f.good[f.IntN(len(f.good))]
	pick := func(s string) string { return string(s[f.IntN(len(s))]) }
	// With the cut the parts are replaced where they meet.
	at := func(s string, from int) (string, string) {
		if len(s) <= from {
			return s, ""
		}
		i := from + f.IntN(len(s)-from)
		return s[:i], s[i:]
	}
	drop := func(s string) string { return s[min(1, len(s)):] }
	switch f.IntN(14) {
	case 0, 1, 2: // a character of the token
		a, b := at(r[2], 2)
		r[2] = a + pick(alphabet) + drop(b)
	case 3: // the last character, whose low bits stand for nothing
		r[2] = r[2][:max(0, len(r[2])-1)] + pick(alphabet)
	case 4: // an expiry in the future
		if len(r[2]) > 12 {
			r[2] = "t=" + pick("23456789") + r[2][3:]
		}
	case 5: // one character more or less
		a, b := at(r[2], 2)
		r[2] = a + drop(b)
	case 6:
		a, b := at(r[2], 0)
		r[2] = a + pick(alphabet+"%&=+. ") + b
	case 7: // the signature, the key or all of another link
		if len(r[2]) > 22 {
			r[2] = r[2][:22] + other[2][22:]
		}
	case 8:
		if len(r[2]) > 22 {
			r[2] = r[2][:13] + other[2][13:22] + r[2][22:]
		}
	case 9:
		r[2] = other[2]
	case 10: // a character of the path
		a, b := at(r[1], 1)
		r[1] = a + pick(alphabet+"/.+~%") + drop(b)
	case 11:
		a, b := at(r[1], 0)
		r[1] = a + pick(alphabet+"/.+~%\\ ") + b
	case 12: // an escape, or steps
		a, b := at(r[1], 1)
		r[1] = a + []string{"%2e", "%2F", "%00", "%25", "/..", "/.", "%2B", "%e9"}[f.IntN(8)] + b
	case 13: // a signature by chance
		if len(r[2]) > 22 {
			var b strings.Builder
			for range 43 {
				b.WriteString(pick(alphabet))
			}
			r[2] = r[2][:22] + b.String()
		}
	}
}

// All three give the same answer to whatever is sent, also when it is signed.
func FuzzAgree(f *testing.F) {
	v := readVectors(f)
	for _, c := range v.Vectors {
		f.Add(c.Method, c.Path, c.Query)
	}
	keys, err := edge.NewKeys(v.Secrets...)
	if err != nil {
		f.Fatal(err)
	}
	s := edge.Signer{Keys: keys}
	var all []checker
	for _, k := range checkers {
		all = append(all, k.new(f, v.Now, v.Secrets...))
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		key, err := url.PathUnescape(path)
		if err != nil {
			key = path
		}
		_, signed, _ := strings.Cut(s.Until(strings.TrimPrefix(key, "/"), time.Unix(v.Now, 0)), "?")
		requests := []request{{method, path, query}, {"GET", path, signed}, {"HEAD", path, query + "&" + signed}}
		want := all[0](t, requests)
		for i, check := range all[1:] {
			for j, got := range check(t, requests) {
				if got != want[j] {
					t.Errorf("%q\n%s: %q\nGo: %q", requests[j], checkers[i+1].name, got, want[j])
				}
			}
		}
	})
}

// BenchmarkLambda is an event from the Runtime API and back, which costs more
// than the check.
func BenchmarkLambda(b *testing.B) {
	path, query := signed(b, secret, "packages/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03/hello_1.0_amd64.deb")
	good := event(b, ViewerRequest{Method: "GET", URI: path, Query: query, Headers: map[string][]header{"host": {{"Host", "d1.cloudfront.net"}}}})
	b.Run("warm", func(b *testing.B) {
		f := startLambda(b, edgetest.NewKMS(b).Config(secret))
		invoke(b, f, good)
		for b.Loop() {
			invoke(b, f, good)
		}
	})
	b.Run("cold", func(b *testing.B) {
		kms := edgetest.NewKMS(b)
		for b.Loop() {
			invoke(b, startLambda(b, kms.Config(secret)), good)
		}
	})
	b.Run("check", func(b *testing.B) {
		check := lambda(b, time.Now().Unix(), secret)
		requests := make([]request, 1000)
		for i := range requests {
			requests[i] = request{"GET", path, query}
		}
		for b.Loop() {
			check(b, requests)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/request")
	})
}
