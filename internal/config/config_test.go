package config

import (
	"errors"
	"flag"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"packagecloud/internal/rubyconf"
)

var update = flag.Bool("update", false, "write the golden files")

// write makes a configuration file.
func write(t *testing.T, src string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "packagecloud.rb")
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// messages are the problems of an error without the folder of the file.
func messages(t *testing.T, path string, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var wrong *rubyconf.Error
	if !errors.As(err, &wrong) {
		t.Fatalf("error %v, want *rubyconf.Error", err)
	}
	return strings.Split(strings.ReplaceAll(wrong.Error(), filepath.Dir(path)+"/", ""), "\n")
}

func defaults() *Config {
	return &Config{
		ExternalURL:         &url.URL{Scheme: "http", Host: "localhost:8080"},
		ListenAddress:       "127.0.0.1:8080",
		DataDirectory:       "/var/opt/packagecloud",
		MasterKeyFile:       "/var/opt/packagecloud/master.key",
		UsersFile:           "/etc/packagecloud/users.yml",
		PIDFile:             "/var/opt/packagecloud/packagecloud.pid",
		MaxUploadSize:       20 << 30,
		IndexWorkers:        runtime.NumCPU(),
		IndexGracePeriod:    time.Hour,
		PackageGracePeriod:  24 * time.Hour,
		SigningKeyAlgorithm: "rsa3072",
		LogLevel:            slog.LevelInfo,
		LogFormat:           "text",
		S3Region:            "us-east-1",
		EdgeListenAddress:   "127.0.0.1:8081",
		EdgeCacheDirectory:  "/var/opt/packagecloud/edge-cache",
		EdgeCacheSize:       10 << 30,
		EdgeMemorySize:      128 << 20,
		S3SignatureVersion:  4,
		CloudFrontCheck:     "lambda",
		DirectMetadataSize:  64 << 10,
	}
}

var compare = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestDefaults(t *testing.T) {
	got, err := Load(write(t, "# nothing\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(defaults(), got, compare); diff != "" {
		t.Errorf("with an empty file (-want +got):\n%s", diff)
	}

	if _, err := os.Stat(DefaultPath); err == nil {
		t.Skip(DefaultPath + " exists")
	}
	want := defaults()
	want.DataDirectory, want.MasterKeyFile, want.PIDFile = "./data", "data/master.key", "data/packagecloud.pid"
	want.EdgeCacheDirectory = "data/edge-cache"
	got, err = Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("without a file (-want +got):\n%s", diff)
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.rb"), nil)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.rb") {
		t.Errorf("error %v, want one that says which file does not exist", err)
	}
}

