package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"packagecloud/internal/auth"
	"packagecloud/internal/db"
	"packagecloud/internal/format"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/npm/npmtest"
	"packagecloud/internal/format/python/pytest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
)

// kind is a kind of package to be measured.
type kind struct {
	name   string
	distro repo.DistroVersion
	make   func(i int) []byte
	file   func(i int) string // the file's name
	target string             // of one more at 100,000
}

// again is the number from which on packages are further versions of the first
// one, where each has a name of its own.
const again = 10_000_000

// next is the number of one more package for a repository of some.
func (k kind) next(size, round int) int {
	if k.name == "py" || k.name == "npm" {
		return again + round
	}
	return size + round
}

func noName(int) string { return "x" }

var kinds = []kind{
	{"deb", repo.DistroVersion{ID: 237, OS: "ubuntu", Version: "jammy", Format: "deb"}, makeDeb, noName, "100 ms"},
	{"rpm", repo.DistroVersion{ID: 240, OS: "el", Version: "9", Format: "rpm"}, makeRPM, noName, "200 ms"},
	pyKind,
	npmKind,
	{"generic", repo.DistroVersion{ID: 230, OS: "anyfile", Version: "1", Format: "anyfile"}, makeFile, fileName, "100 ms"},
}

var (
	pyKind  = kind{"py", repo.DistroVersion{ID: 166, OS: "python", Format: "py"}, makeWheel, wheelName, "100 ms"}
	npmKind = kind{"npm", repo.DistroVersion{ID: 191, OS: "node", Version: "1", Format: "node"}, makeNpm, noName, "100 ms"}
)

// chosen reports whether the flags ask for a kind.
func chosen(k kind) bool { return slices.Contains(strings.Split(*types, ","), k.name) }

// word is pronounceable noise, always the same for a number.
func word(i int) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	x := uint32(i)*2654435761 + 12345
	var b strings.Builder
	for range 3 {
		b.WriteByte(consonants[x%14])
		b.WriteByte(vowels[x/14%5])
		x = x*1664525 + 1013904223
	}
	return b.String()
}

func words(i, n int) string {
	all := make([]string, n)
	for j := range all {
		all[j] = word(i*31 + j)
	}
	return strings.Join(all, " ")
}

func makeDeb(i int) []byte {
	fields := fmt.Sprintf("Installed-Size: %d\nDepends: libc6 (>= 2.%d), lib%s%d (>= %d.%d), %s\nRecommends: %s\nSection: devel\nPriority: optional\nHomepage: https://example.com/%s\nTag: role::program, implemented-in::c\n",
		i%90000, i%36, word(i), i%9, i%7, i%11, strings.ReplaceAll(words(i, 4), " ", ", "), word(i+1), word(i))
	control := fmt.Appendf(nil, "Package: %s-%d\nVersion: %d.%d.%d-1\nArchitecture: amd64\nMaintainer: %s <%s@example.com>\n%sDescription: %s\n %s\n .\n %s\n",
		word(i), i, i%5, i%13, i%29, word(i+2), word(i+3), fields, words(i+4, 6), words(i+5, 30), words(i+6, 25))
	return debtest.Package{Name: fmt.Sprintf("%s-%d", word(i), i), Control: control, ControlCompression: "none", DataCompression: "none"}.Build()
}

func makeRPM(i int) []byte {
	files := make(map[string][]byte)
	for j := range 12 {
		files[fmt.Sprintf("/usr/share/%s/%s/%s-%d", word(i), word(i+j), word(i*j+1), j)] = nil
	}
	files["/usr/bin/"+word(i)] = []byte("x")
	return rpmtest.Package{
		Name: fmt.Sprintf("%s-%d", word(i), i), Version: fmt.Sprintf("%d.%d", i%5, i%13), Architecture: "x86_64", Description: words(i, 60), Files: files,
		Requires: []string{"libc.so.6", word(i) + " >= 1.0", word(i + 1), word(i + 2)},
	}.Build()
}

// wheel is the name and version of a wheel.
func wheel(i int) (name, version string) {
	if i < again {
		return fmt.Sprintf("%s_%d", word(i), i), "1.0"
	}
	return fmt.Sprintf("%s_0", word(0)), fmt.Sprintf("2.%d", i-again)
}

func wheelName(i int) string {
	name, version := wheel(i)
	return name + "-" + version + "-py3-none-any.whl"
}

func makeWheel(i int) []byte {
	name, version := wheel(i)
	return pytest.Wheel(name, version, fmt.Sprintf("Requires-Python: >=3.8\nLicense: MIT\nRequires-Dist: %s (>=1.0)\n\n%s\n", word(i+1), words(i, 40)))
}

