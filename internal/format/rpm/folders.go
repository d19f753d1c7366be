package rpm

import (
	"errors"
	"hash/maphash"
	"strings"
)

// Limits of the folders that the files of a package lie in. libsolv, by which dnf
// and zypper read an index, keeps all folders of a repository as a tree and goes
// through the children of a folder one by one, for each of them that it looks for
// (dirpool_add_dir in src/dirpool.c). 500,000 files, each in a folder of its own
// beside the others, take minutes on every machine that has the repository. With
// maxFolderSteps they take less than a second: a folder may have 20,000 others in
// it. Real packages need some 500,000 steps for 50,000 files.
const (
	maxFolderSteps = 200_000_000
	maxFolders     = 1 << 18
)

var (
	errFolderSteps = errors.New("there are too many folders beside each other in it: dnf and zypper would take minutes to read the index")
	errFolders     = errors.New("the files lie in too many folders, each of which takes memory in dnf and zypper")
)

// folders counts the folders of a package's files, and the steps that libsolv takes
// to find them.
type folders struct {
	children map[uint64]int // how many folders each folder has, by a hash of its path
	last     string         // the folder of the file before, which libsolv remembers
	steps    int
	hash     maphash.Hash
}

// add takes the path of the next file.
func (f *folders) add(path string) error {
	folder := path[:strings.LastIndexByte(path, '/')+1]
	if folder == f.last {
		return nil
	}
	if f.children == nil {
		f.children = make(map[uint64]int)
	}
	f.last = folder
	f.hash.Reset()
	parent := f.hash.Sum64()
	for name := range strings.SplitAfterSeq(strings.TrimLeft(folder, "/"), "/") {
		f.steps += f.children[parent]
		f.hash.WriteString(name)
		child := f.hash.Sum64()
		if _, known := f.children[child]; !known {
			f.children[child] = 0
			f.children[parent]++
		}
		parent = child
	}
	switch {
	case f.steps > maxFolderSteps:
		return errFolderSteps
	case len(f.children) > maxFolders:
		return errFolders
	}
	return nil
}