func TestLoad(t *testing.T) {
	const rails = "packagecloud_rails"
	tests := []struct {
		name, src string
		environ   []string
		change    func(*Config) // from the defaults
	}{
		{"slash behind the URL", "external_url 'https://packages.example.com/'", nil,
			func(c *Config) { c.ExternalURL = &url.URL{Scheme: "https", Host: "packages.example.com"} }},
		{"environment over file", rails + "['listen_address'] = ':80'", []string{"PACKAGECLOUD_LISTEN_ADDRESS=:81"},
			func(c *Config) { c.ListenAddress = ":81" }},
		{"empty environment is the default", rails + "['listen_address'] = ':80'", []string{"PACKAGECLOUD_LISTEN_ADDRESS="},
			func(*Config) {}},
		{"nil is the default", rails + "['log_level'] = nil", nil, func(*Config) {}},
		{"the last one counts", rails + "['log_level'] = 'wrong'\n" + rails + "['log_level'] = 'debug'", nil,
			func(c *Config) { c.LogLevel = slog.LevelDebug }},
		{"environment in the file", rails + "['log_format'] = ENV.fetch('FORMAT', 'text')", []string{"FORMAT=json"},
			func(c *Config) { c.LogFormat = "json" }},
		{"size in bytes", rails + "['max_upload_size'] = 1_000", nil, func(c *Config) { c.MaxUploadSize = 1000 }},
		{"size with a unit", rails + "['max_upload_size'] = '5 gib'", nil, func(c *Config) { c.MaxUploadSize = 5 << 30 }},
		{"size in the environment", "", []string{"PACKAGECLOUD_MAX_UPLOAD_SIZE=500MB"}, func(c *Config) { c.MaxUploadSize = 500e6 }},
		{"days", rails + "['package_grace_period'] = '7d'", nil, func(c *Config) { c.PackageGracePeriod = 168 * time.Hour }},
		{"least time", rails + "['index_grace_period'] = '5m'", nil, func(c *Config) { c.IndexGracePeriod = 5 * time.Minute }},
		{"networks", rails + "['trusted_proxies'] = %w[10.1.2.3/8 ::1]", nil,
			func(c *Config) {
				c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
			}},
		{"networks in the environment", "", []string{"PACKAGECLOUD_TRUSTED_PROXIES=10.0.0.0/8, 192.0.2.1"},
			func(c *Config) {
				c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32")}
			}},
		{"workers", "resque['index_worker_count'] = 3\nrainbows['worker_processes'] = 4\nunicorn['worker_processes'] = 5", nil,
			func(c *Config) { c.IndexWorkers, c.ParallelUploads = 3, 4 }},
		{"workers in the environment", "", []string{"PACKAGECLOUD_RESQUE_INDEX_WORKER_COUNT=3", "PACKAGECLOUD_RAINBOWS_WORKER_PROCESSES=4"},
			func(c *Config) { c.IndexWorkers, c.ParallelUploads = 3, 4 }},
		{"data folder", rails + "['data_directory'] = '/srv'", nil,
			func(c *Config) {
				c.DataDirectory, c.MasterKeyFile, c.PIDFile = "/srv", "/srv/master.key", "/srv/packagecloud.pid"
				c.EdgeCacheDirectory = "/srv/edge-cache"
			}},
		{"number in the environment", "", []string{"PACKAGECLOUD_S3_SIGNATURE_VERSION=2"}, func(c *Config) { c.S3SignatureVersion = 2 }},
		{"boolean in the environment", "", []string{"PACKAGECLOUD_S3_PATH_STYLE=true"}, func(c *Config) { c.S3PathStyle = true }},
		{"older keys", rails + "['enterprise_license_key'] = 'x'\npackagecloud_gpg['use_external_agent'] = false\npackagecloud_gpg['key_directory'] = '/x'", nil,
			func(*Config) {}},
		{"variables of others", "", []string{"PACKAGECLOUD_TOKEN=x", "PACKAGECLOUD_URL=x", "PACKAGECLOUD_SERVICE_HOST=x", "PACKAGECLOUD_PORT=tcp://10.0.0.1:80"},
			func(*Config) {}},
	}
	for _, tt := range tests {
		want := defaults()
		tt.change(want)
		path := write(t, tt.src)
		got, err := Load(path, tt.environ)
		if err != nil {
			t.Errorf("%s: %v", tt.name, messages(t, path, err))
			continue
		}
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestProblems compares all that is said of a thoroughly wrong configuration.
func TestProblems(t *testing.T) {
	src, err := os.ReadFile(filepath.Join("testdata", "wrong.rb"))
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, string(src))
	_, err = Load(path, []string{
		"PACKAGECLOUD_LISTEN_ADRESS=:80",
		"PACKAGECLOUD_CLOUDFRONT_ENABLED=yes",
		"PACKAGECLOUD_DATABASE_URL=postgres://me:hunter2%zz@db/packagecloud",
	})
	text := strings.Join(messages(t, path, err), "\n") + "\n"
	if strings.Contains(text, "hunter2") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	golden := filepath.Join("testdata", "wrong.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("problems (-want +got; -update writes them):\n%s", diff)
	}
}

// TestTogether has settings that need each other.
func TestTogether(t *testing.T) {
	const (
		rails      = "packagecloud_rails"
		cloudFront = rails + "['s3_bucket'] = 'packages'\n" + rails + "['cloudfront_secret'] = 'MDI2ZDhhYmMxYThiMjVmMTBlODM4OWNmZWZiZmI2NWI'\n" +
			rails + "['cloudfront_distribution_id'] = 'F1CA7GXW3ED1U0'\n" + rails + "['cloudfront_packages_domain'] = 'd1.cloudfront.net'\n"
	)
	tests := []struct {
		src  string
		want []string
	}{
		{rails + "['tls_key_file'] = 'key'", []string{"packagecloud.rb:1: packagecloud_rails['tls_key_file'] is set without packagecloud_rails['tls_certificate_file'] (set both or none)"}},
		{rails + "['tls_certificate_file'] = 'a'\n" + rails + "['tls_key_file'] = ''", []string{"packagecloud.rb:1: packagecloud_rails['tls_certificate_file'] is set without packagecloud_rails['tls_key_file'] (set both or none)"}},
		{rails + "['tls_certificate_file'] = 'a'\n" + rails + "['tls_key_file'] = 'b'", nil},
		{cloudFront + rails + "['cloudfront_enabled'] = true", nil},
		{cloudFront + rails + "['cloudfront_enabled'] = true\n" + rails + "['s3_bucket'] = nil", []string{"packagecloud.rb:5: packagecloud_rails['cloudfront_enabled'] is true, but packagecloud_rails['s3_bucket'] is not set (CloudFront serves packages from a bucket: name it)"}},
		{rails + "['cloudfront_enabled'] = false", nil},
		{cloudFront + rails + "['edge_url'] = 'https://downloads.example.com'", nil},
		{rails + "['edge_url'] = 'http://localhost:81'", []string{
			"packagecloud.rb:1: packagecloud_rails['edge_url'] is set without packagecloud_rails['cloudfront_secret'] (run packagecloud-ctl generate-cloudfront-secret)",
			"packagecloud.rb:1: packagecloud_rails['edge_url'] is set without packagecloud_rails['s3_bucket'] (the edge fetches packages from a bucket: name it)",
			"packagecloud.rb:1: packagecloud_rails['edge_url'] has the host name of external_url (give it another one: npm and wget would send their token to it)",
		}},
		{cloudFront, nil},
	}
	for _, tt := range tests {
		path := write(t, tt.src)
		_, err := Load(path, nil)
		if diff := cmp.Diff(tt.want, messages(t, path, err)); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", tt.src, diff)
		}
	}
}

