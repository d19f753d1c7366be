package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// Lock keeps a second server from the data folder of one with SQLite: it would
// drop the leases of the first, and both would publish the same scopes. The lock
// is the process's and ends with it, however it ends. Commands do not take it, and
// work beside a server. On NFS it holds between machines where the mount has
// locks; SQLite needs those too, and is not made for it.
func (n *Node) Lock() (io.Closer, error) {
	if n.DB.Shared() {
		return io.NopCloser(nil), nil
	}
	path := filepath.Join(n.Config.DataDirectory, "server.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data folder: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("another server works on the data folder %s: end it, or choose another folder by data_directory; several servers need PostgreSQL (database_url)", n.Config.DataDirectory)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
