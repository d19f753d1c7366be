package edge

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A signature that openssl made:
//
//	printf 'packagecloud-edge-1\n%s\n1795603600\n/packages/x/a_1.0_amd64.deb' $id |
//	  openssl dgst -sha256 -hmac $secret -binary | basenc --base64url
//
// where id is the head of
// printf 'packagecloud-edge-id\n%s' $secret | sha256sum
func TestKnownSignature(t *testing.T) {
	keys, err := NewKeys(sampleSecret)
	if err != nil {
		t.Fatal(err)
	}
	s := Signer{Origin: "https://d1.cloudfront.net", Keys: keys, Now: func() time.Time { return time.Unix(vectorTime, 0) }}
	const want = "https://d1.cloudfront.net/packages/x/a_1.0_amd64.deb?t=1795603600_c2be489a_USEoC6yP4ZI7dd9MyoNqaKu3mAYfIADAMGVe6TSMpB4"
	if got := s.URL("packages/x/a_1.0_amd64.deb", 1); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLifetime(t *testing.T) {
	for size, want := range map[int64]time.Duration{0: time.Hour, 100e6: time.Hour, 100e6 + 1: 6 * time.Hour, 1 << 40: 6 * time.Hour} {
		if got := Lifetime(size); got != want {
			t.Errorf("Lifetime(%d) = %s, want %s", size, got, want)
		}
	}
}

func TestSecrets(t *testing.T) {
	for name, secret := range map[string]string{
		"short": strings.Repeat("a", 31), "long": strings.Repeat("a", 1025), "empty": "",
		"space": strings.Repeat("a", 40) + " ", "line": strings.Repeat("a", 40) + "\n", "é": strings.Repeat("é", 40),
	} {
		err := CheckSecret(secret)
		if err == nil {
			t.Errorf("a secret is accepted that is wrong: %s", name)
		} else if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the secret: %v", err)
		}
		if _, err := NewKeys(sampleSecret, secret); err == nil {
			t.Errorf("NewKeys accepts a secret that is wrong: %s", name)
		}
	}
	if _, err := NewKeys(); err == nil {
		t.Error("NewKeys accepts no secret at all")
	}
	a, b := GenerateSecret(), GenerateSecret()
	if a == b || len(a) != 43 || CheckSecret(a) != nil {
		t.Errorf("generated %q and %q", a, b)
	}
}

// What is signed passes, whatever the key, if it has a canonical path; and no
// client may read two meanings into a canonical path.
func TestSignedPasses(t *testing.T) {
	keys, err := NewKeys(sampleSecret, oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(vectorTime, 0)
	s := Signer{Keys: keys, Now: func() time.Time { return now }}
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.StringMatching(`[A-Za-z0-9._+~% é@:\\-]{1,20}(/[A-Za-z0-9._+~-]{1,20}){0,3}`).Draw(t, "key")
		path, query, _ := strings.Cut(s.URL(key, 1), "?")
		canonical, err := keys.Check("GET", path, query, now)
		if err != nil {
			if _, ok := Canonical(path); ok {
				t.Fatalf("%q is signed but refused: %v", key, err)
			}
			return
		}
		decoded, err := url.PathUnescape(canonical)
		if err != nil || decoded != "/"+key || canonical != path {
			t.Fatalf("%q became %q, which is %q (%v)", key, canonical, decoded, err)
		}
		if again, ok := Canonical(canonical); !ok || again != canonical {
			t.Fatalf("%q is not canonical: %q", canonical, again)
		}
	})
}

func TestAllocations(t *testing.T) {
	keys, err := NewKeys(sampleSecret, oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	s := Signer{Origin: "https://d1.cloudfront.net", Keys: keys}
	const key = "packages/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03/hello_1.0_amd64.deb"
	if n := testing.AllocsPerRun(1000, func() { s.URL(key, 1) }); n > 1 && !raceEnabled {
		t.Errorf("signing allocates %v times: only the URL itself may be", n)
	}
	path, query, _ := strings.Cut(strings.TrimPrefix(s.URL(key, 1), s.Origin), "?")
	now := time.Now()
	if n := testing.AllocsPerRun(1000, func() { _, _ = keys.Check("GET", path, query, now) }); n > 0 && !raceEnabled {
		t.Errorf("checking allocates %v times", n)
	}
}

func BenchmarkURL(b *testing.B) {
	keys, err := NewKeys(sampleSecret)
	if err != nil {
		b.Fatal(err)
	}
	s := Signer{Origin: "https://d1.cloudfront.net", Keys: keys}
	b.ReportAllocs()
	for b.Loop() {
		s.URL("packages/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03/hello_1.0_amd64.deb", 1)
	}
}

func BenchmarkCheck(b *testing.B) {
	keys, err := NewKeys(sampleSecret)
	if err != nil {
		b.Fatal(err)
	}
	s := Signer{Keys: keys}
	path, query, _ := strings.Cut(s.URL("packages/5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03/hello_1.0_amd64.deb", 1), "?")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.Check("GET", path, query, now); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, v := range readVectors(f).Vectors {
		f.Add(v.Path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		canonical, ok := Canonical(path)
		if !ok {
			return
		}
		// The standard library agrees on what it stands for.
		a, err := url.PathUnescape(path)
		b, berr := url.PathUnescape(canonical)
		if err != nil || berr != nil || a != b {
			t.Fatalf("%q stands for %q (%v), its canonical %q for %q (%v)", path, a, err, canonical, b, berr)
		}
		// Escapes may make it longer than a path may be as it is sent.
		if again, ok := Canonical(canonical); len(canonical) <= maxPath && (!ok || again != canonical) {
			t.Fatalf("%q is not canonical: %q", canonical, again)
		}
		if u, err := url.ParseRequestURI(canonical); err != nil || u.RawQuery != "" || u.JoinPath().Path != b {
			t.Fatalf("%q can be resolved to something else: %v %v", canonical, u, err)
		}
	})
}