// TestManualSample loads the reference configuration of packagecloud's manual
// on CloudFront, whose domain is left empty.
func TestManualSample(t *testing.T) {
	path := write(t, `packagecloud_rails['cloudfront_enabled'] = true
packagecloud_rails['cloudfront_secret'] = 'MDI2ZDhhYmMxYThiMjVmMTBlODM4OWNmZWZiZmI2NWI'
packagecloud_rails['cloudfront_distribution_id'] = 'F1CA7GXW3ED1U0'
packagecloud_rails['cloudfront_packages_domain'] = ''
`)
	_, err := Load(path, []string{"PACKAGECLOUD_S3_BUCKET=packages"})
	want := []string{"packagecloud.rb:1: packagecloud_rails['cloudfront_enabled'] is true, but packagecloud_rails['cloudfront_packages_domain'] is not set (run packagecloud-ctl setup-cloudfront, which prints it)"}
	if diff := cmp.Diff(want, messages(t, path, err)); diff != "" {
		t.Errorf("without a domain (-want +got):\n%s", diff)
	}
	if _, err := LoadUnfinished(path, []string{"PACKAGECLOUD_S3_BUCKET=packages"}); err != nil {
		t.Errorf("for the command that finds the domain out: %v", err)
	}
	c, err := Load(path, []string{"PACKAGECLOUD_S3_BUCKET=packages", "PACKAGECLOUD_CLOUDFRONT_PACKAGES_DOMAIN=d1.cloudfront.net"})
	if err != nil {
		t.Fatal(err)
	}
	if !c.CloudFrontEnabled || c.CloudFrontSecret.Reveal() != "MDI2ZDhhYmMxYThiMjVmMTBlODM4OWNmZWZiZmI2NWI" || c.CloudFrontDistributionID != "F1CA7GXW3ED1U0" {
		t.Errorf("the sample is read as %+v", c)
	}
}

// TestKeys checks the table itself.
func TestKeys(t *testing.T) {
	seen := map[string]bool{}
	for i := range keys {
		k := &keys[i]
		if seen[k.environment()] {
			t.Errorf("%s: the variable %s is there twice", k, k.environment())
		}
		seen[k.environment()] = true
		if (k.initial == "") == (k.computed == "") {
			t.Errorf("%s needs either a default or words for it", k)
		}
		if k.initial != "" {
			if err := k.set(&Config{}, k.initial); err != nil {
				t.Errorf("the default of %s %v", k, err)
			}
		}
		if k.doc == "" || k.example == "" || k.kind == "" {
			t.Errorf("%s lacks its documentation, an example or a type", k)
		}
		for _, value := range []any{[]any{int64(1)}, map[string]any{}, 1.5} {
			var bad *valueError
			if err := k.set(&Config{}, value); !errors.As(err, &bad) {
				t.Errorf("%s = %v: error %v, want one about its type", k, value, err)
			}
		}
		if k.secret {
			if err := k.set(&Config{}, "short and\nhush%%%"); err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: the message shows the value: %v", k, err)
			}
		}
	}
}

// TestExamples loads the examples of all keys as one file; together they set
// every field.
func TestExamples(t *testing.T) {
	var src strings.Builder
	for i := range keys {
		src.WriteString(keys[i].statement() + "\n")
	}
	path := write(t, src.String())
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(strings.Join(messages(t, path, err), "\n"))
	}
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("no example sets %s", v.Type().Field(i).Name)
		}
	}
	if slices.Equal(c.TrustedProxies, defaults().TrustedProxies) {
		t.Error("the example of trusted_proxies sets none")
	}
}

func FuzzLoad(f *testing.F) {
	wrong, err := os.ReadFile(filepath.Join("testdata", "wrong.rb"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(wrong)) {
		f.Add(line, "PACKAGECLOUD_LISTEN_ADDRESS=:80")
	}
	for i := range keys {
		f.Add(keys[i].statement(), keys[i].environment()+"="+keys[i].initial)
	}
	f.Fuzz(func(t *testing.T, src, variable string) {
		path := write(t, src)
		c, err := Load(path, []string{variable})
		if err != nil {
			messages(t, path, err)
			return
		}
		if c.ExternalURL == nil || c.ExternalURL.Path != "" || c.DataDirectory == "" || c.MaxUploadSize < 1 || c.IndexWorkers < 1 {
			t.Errorf("a configuration was accepted that nothing can work with: %+v", c)
		}
	})
}
