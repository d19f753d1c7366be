package seal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestSeal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	s, err := OpenOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Seal("token", []byte("secret\x00value"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("secret")) {
		t.Error("the sealed value shows the plaintext")
	}
	again, err := OpenOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Unseal("token", sealed); err != nil || string(got) != "secret\x00value" {
		t.Errorf("unsealed %q, %v", got, err)
	}
	if _, err := again.Unseal("key", sealed); err == nil {
		t.Error("opened under another label")
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := again.Unseal("token", sealed); err == nil {
		t.Error("opened a forged value")
	}
	other, err := Create(filepath.Join(t.TempDir(), "other.key"))
	if err != nil {
		t.Fatal(err)
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := other.Unseal("token", sealed); err == nil {
		t.Error("opened with another master key")
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"readable by others": {"AGE-SECRET-KEY-1X", 0o644, "chmod 600"},
		"damaged":            {"AGE-SECRET-KEY-1X", 0o600, "damaged"},
		"empty":              {"# nothing\n", 0o600, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "master.key")
			if err := os.WriteFile(path, []byte(test.content), test.mode); err != nil {
				t.Fatal(err)
			}
			_, err := OpenOrCreate(path)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error is %v, want %q in it", err, test.want)
			}
			if strings.Contains(err.Error(), "AGE-SECRET") {
				t.Error("the error shows the key")
			}
		})
	}
}

func TestCreateOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			s, err := OpenOrCreate(path)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = s.identity.String()
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatal("two processes made two master keys")
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
