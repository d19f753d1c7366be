package rpm_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/format/rpm"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/repo"
)

// many are n numbers of a type.
func many(tag, kind uint32, n int, value uint64) rpmtest.Tag {
	all := make([]uint64, n)
	for i := range all {
		all[i] = value
	}
	return rpmtest.Numbers(tag, kind, all...)
}

// repeated are n times the same string.
func repeated(tag uint32, n int, s string) rpmtest.Tag {
	return rpmtest.Tag{Tag: tag, Type: rpmtest.StringArray, Count: uint32(n), Data: []byte(strings.Repeat(s+"\x00", n))}
}

// relationTags are the names, versions and flags of all kinds of relations.
var relationTags = [][3]uint32{{1047, 1113, 1112}, {1049, 1050, 1048}, {1054, 1055, 1053}, {1090, 1115, 1114}, {5049, 5050, 5051}, {5055, 5056, 5057}, {5046, 5047, 5048}, {5052, 5053, 5054}}

// hostile make packages of about n bytes that want far more memory than they have.
var hostile = map[string]func(n int) []byte{
	"eight kinds of relations in one store": func(n int) []byte {
		r := tool()
		for _, tags := range relationTags {
			r.Remove(tags[:]...)
		}
		for i, tags := range relationTags {
			names := repeated(tags[0], n/2, "a")
			names.Shared = i > 0
			r.Header = append(r.Header, names)
		}
		return r.Build()
	},
	"relations without a name": func(n int) []byte {
		r := tool()
		for _, tags := range relationTags {
			r.Set(repeated(tags[0], n/8/6, ""), repeated(tags[1], n/8/6, ""), many(tags[2], rpmtest.Int32, n/8/6, 0))
		}
		return r.Build()
	},
	"files without a name":               func(n int) []byte { return filesIn("/", n/12) },
	"files in a folder with a long name": func(n int) []byte { return filesIn("/"+strings.Repeat("d", min(4000, n)), n/12) },
	"a long description":                 func(n int) []byte { return with(rpmtest.Text(1005, strings.Repeat(`"`, n))) },
	"a long changelog": func(n int) []byte {
		return with(repeated(1081, n/10, "a"), repeated(1082, n/10, ""), many(1080, rpmtest.Int32, n/10, 1))
	},
	"a long summary": func(n int) []byte { return with(rpmtest.Text(1004, strings.Repeat("\xe4", n))) },
}

// tool is a package with one file.
func tool() rpmtest.Raw {
	return rpmtest.Package{Files: map[string][]byte{"/usr/bin/hello": []byte("x")}}.Raw()
}

// with is the tool with other tags.
func with(tags ...rpmtest.Tag) []byte {
	r := tool()
	r.Set(tags...)
	return r.Build()
}

// filesIn has files without a name in one folder.
func filesIn(folder string, files int) []byte {
	return with(repeated(1117, files, ""), repeated(1118, 1, folder),
		many(1116, rpmtest.Int32, files, 0), many(1030, rpmtest.Int16, files, 0), many(1037, rpmtest.Int32, files, 0))
}

// parse reads a package and makes its entries.
func parse(t *testing.T, body []byte) error {
	t.Helper()
	f := rpm.New()
	parsed, err := f.Parse(t.Context(), upload(body))
	if err != nil {
		return err
	}
	p := parsed.Package()
	p.Files[0].Path = f.Path(p, p.Files[0].Name, el9, "")
	_, err = parsed.Entries(format.Listing{Distro: el9, Files: p.Files, Time: time.Unix(1_700_000_000, 0)})
	return err
}

// allocated are the bytes that a function allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostileMemory doubles hostile packages: each costs at most twice what half of
// it costs, and never more than some times its size.
func TestHostileMemory(t *testing.T) {
	for name, build := range hostile {
		t.Run(name, func(t *testing.T) {
			last := uint64(0)
			for size := 64 << 10; size <= 4<<20; size *= 2 {
				body := build(size)
				var err error
				cost := allocated(func() { err = parse(t, body) })
				var invalid *repo.InvalidError
				if err != nil && !errors.As(err, &invalid) {
					t.Fatal(err)
				}
				t.Logf("%d bytes cost %d: %v", len(body), cost, err)
				if limit := uint64(40*len(body) + 1<<20); cost > limit {
					t.Errorf("%d bytes cost %d, more than %d", len(body), cost, limit)
				}
				if last > 0 && cost > 2*last+1<<20 {
					t.Errorf("%d bytes cost %d, half of them %d", len(body), cost, last)
				}
				if err != nil && cost > uint64(2*len(body)+4<<20) {
					t.Errorf("to refuse %d bytes costs %d", len(body), cost)
				}
				last = cost
			}
		})
	}
}
