package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestEverySettingIsRead finds settings that are documented and checked, and that
// no code reads.
func TestEverySettingIsRead(t *testing.T) {
	var code strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() == "config" {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		code.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("config.go") // its methods answer for some
	if err != nil {
		t.Fatal(err)
	}
	_, methods, _ := strings.Cut(string(own), "\n}\n") // behind the struct
	code.WriteString(methods)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if !regexp.MustCompile(`\.` + f.Name + `\b`).MatchString(code.String()) {
			t.Errorf("nothing reads %s", f.Name)
		}
	}
}
