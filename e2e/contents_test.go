package e2e

import "testing"

// TestContents has the real apt-file search the files of packages.
func TestContents(t *testing.T) {
	needTools(t, "apt-get", "apt-file", "dpkg-deb", "curl")
	s := start(t)
	share := "SANDBOX_SHARE=" + s.testdata(t) + ":" + bin + ":" + s.Data
	s.script(t.Context(), t, "contents.sh", "PRIVATE=1", share, "PACKAGECLOUD_DATA_DIRECTORY="+s.Data)
	s.verify(t)
}
