package npm

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"packagecloud/internal/format"
)

// maxPrograms bounds the commands that a folder may stand for.
const maxPrograms = 1000

// programFolder is the folder whose files are the commands of a package that
// names none: directories.bin of its package.json. It is "" if there is none,
// or if it is the package as a whole.
func programFolder(fields object) string {
	if fields.get("bin") != nil || !isObject(fields.get("directories")) {
		return ""
	}
	var folder string
	if json.Unmarshal(members(fields.get("directories")).get("bin"), &folder) != nil {
		return ""
	}
	return below(folder)
}

// addPrograms gives a package whose commands are the files of a folder the field
// bin, as npm publish does before it tells a registry of it: installers take the
// commands from there. Hidden files are none.
func addPrograms(ctx context.Context, u format.Upload, m *manifest, most int64) error {
	folder := programFolder(m.fields)
	if folder == "" {
		return nil
	}
	files, err := filesBelow(ctx, u, folder, most)
	if err != nil {
		return err
	}
	var bin builder
	for _, file := range files {
		bin.put(path.Base(file), must(file))
	}
	m.replace("bin", binaries(m.name, must(bin.all)))
	return nil
}

// filesBelow goes through a tarball again, which has been read once and was
// sound, and lists the files below a folder, in order.
func filesBelow(ctx context.Context, u format.Upload, folder string, most int64) (files []string, err error) {
	limited, err := unzip(ctx, u, most)
	if err != nil {
		return nil, err
	}
	for archive := tar.NewReader(limited); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(files)
			return slices.Compact(files), nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeXGlobalHeader || !isFile(h) {
			continue
		}
		name, err := unpackedName(h.Name)
		if err != nil {
			return nil, err
		}
		inside, ok := strings.CutPrefix(name, folder+"/")
		if !ok || strings.HasPrefix(inside, ".") || strings.Contains(inside, "/.") {
			continue
		}
		if len(files) == maxPrograms {
			return nil, fmt.Errorf("its directories.bin, %.60q, has more than %d files", folder, maxPrograms)
		}
		files = append(files, name)
	}
}
