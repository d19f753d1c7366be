package ctl_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/rogpeppe/go-internal/testscript"

	"packagecloud/internal/auth"
	"packagecloud/internal/blob"
	"packagecloud/internal/blob/s3blob"
	"packagecloud/internal/blob/s3blob/s3test"
	"packagecloud/internal/config"
	"packagecloud/internal/ctl"
	"packagecloud/internal/db"
	"packagecloud/internal/edge/edgetest"
	"packagecloud/internal/format/deb/debtest"
	"packagecloud/internal/format/rpm/rpmtest"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
	"packagecloud/internal/serve"
	"packagecloud/internal/upload"
	"packagecloud/internal/version"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"packagecloud-ctl": command, "packagecloud": server, "fixture": program(fixture), "damage": program(damage), "allowed": program(allowed), "bucket": program(bucket), "expiring": expiring})
}

// TestScripts runs the commands as an administrator does.
func TestScripts(t *testing.T) {
	runScripts(t, "testdata", &account{})
}

// TestFunctionScripts runs those in which a CloudFront function is the check.
func TestFunctionScripts(t *testing.T) {
	runScripts(t, filepath.Join("testdata", "function"), &account{test: edgetest.NewNJS(t).Test})
}

// runScripts runs scripts, each with an account of AWS like the one given.
func runScripts(t *testing.T, dir string, aws *account) {
	testscript.Run(t, testscript.Params{
		Dir:  dir,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"aws": awsCommand},
		Setup: func(e *testscript.Env) error {
			e.Setenv("PACKAGECLOUD_DATA_DIRECTORY", filepath.Join(e.WorkDir, "data"))
			e.Setenv("PACKAGECLOUD_SIGNING_KEY_ALGORITHM", "ed25519")
			e.Setenv("PACKAGECLOUD_LISTEN_ADDRESS", "127.0.0.1:1")
			for k, v := range map[string]string{"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull} {
				e.Setenv(k, v)
			}
			e.Values[fakeKey{}] = &account{test: aws.test}
			return nil
		},
	})
}

// expiring writes a private key that expires in a week.
func expiring() {
	e, err := openpgp.NewEntity("alice", "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519, KeyLifetimeSecs: 7 * 24 * 60 * 60})
	if err != nil {
		panic(err)
	}
	e.Subkeys = nil
	var b bytes.Buffer
	if err := e.SerializePrivate(&b, nil); err != nil {
		panic(err)
	}
	if err := os.WriteFile(os.Args[1], b.Bytes(), 0o600); err != nil {
		panic(err)
	}
}

// server is packagecloud.
func server() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve.Command(version.Info{Version: "test"}).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "packagecloud:", err)
		os.Exit(1)
	}
}

// TestBucketScripts runs them with a bucket, which is named BUCKET.
func TestBucketScripts(t *testing.T) {
	s3test.Need(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "bucket"),
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, s3test.New(t).Environ()...)
			e.Setenv("PACKAGECLOUD_DATA_DIRECTORY", filepath.Join(e.WorkDir, "data"))
			e.Setenv("PACKAGECLOUD_SIGNING_KEY_ALGORITHM", "ed25519")
			e.Setenv("BUCKET", e.Getenv("PACKAGECLOUD_S3_BUCKET"))
			return nil
		},
	})
}

// bucket looks at and changes what is in the bucket: headers counts the objects
// by their headers, spoil gives all of them others, empty removes them.
func bucket(ctx context.Context, n *node.Node) error {
	s := n.Blobs.(*s3blob.Store)
	counts := map[string]int{}
	for info, err := range s.List(ctx, "") {
		if err != nil {
			return err
		}
		if os.Args[1] == "empty" {
			if err := s.Delete(ctx, info.Key); err != nil {
				return err
			}
			continue
		}
		if os.Args[1] == "spoil" {
			spoilt := blob.Attributes{Class: blob.Package}
			if strings.HasPrefix(info.Key, "packages/") {
				spoilt = blob.Attributes{ContentType: "text/x-spoilt", Filename: "spoilt", Class: blob.Index}
			}
			if _, err := s.Restamp(ctx, info.Key, spoilt); err != nil {
				return err
			}
			continue
		}
		link, err := s.Link(ctx, info.Key, time.Minute)
		if err != nil {
			return err
		}
		answer, err := http.Get(link)
		if err != nil {
			return err
		}
		if err := answer.Body.Close(); err != nil {
			return err
		}
		kind, _, _ := strings.Cut(info.Key, "/")
		counts[fmt.Sprintln(kind, answer.Header.Get("Content-Type"), answer.Header.Get("Cache-Control"), answer.Header.Get("Content-Disposition"))]++
	}
	for _, line := range slices.Sorted(maps.Keys(counts)) {
		fmt.Print(counts[line], " ", line)
	}
	return nil
}

