package python

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// gateVersion grows whenever Check refuses more.
const gateVersion = 2

// GateVersion implements format.Gate.
func (Format) GateVersion() int { return gateVersion }

// Check implements format.Gate: it refuses a file that hides others of its project,
// or ends the installers that look for them.
func (Format) Check(p *repo.Package, entries []format.Entry) error {
	for _, d := range p.Dependencies {
		for _, text := range d.Names {
			if err := checkDependency(p.Filename(), d.Context, text); err != nil {
				return err
			}
		}
	}
	for _, e := range entries {
		if e.Kind != kindJSON {
			continue
		}
		var f file
		if err := json.Unmarshal(bytes.TrimPrefix(e.Text, []byte("\n,")), &f); err != nil {
			return invalid("its entry in the index is no JSON: %v", err)
		}
		if err := f.check(); err != nil {
			return err
		}
	}
	return nil
}

// check looks at what stands in the pages of a project.
func (f file) check() error {
	if !plainFile.MatchString(f.Filename) {
		return repo.Invalid("filename", fmt.Sprintf("%q is none that installers read", clip(f.Filename, 100)))
	}
	if _, err := time.Parse(uploadTime, f.UploadTime); err != nil {
		return invalid("its upload-time %q is not written like %s", clip(f.UploadTime, 100), uploadTime)
	}
	return checkRequiresPython(f.RequiresPython)
}

// checkDependency looks at what installers read of the metadata of a wheel. They
// make that of a source distribution themselves.
func checkDependency(filename, context, text string) error {
	if context != "requires-dist" || !strings.HasSuffix(filename, ".whl") || len(text) >= maxValue-4 { // cut off
		return nil
	}
	if err := checkRequirement(text); err != nil {
		return invalid("its Requires-Dist %q is no dependency that installers read: it %v", clip(text, 200), err)
	}
	return nil
}

// checkRequiresPython refuses what ends pip: before it tells of a file that is not
// for this Python, it sorts the clauses by their numbers, and fails for digits that
// are not those of ASCII. What is no specifier at all it passes over.
func checkRequiresPython(text string) error {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return invalid("its Requires-Python %q has characters beside those of ASCII", clip(text, 200))
	}
	return nil
}
