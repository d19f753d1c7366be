package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"

	"packagecloud/internal/auth"
	"packagecloud/internal/clock"
	"packagecloud/internal/db"
	"packagecloud/internal/node"
	"packagecloud/internal/repo"
)

// administrator is the user that a first start makes.
var administrator = repo.User{Name: "admin", Email: "admin@localhost"}

// quickStart is what somebody needs who has just started a new server.
type quickStart struct {
	user, token string
}

// firstStart makes an administrator where there is no user yet. Where a users
// file says who there is, it leaves that to packagecloud-ctl load-users.
func firstStart(ctx context.Context, n *node.Node) (*quickStart, error) {
	accounts, err := n.DB.Accounts(ctx)
	if err != nil || len(accounts) > 0 {
		return nil, err
	}
	if _, err := os.Stat(n.Config.UsersFile); !errors.Is(err, fs.ErrNotExist) {
		n.Log.Warn("there are no users yet: run packagecloud-ctl load-users", "file", n.Config.UsersFile)
		return nil, nil
	}
	var token string
	err = n.DB.Update(ctx, func(tx *db.Tx) (err error) {
		account := &db.Account{User: administrator}
		account.CreatedAt = clock.Now()
		token, err = auth.CreateUser(ctx, tx, n.Sealer, account)
		return err
	})
	if repo.IsTaken(err) { // another node was faster
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("make an administrator: %w", err)
	}
	return &quickStart{user: administrator.Name, token: token}, nil
}

// print shows commands that work as they stand.
func (q *quickStart) print(w io.Writer, url string) {
	command := func(name string) string {
		if _, err := os.Stat("cmd/" + name + "/main.go"); err == nil {
			return "go run ./cmd/" + name
		}
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		return name
	}
	server, client := command("packagecloud"), command("package_cloud")
	fmt.Fprintf(w, `
A new server: the user %[1]q was made. This is the only time that the token is shown
(packagecloud-ctl reset-token %[1]s makes another one). To try it, paste this into another terminal:

  export PACKAGECLOUD_URL=%[2]s PACKAGECLOUD_TOKEN=%[3]s
  %[4]s sample   # writes two small packages
  %[5]s repository create demo
  %[5]s push --wait %[1]s/demo/any/any hello-packagecloud_1.0_all.deb
  %[5]s push --wait %[1]s/demo/rpm_any/rpm_any hello-packagecloud-1.0-1.noarch.rpm

Then, on a machine with apt:

  curl -fsSL %[2]s/install/repositories/%[1]s/demo/script.deb.sh | sudo os=any dist=any bash
  sudo apt-get install hello-packagecloud

or on one with dnf or zypper:

  curl -fsSL %[2]s/install/repositories/%[1]s/demo/script.rpm.sh | sudo os=rpm_any dist=rpm_any bash
  sudo dnf install hello-packagecloud

`, q.user, url, q.token, server, client)
}
