// Package pytest makes Python packages for tests.
package pytest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
)

// Metadata is a METADATA or PKG-INFO, with further lines.
func Metadata(name, version, more string) string {
	return fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: a test\n%s\nA description.\n", name, version, more)
}

// Wheel makes a wheel that pip can install: the module says its version.
func Wheel(name, version, more string) []byte {
	return WheelOf(name+"-"+version+".dist-info/", Metadata(name, version, more), name+".py", fmt.Sprintf("version = %q\n", version))
}

// WheelOf makes a wheel of a folder with a metadata file, and of further names,
// each with its content.
func WheelOf(info, metadata string, files ...string) []byte {
	record := ""
	for i := 0; i < len(files); i += 2 {
		record += files[i] + ",,\n"
	}
	return Zip(append(files,
		info+"METADATA", metadata,
		info+"WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info+"RECORD", record+info+"METADATA,,\n"+info+"WHEEL,,\n"+info+"RECORD,,\n",
	)...)
}

// Zip makes a zip file of names, each with its content.
func Zip(files ...string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		part, err := w.Create(files[i])
		must(err)
		_, err = part.Write([]byte(files[i+1]))
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// TarGz makes a compressed archive of names, each with its content.
func TarGz(files ...string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(Tar(files...))
	must(err)
	must(z.Close())
	return b.Bytes()
}

// Tar makes an archive of names, each with its content.
func Tar(files ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		must(w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(files[i+1]))
		must(err)
	}
	must(w.Close())
	return b.Bytes()
}

// must: writing to memory does not fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