func makeNpm(i int) []byte {
	name, version := fmt.Sprintf("%s-%d", word(i), i), "1.0.0"
	if i >= again {
		name, version = word(0)+"-0", fmt.Sprintf("2.%d.%d", (i-again)/100, (i-again)%100)
	}
	fields := fmt.Sprintf(`"description":%q,"license":"MIT","main":"lib/index.js","repository":{"type":"git","url":"git+https://example.com/%s.git"},"keywords":["%s"],
		"author":{"name":%q,"email":"%s@example.com"},"engines":{"node":">=18"},"scripts":{"test":"mocha","build":"tsc"},"files":["lib"],
		"dependencies":{"%s":"^1.%d.0","%s":"~2.%d.1","%s":">=3"},"devDependencies":{"mocha":"^10.0.0","typescript":"^5.4.0","%s":"*"}`,
		words(i+4, 12), word(i), strings.ReplaceAll(words(i+5, 5), " ", `","`), words(i+2, 2), word(i+3), word(i+1), i%9, word(i+7), i%7, word(i+11), word(i+6))
	return npmtest.Package{Name: name, Version: version, Fields: fields}.Build()
}

func makeFile(i int) []byte { return []byte(words(i, 40)) }

func fileName(i int) string { return fmt.Sprintf("%s-%d.txt", word(i), i) }

func digests(body []byte) repo.Digests {
	m, s1, s256, s512 := md5.Sum(body), sha1.Sum(body), sha256.Sum256(body), sha512.Sum512(body)
	return repo.Digests{MD5: hex.EncodeToString(m[:]), SHA1: hex.EncodeToString(s1[:]), SHA256: hex.EncodeToString(s256[:]), SHA512: hex.EncodeToString(s512[:])}
}

// owner makes a user with a repository.
func owner(ctx context.Context, n *node.Node, name string) (u repo.User, r repo.Repository, token string, err error) {
	err = n.DB.Update(ctx, func(tx *db.Tx) (err error) {
		a := db.Account{User: repo.User{Name: name, Email: name + "@example.com", CreatedAt: time.Now()}}
		if token, err = auth.CreateUser(ctx, tx, n.Sealer, &a); err != nil {
			return err
		}
		u = a.User
		r = repo.Repository{OwnerID: u.ID, Owner: u.Name, Name: "demo", CreatedAt: time.Now()}
		return auth.CreateRepository(ctx, tx, n.Sealer, &r)
	})
	return u, r, token, err
}

// fill records packages as pushes would, many in a transaction and without
// their bytes: publishing never reads those.
func fill(ctx context.Context, n *node.Node, k kind, u repo.User, r repo.Repository, from, to int) error {
	var f format.Format
	for _, each := range n.Formats {
		if each.Name() == k.distro.Format {
			f = each
		}
	}
	for ; from < to; from = min(from+1000, to) {
		first := from
		err := n.DB.Update(ctx, func(tx *db.Tx) error {
			scope, err := tx.EnsureScope(ctx, r.ID, k.distro)
			if err != nil {
				return err
			}
			for i := first; i < min(first+1000, to); i++ {
				if err := record(ctx, tx, f, k, u, r, scope, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err := n.Keys.MakeOne(ctx, true)
	return err
}

func record(ctx context.Context, tx *db.Tx, f format.Format, k kind, u repo.User, r repo.Repository, scope int64, i int) error {
	now, body := time.Now(), k.make(i)
	parsed, err := f.Parse(ctx, format.Upload{Filename: k.file(i), Content: bytes.NewReader(body), Size: int64(len(body)), Digests: digests(body)})
	if err != nil {
		return err
	}
	p := parsed.Package()
	p.RepositoryID, p.ScopeID, p.Distro, p.CreatedAt = r.ID, scope, k.distro, now
	file := &p.Files[0]
	file.Path = f.Path(p, file.Name, k.distro, "")
	if _, err := tx.ClaimBlob(ctx, db.Blob{Digests: file.Digests, Name: file.Name, Object: repo.PackageKey(file.SHA256, file.Name), Size: file.Size}, now); err != nil {
		return err
	}
	if _, err := tx.ClaimPath(ctx, r.ID, file.Path, file.SHA256); err != nil {
		return err
	}
	if _, ok := f.(format.Named); ok {
		if err := tx.EnsureName(ctx, scope, p.List); err != nil {
			return err
		}
	}
	if err := tx.InsertPackage(ctx, p, u.ID); err != nil {
		return err
	}
	entries, err := parsed.Entries(format.Listing{Distro: k.distro, Files: p.Files, Time: now})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := tx.InsertEntry(ctx, p.ID, e.Kind, e.Text); err != nil {
			return err
		}
	}
	return tx.AddChange(ctx, scope, db.PackageChange, p.ID, now)
}
