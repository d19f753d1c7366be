package repo

import "testing"

// TestReserved lists names that would stand in front of other URLs, or be hidden
// behind them.
func TestReserved(t *testing.T) {
	for _, name := range []string{"api", "API", "v2", "web", "install", "priv", "repositories", "api_token", "login", "app", "healthz", "metrics", "favicon.ico", "robots.txt", "x.json", "_", "-", ".well-known", "", "a b"} {
		if ValidateUserName(name) == nil {
			t.Errorf("a user may be called %q", name)
		}
	}
	for _, name := range []string{"alice", "admin", "acme-1", "packages", "x.y"} {
		if err := ValidateUserName(name); err != nil {
			t.Errorf("a user may not be called %q: %v", name, err)
		}
	}
	for _, name := range []string{"tools.json", "TOOLS.JSON", ".", "..", "", "-a"} {
		if ValidateRepositoryName(name) == nil {
			t.Errorf("a repository may be called %q", name)
		}
	}
	for _, name := range []string{"tools", "install", "packages", "api"} {
		if err := ValidateRepositoryName(name); err != nil {
			t.Errorf("a repository may not be called %q: %v", name, err)
		}
	}
	for _, d := range [][3]string{
		{"generic", "1", "deb"}, {"packages", "1", "deb"}, {"gpgkey", "1", "rpm"}, {"install", "1", "deb"}, {"settings", "1", "rpm"}, {"npm", "1", "deb"}, {"pypi", "1", "rpm"},
		{"python", "2", "deb"}, {"maven2", "1", "deb"}, {"gems", "1", "deb"}, {"helm", "1", "rpm"}, {"master_tokens", "1", "deb"}, {"gpg_keys", "1", "rpm"}, {"el", "dists", "rpm"},
		{"mylinux", "pool", "rpm"}, {"mylinux", "1.json", "deb"}, {"my.json", "1", "deb"},
	} {
		if ValidateDistribution(d[0], d[1], d[2]) == nil {
			t.Errorf("%s/%s may take %s packages", d[0], d[1], d[2])
		}
	}
	for _, d := range [][3]string{{"ubuntu", "zebra", "deb"}, {"mylinux", "1", "rpm"}, {"helm", "v2", "helm"}, {"alpine", "v4.0", "alpine"}} {
		if err := ValidateDistribution(d[0], d[1], d[2]); err != nil {
			t.Errorf("%s/%s may not take %s packages: %v", d[0], d[1], d[2], err)
		}
	}
}
