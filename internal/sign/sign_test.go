package sign

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var text = []byte("Origin: example.com/acme/tools\n- dashes first\nFrom here\n leading\nlast line\n")

// tool finds a program that a test needs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs %s", name)
		}
		t.Skipf("needs %s", name)
	}
	return path
}

func write(t *testing.T, name string, body []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// TestGPGV checks keys and signatures of each algorithm with GnuPG's gpgv.
func TestGPGV(t *testing.T) {
	gpg, gpgv := tool(t, "gpg"), tool(t, "gpgv")
	for _, a := range []Algorithm{RSA3072, RSA4096, Ed25519} {
		t.Run(string(a), func(t *testing.T) {
			made, err := Generate(a, "acme/tools")
			if err != nil {
				t.Fatal(err)
			}
			private, err := made.Private()
			if err != nil {
				t.Fatal(err)
			}
			k, err := ParsePrivate(private, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(k.PublicKey(), made.PublicKey()) || k.Fingerprint() != made.Fingerprint() {
				t.Error("the key changes when it is written and read")
			}
			ring := write(t, "ring", run(t, gpg, "--homedir", t.TempDir(), "--batch", "--dearmor", "--output", "-", write(t, "key.asc", k.PublicKey())))

			signed, err := Together{k}.ClearSign(text, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(signed, []byte("\n=")) {
				t.Errorf("the armour has no checksum:\n%s", signed)
			}
			run(t, gpgv, "--keyring", ring, write(t, "InRelease", signed))
			got, _, err := CheckClear(k.PublicKey(), signed)
			if err != nil || string(got) != string(text) {
				t.Errorf("the signed text is %q, %v", got, err)
			}

			signature, err := Together{k}.DetachSign(text, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			run(t, gpgv, "--keyring", ring, write(t, "sig", signature), write(t, "text", text))
			if _, err := CheckDetached(k.PublicKey(), text, signature); err != nil {
				t.Error(err)
			}
			if _, err := CheckDetached(k.PublicKey(), append(text, 'x'), signature); err == nil {
				t.Error("a signature fits another text")
			}
		})
	}
}

// TestImport reads keys as GnuPG exports them.
func TestImport(t *testing.T) {
	gpg := tool(t, "gpg")
	home := t.TempDir()
	base := []string{"--homedir", home, "--batch", "--pinentry-mode", "loopback"}
	t.Cleanup(func() { exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
	run(t, gpg, append(base, "--passphrase", "", "--quick-generate-key", "plain", "rsa3072", "sign", "never")...)
	run(t, gpg, append(base, "--passphrase", "open", "--quick-generate-key", "locked", "ed25519", "sign", "never")...)
	plain := run(t, gpg, append(base, "--passphrase", "", "--armor", "--export-secret-keys", "plain")...)
	locked := run(t, gpg, append(base, "--passphrase", "open", "--export-secret-keys", "locked")...)

	k, err := ParsePrivate(plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	if signature, err := (Together{k}).DetachSign(text, time.Now()); err != nil {
		t.Error(err)
	} else {
		run(t, gpg, append(base, "--verify", write(t, "sig", signature), write(t, "text", text))...)
	}
	if _, err := ParsePrivate(locked, nil); err != ErrEncrypted {
		t.Errorf("an encrypted key without passphrase: %v", err)
	}
	if _, err := ParsePrivate(locked, func() ([]byte, error) { return []byte("wrong"), nil }); err == nil {
		t.Error("a wrong passphrase opened the key")
	}
	if k, err := ParsePrivate(locked, func() ([]byte, error) { return []byte("open"), nil }); err != nil {
		t.Error(err)
	} else if _, err := (Together{k}).ClearSign(text, time.Now()); err != nil {
		t.Error(err)
	}

	public, err := ParsePublic(plain)
	if err != nil {
		t.Fatal(err)
	}
	if public.Fingerprint != k.Fingerprint() || bytes.Contains(public.Armored, []byte("PRIVATE")) {
		t.Errorf("the public part of a private key is %s", public.Armored)
	}
	if _, err := ParsePrivate(public.Armored, nil); err == nil {
		t.Error("a public key was taken as a private one")
	}
}

// TestImportRefuses has keys that GnuPG makes and clients of today refuse.
func TestImportRefuses(t *testing.T) {
	gpg := tool(t, "gpg")
	home := t.TempDir()
	base := []string{"--homedir", home, "--batch", "--pinentry-mode", "loopback", "--passphrase", ""}
	t.Cleanup(func() { exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
	for _, c := range []struct{ name, algorithm, usage, extra, want string }{
		{"dsa", "dsa2048", "sign", "SHA256", "DSA"},
		{"sha1", "rsa2048", "sign", "SHA1", "SHA-1"},
		{"short", "rsa1024", "sign", "SHA256", "2048 bits"},
		{"certifies", "rsa2048", "cert", "SHA256", "may sign"},
		{"good", "rsa2048", "sign", "SHA256", ""},
	} {
		run(t, gpg, append(base, "--cert-digest-algo", c.extra, "--quick-generate-key", c.name, c.algorithm, c.usage, "never")...)
		_, err := ParsePrivate(run(t, gpg, append(base, "--export-secret-keys", c.name)...), nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, data := range []string{"", "hello", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxxxx\n-----END PGP PUBLIC KEY BLOCK-----", strings.Repeat("x", maxKey+1)} {
		if _, err := ParsePublic([]byte(data)); err == nil {
			t.Errorf("%.20q was taken as a key", data)
		}
	}
}

func FuzzParsePublic(f *testing.F) {
	k, err := Generate(Ed25519, "a")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.PublicKey())
	private, err := k.Private()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(private)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParsePublic(data)
		if err == nil && len(p.Fingerprint) < 32 {
			t.Errorf("fingerprint %q", p.Fingerprint)
		}
	})
}

// TestSignedEarlier: a signature says that it was made a minute before, for
// machines whose clocks are behind, but not before its key was.
func TestSignedEarlier(t *testing.T) {
	k, err := Generate(Ed25519, "acme/tools")
	if err != nil {
		t.Fatal(err)
	}
	created := k.entity.PrimaryKey.CreationTime
	for _, c := range []struct{ at, want time.Time }{
		{created.Add(time.Hour), created.Add(time.Hour - time.Minute)},
		{created.Add(time.Second), created.Add(time.Second)},
	} {
		signature, err := Together{k}.DetachSign([]byte("text"), c.at)
		if err != nil {
			t.Fatal(err)
		}
		if made, err := CheckDetached(k.PublicKey(), []byte("text"), signature); err != nil || !made.Equal(c.want) {
			t.Errorf("made at %s it says %s, want %s (%v)", c.at, made, c.want, err)
		}
		text, err := Together{k}.ClearSign([]byte("text\n"), c.at)
		if err != nil {
			t.Fatal(err)
		}
		if _, made, err := CheckClear(k.PublicKey(), text); err != nil || !made.Equal(c.want) {
			t.Errorf("clear-signed at %s it says %s, want %s (%v)", c.at, made, c.want, err)
		}
	}
}
