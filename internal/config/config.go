// Package config is the configuration of the server: a file in the Ruby of
// packagecloud.rb and environment variables over it, checked as a whole before
// anything starts. One table, keys, has all there is to know of each setting;
// loading and docs/configuration.md come from it.
package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"packagecloud/internal/rubyconf"
)

// DefaultPath is where the configuration is looked for.
const DefaultPath = "/etc/packagecloud/packagecloud.rb"

// Config is a configuration that was checked. Each field is described where
// its key is, in the table keys.
type Config struct {
	ExternalURL    *url.URL // without a path
	ListenAddress  string
	TrustedProxies []netip.Prefix
	// TLSCertificateFile and TLSKeyFile are both set or both empty.
	TLSCertificateFile, TLSKeyFile string

	DataDirectory string
	DatabaseURL   Secret // empty for SQLite in DataDirectory
	MasterKeyFile string
	UsersFile     string
	PIDFile       string

	MaxUploadSize       int64 // bytes
	ParallelUploads     int   // 0 for no limit
	IndexWorkers        int
	IndexGracePeriod    time.Duration
	PackageGracePeriod  time.Duration
	SigningKeyAlgorithm string

	LogLevel  slog.Level
	LogFormat string // "text" or "json"

	AWSAccessKey string
	AWSSecretKey Secret
	S3Bucket     string // empty for storage in DataDirectory
	S3Region     string
	S3Endpoint   string // empty for AWS
	S3PathStyle  bool
	// S3PublicEndpoint is empty if clients reach the bucket as the server does.
	S3PublicEndpoint   string
	S3SignatureVersion int // of links: 4 or 2

	// DirectMetadataSize is the size in bytes below which metadata is sent by
	// the server and not from S3 or CloudFront.
	DirectMetadataSize int64

	// CloudFrontEnabled is true only if S3Bucket and the first three of the
	// following are set.
	CloudFrontEnabled        bool
	CloudFrontSecret         Secret
	CloudFrontDistributionID string
	CloudFrontPackagesDomain string
	CloudFrontSecondSecret   Secret
	CloudFrontCheck          string // lambda or cloudfront-function
	CloudFrontCertificateARN string
	CloudFrontPriceClass     string
	CloudFrontLogBucket      string
	CloudFrontIPv6           *bool // nil to leave it as it is
	CloudFrontHTTP3          *bool // likewise

	// EdgeURL is where our own edge is, nil for none. S3Bucket and
	// CloudFrontSecret are set then. CloudFront goes before it, if enabled.
	EdgeURL            *url.URL
	EdgeListenAddress  string
	EdgeCacheDirectory string
	EdgeCacheSize      int64 // bytes
	EdgeMemorySize     int64 // bytes
}

// Load reads the configuration file at path and the environment, given as by
// os.Environ. An empty path stands for DefaultPath if that exists, or else for
// no file. Everything that is wrong with the settings is in one
// *rubyconf.Error.
func Load(path string, environ []string) (*Config, error) { return load(path, environ, true) }

// LoadUnfinished is Load for the commands that set CloudFront up: settings that
// they are there to find out may be missing.
func LoadUnfinished(path string, environ []string) (*Config, error) {
	return load(path, environ, false)
}

func load(path string, environ []string, finished bool) (*Config, error) {
	env := environment(environ)
	l := &loader{config: &Config{}, sources: map[*key]source{}}
	file, src, err := read(path)
	if err != nil {
		return nil, err
	}
	if file != "" {
		settings, err := rubyconf.Parse(file, src, env.lookup)
		var wrong *rubyconf.Error
		if errors.As(err, &wrong) {
			l.problems = wrong.Problems
		}
		l.file(file, settings)
	}
	l.environment(env)
	l.assign()
	l.derive(file != "")
	l.check(finished)
	if len(l.problems) > 0 {
		slices.SortStableFunc(l.problems, func(a, b rubyconf.Problem) int {
			return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(a.Line, b.Line))
		})
		return nil, &rubyconf.Error{Problems: l.problems}
	}
	return l.config, nil
}

// order puts what is wrong with a line of the file first, then what concerns
// the file as a whole, then the environment.
func order(p rubyconf.Problem) int {
	switch {
	case p.File == environmentName:
		return 2
	case p.Line == 0:
		return 1
	}
	return 0
}