// command is packagecloud-ctl.
func command() {
	err := ctl.Command(version.Info{Version: "test"}).ExecuteContext(context.Background())
	if err == nil {
		return
	}
	if !errors.Is(err, ctl.ErrFound) {
		fmt.Fprintln(os.Stderr, "packagecloud-ctl:", err)
	}
	os.Exit(1)
}

// program makes a program of a function on an open node.
func program(run func(ctx context.Context, n *node.Node) error) func() {
	return func() {
		ctx := context.Background()
		c, err := config.Load("", os.Environ())
		if err == nil {
			var n *node.Node
			if n, err = node.Open(ctx, c, slog.New(slog.DiscardHandler)); err == nil {
				err = errors.Join(run(ctx, n), n.Close())
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// fixture makes alice with a repository tools, two packages in it, published.
func fixture(ctx context.Context, n *node.Node) error {
	a := db.Account{User: repo.User{Name: "alice", Email: "alice@example.com", CreatedAt: time.Now()}}
	r := repo.Repository{Name: "tools", Owner: "alice", CreatedAt: time.Now()}
	err := n.DB.Update(ctx, func(tx *db.Tx) error {
		if _, err := auth.CreateUser(ctx, tx, n.Sealer, &a); err != nil {
			return err
		}
		r.OwnerID = a.ID
		return auth.CreateRepository(ctx, tx, n.Sealer, &r)
	})
	if err != nil {
		return err
	}
	for v, body := range map[string][]byte{"jammy": debtest.Package{Files: map[string][]byte{"usr/share/x": make([]byte, 5000)}}.Build(), "9": rpmtest.Package{}.Build()} {
		f, err := n.Uploader.Receive(ctx, "x", bytes.NewReader(body))
		if err != nil {
			return err
		}
		distro, ok := n.Catalog().Find(map[string]string{"jammy": "ubuntu", "9": "el"}[v], v)
		if !ok {
			return errors.New("no such distribution")
		}
		_, err = n.Uploader.Push(ctx, upload.Push{Repository: r, Distro: distro, User: a.User, File: f})
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if _, err := n.Keys.MakeOne(ctx, true); err != nil {
		return err
	}
	for worked := true; worked; {
		if worked, err = n.Worker.Step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// damage does harm to what is stored: byte KIND changes a byte of an object,
// lose KIND removes one, cut KIND shortens one, sql QUERY changes rows.
func damage(ctx context.Context, n *node.Node) error {
	if os.Args[1] == "sql" {
		raw, err := sql.Open("sqlite", node.DatabaseURL(n.Config))
		if err != nil {
			return err
		}
		_, err = raw.ExecContext(ctx, os.Args[2])
		return errors.Join(err, raw.Close())
	}
	root := filepath.Join(n.Config.DataDirectory, "storage", os.Args[2])
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if live, err := isLive(ctx, n, path); err != nil || !live {
			return err
		}
		switch os.Args[1] {
		case "lose":
			err = os.Remove(path)
		case "cut":
			err = os.Truncate(path, 10)
		case "byte":
			var body []byte
			if body, err = os.ReadFile(path); err == nil {
				body[len(body)/2] ^= 1
				err = os.WriteFile(path, body, 0o600)
			}
		}
		if err != nil {
			return err
		}
		return fs.SkipAll
	})
}

// isLive reports whether the live generation has the object in a file. The
// objects of earlier ones may be there too.
func isLive(ctx context.Context, n *node.Node, path string) (bool, error) {
	raw, err := sql.Open("sqlite", node.DatabaseURL(n.Config))
	if err != nil {
		return false, err
	}
	defer raw.Close()
	name := filepath.Base(path)
	if digest, rest, ok := strings.Cut(name, "_"); ok {
		name = digest + "/" + rest
	}
	var live bool
	err = raw.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM blobs WHERE object LIKE '%/' || $1)
		OR EXISTS (SELECT 1 FROM files WHERE object LIKE '%/' || $1 AND retired IS NULL)
		OR EXISTS (SELECT 1 FROM segments WHERE object LIKE '%/' || $1 AND retired IS NULL)`, name).Scan(&live)
	return live, err
}

// allowed tells whether USER may push to OWNER/NAME.
func allowed(ctx context.Context, n *node.Node) error {
	account, err := n.DB.AccountByName(ctx, os.Args[1])
	if err != nil {
		return err
	}
	r, err := n.DB.Repository(ctx, os.Args[2], os.Args[3])
	if err != nil {
		return err
	}
	may, err := n.Auth.MayManage(ctx, account.User, r)
	fmt.Println(may)
	return err
}