// read reads the file at path, or the one at DefaultPath. file is empty if
// there is none.
func read(path string) (file string, src []byte, err error) {
	file = path
	if path == "" {
		file = DefaultPath
	}
	f, err := os.Open(file)
	if path == "" && errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	var b bytes.Buffer
	// One byte more than is allowed, which rubyconf refuses.
	if _, err := io.Copy(&b, io.LimitReader(f, rubyconf.MaxSize+1)); err != nil {
		return "", nil, fmt.Errorf("read the configuration: %w", err)
	}
	return file, b.Bytes(), nil
}

// derive sets the defaults that depend on other settings.
func (l *loader) derive(haveFile bool) {
	c := l.config
	if c.DataDirectory == "" {
		c.DataDirectory = "./data"
		if haveFile {
			c.DataDirectory = "/var/opt/packagecloud"
		}
	}
	if k := railsKey("direct_metadata_size"); !l.has(k) && !c.CloudFrontEnabled {
		c.DirectMetadataSize = 64 << 10
	}
	c.MasterKeyFile = cmp.Or(c.MasterKeyFile, filepath.Join(c.DataDirectory, "master.key"))
	c.EdgeCacheDirectory = cmp.Or(c.EdgeCacheDirectory, filepath.Join(c.DataDirectory, "edge-cache"))
	c.IndexWorkers = cmp.Or(c.IndexWorkers, runtime.NumCPU())
	c.PIDFile = cmp.Or(c.PIDFile, filepath.Join(c.DataDirectory, "packagecloud.pid"))
}

// check looks at settings that only make sense together. finished is false
// while CloudFront is being set up.
func (l *loader) check(finished bool) {
	l.together("tls_certificate_file", "tls_key_file")
	l.together("aws_access_key", "aws_secret_key")
	l.checkEdge()
	if !l.config.CloudFrontEnabled || !finished {
		return
	}
	enabled := railsKey("cloudfront_enabled")
	for _, needed := range []struct{ name, hint string }{
		{"s3_bucket", "CloudFront serves packages from a bucket: name it"},
		{"cloudfront_secret", "run packagecloud-ctl generate-cloudfront-secret"},
		{"cloudfront_distribution_id", "run packagecloud-ctl setup-cloudfront, which prints it"},
		{"cloudfront_packages_domain", "run packagecloud-ctl setup-cloudfront, which prints it"},
	} {
		if k := railsKey(needed.name); !l.has(k) {
			l.problem(l.sources[enabled], fmt.Sprintf("%s is true, but %s is not set", l.sources[enabled].name, k), needed.hint)
		}
	}
}

// checkEdge looks at what is needed to send clients to our own edge.
func (l *loader) checkEdge() {
	c, edge := l.config, railsKey("edge_url")
	if c.EdgeURL == nil {
		return
	}
	wrong := func(message, hint string) { l.problem(l.sources[edge], l.sources[edge].name+" "+message, hint) }
	if secret := railsKey("cloudfront_secret"); !l.has(secret) {
		wrong(fmt.Sprintf("is set without %s", secret), "run packagecloud-ctl generate-cloudfront-secret")
	}
	if bucket := railsKey("s3_bucket"); !l.has(bucket) {
		wrong(fmt.Sprintf("is set without %s", bucket), "the edge fetches packages from a bucket: name it")
	}
	if c.EdgeURL.Hostname() == c.ExternalURL.Hostname() {
		wrong("has the host name of external_url", "give it another one: npm and wget would send their token to it")
	}
}

// together reports one of two settings that is set without the other.
func (l *loader) together(first, second string) {
	a, b := railsKey(first), railsKey(second)
	if !l.has(a) {
		a, b = b, a
	}
	if l.has(a) && !l.has(b) {
		l.problem(l.sources[a], fmt.Sprintf("%s is set without %s", l.sources[a].name, b), "set both or none")
	}
}

type environmentMap map[string]string

func environment(environ []string) environmentMap {
	m := environmentMap{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		m[name] = value
	}
	return m
}

func (m environmentMap) lookup(name string) (string, bool) {
	v, ok := m[name]
	return v, ok
}
