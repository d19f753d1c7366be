package config

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// key is one setting.
type key struct {
	group string // "packagecloud_rails", or "" for name 'value'
	name  string
	// initial is the default as it would be written; computed says in words
	// what it is where it depends on something else.
	initial, computed string
	secret            bool
	doc               string // Markdown
	example           string // the value in Ruby
	setter
}

// setter is the type of a value: what it is called in the documentation, and
// how it is checked and kept. A value is what rubyconf makes of it, or the
// string of a variable of the environment.
type setter struct {
	kind string
	set  func(c *Config, value any) error
}

const rails = "packagecloud_rails"

// keys is the table of all settings, in the order of the documentation.
var keys = []key{
	{
		name: "external_url", initial: "http://localhost:8080",
		doc:     "The address under which clients reach the server. It stands in install scripts, repository files and download links, so it must be the one that machines see, behind a proxy that of the proxy. It has no path. Documents of npm and Python hold it: after a change, run `packagecloud-ctl reindex-everything`.",
		example: `'https://packages.example.com'`, setter: originURL(func(c *Config) **url.URL { return &c.ExternalURL }),
	},
	{
		group: rails, name: "listen_address", initial: "127.0.0.1:8080",
		doc:     "The address and port to listen on. `:8080` listens on all addresses of the machine.",
		example: `':8080'`, setter: address(func(c *Config) *string { return &c.ListenAddress }),
	},
	{
		group: rails, name: "trusted_proxies", computed: "none",
		doc:     "The networks of the proxies in front of the server. Only from them `X-Forwarded-For` is believed. Whether clients came by https follows from `external_url` alone.",
		example: `%w[127.0.0.1/32 10.0.0.0/8]`, setter: networks(),
	},
	{
		group: rails, name: "tls_certificate_file", computed: "none: plain HTTP",
		doc:     "A certificate with its chain, in PEM, to serve HTTPS without a proxy. Needs `tls_key_file`.",
		example: `'/etc/packagecloud/tls.crt'`, setter: text(func(c *Config) *string { return &c.TLSCertificateFile }),
	},
	{
		group: rails, name: "tls_key_file", computed: "none",
		doc:     "The key of the certificate, in PEM.",
		example: `'/etc/packagecloud/tls.key'`, setter: text(func(c *Config) *string { return &c.TLSKeyFile }),
	},
	{
		group: rails, name: "data_directory", computed: "`/var/opt/packagecloud`, or `./data` without a configuration file",
		doc:     "The folder of everything that the server keeps: the database unless `database_url` is set, packages, indexes and the master key. Back it up.",
		example: `'/srv/packagecloud'`, setter: text(func(c *Config) *string { return &c.DataDirectory }),
	},
	{
		group: rails, name: "database_url", computed: "none: a SQLite file in the data folder", secret: true,
		doc:     "The PostgreSQL database. More than one node needs it.",
		example: `'postgres://packagecloud:password@db.example.com/packagecloud'`, setter: databaseURL(),
	},
	{
		group: rails, name: "master_key_file", computed: "`master.key` in the data folder",
		doc:     "The key to which signing keys and tokens in the database are encrypted. All nodes need the same one, and a backup of the database is worth nothing without it.",
		example: `'/etc/packagecloud/master.key'`, setter: text(func(c *Config) *string { return &c.MasterKeyFile }),
	},
	{
		group: rails, name: "users_file", initial: "/etc/packagecloud/users.yml",
		doc:     "The list of users that `packagecloud-ctl load-users` reads.",
		example: `'/etc/packagecloud/users.yml'`, setter: text(func(c *Config) *string { return &c.UsersFile }),
	},
	{
		group: rails, name: "pid_file", computed: "`packagecloud.pid` in the data folder",
		doc:     "Where the server writes its process id, for `packagecloud-ctl restart`.",
		example: `'/run/packagecloud/packagecloud.pid'`, setter: text(func(c *Config) *string { return &c.PIDFile }),
	},
	{
		group: rails, name: "max_upload_size", initial: "20GiB",
		doc:     "The largest package that may be pushed.",
		example: `'5GiB'`, setter: size(1, func(c *Config) *int64 { return &c.MaxUploadSize }),
	},
	{
		group: "rainbows", name: "worker_processes", initial: "0",
		doc:     "How many files are received at the same time; 0 for no limit. One more waits for 30 seconds, then its client is answered 503 and asked to come again.",
		example: `8`, setter: integer(0, 100_000, func(c *Config) *int { return &c.ParallelUploads }),
	},
	{
		group: "unicorn", name: "worker_processes", computed: "none",
		doc:     "Accepted from older configurations and ignored: the server answers any number of requests at the same time.",
		example: `8`, setter: integer(0, 100_000, nil),
	},
	{
		group: "resque", name: "index_worker_count", computed: "the number of CPUs",
		doc:     "How many indexes are built at the same time.",
		example: `4`, setter: integer(1, 1000, func(c *Config) *int { return &c.IndexWorkers }),
	},
	{
		group: rails, name: "index_grace_period", initial: "1h",
		doc:     "How long the files of a replaced index stay, for clients that have begun to read it. At least five minutes.",
		example: `'2h'`, setter: duration(5*time.Minute, func(c *Config) *time.Duration { return &c.IndexGracePeriod }),
	},
	{
		group: rails, name: "package_grace_period", initial: "24h",
		doc:     "How long the file of a deleted package stays, for clients that have an index with it.",
		example: `'7d'`, setter: duration(0, func(c *Config) *time.Duration { return &c.PackageGracePeriod }),
	},
	{
		group: rails, name: "signing_key_algorithm", initial: "rsa3072",
		doc:     "The kind of the keys that new repositories sign with. Every client knows RSA; Ed25519 needs newer ones.",
		example: `'rsa4096'`, setter: choice([]string{"rsa3072", "rsa4096", "ed25519"}, func(c *Config) *string { return &c.SigningKeyAlgorithm }),
	},
	{
		group: rails, name: "log_level", initial: "info",
		doc:     "The least severe messages that are logged.",
		example: `'warn'`, setter: logLevel(),
	},
	{
		group: rails, name: "log_format", initial: "text",
		doc:     "The form of the log, one message a line, on standard error.",
		example: `'json'`, setter: choice([]string{"text", "json"}, func(c *Config) *string { return &c.LogFormat }),
	},
	{
		group: rails, name: "aws_access_key", computed: "none: the credentials of the machine",
		doc:     "The AWS access key, for S3 and for the CloudFront commands of `packagecloud-ctl`.",
		example: `'AKIAIOSFODNN7EXAMPLE'`, setter: text(func(c *Config) *string { return &c.AWSAccessKey }),
	},
	{
		group: rails, name: "aws_secret_key", computed: "none", secret: true,
		doc:     "The secret of the AWS access key.",
		example: `ENV.fetch('AWS_SECRET_ACCESS_KEY', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY')`, setter: secret(func(c *Config) *Secret { return &c.AWSSecretKey }),
	},
	{
		group: rails, name: "s3_bucket", computed: "none: packages are stored in the data folder",
		doc:     "The S3 bucket to store packages and indexes in.",
		example: `'example-packages'`, setter: bucket(func(c *Config) *string { return &c.S3Bucket }),
	},
	{
		group: rails, name: "s3_region", initial: "us-east-1",
		doc:     "The region of the bucket.",
		example: `'eu-central-1'`, setter: text(func(c *Config) *string { return &c.S3Region }),
	},
	{
		group: rails, name: "s3_endpoint", computed: "none: AWS",
		doc:     "The URL of a storage service other than AWS that speaks S3.",
		example: `'https://s3.example.com'`, setter: endpoint(func(c *Config) *string { return &c.S3Endpoint }),
	},
	{
		group: rails, name: "s3_path_style", initial: "false",
		doc:     "Whether the bucket stands in the path of URLs and not in the host name.",
		example: `true`, setter: boolean(func(c *Config) *bool { return &c.S3PathStyle }),
	},
	{
		group: rails, name: "direct_metadata_size", computed: "`64KiB`, or `0` if CloudFront is enabled",
		doc:     "With a bucket, packages and repository metadata reach clients by a redirect. Metadata smaller than this is answered by the server itself, which saves small files a round trip; 0 redirects all of it. The documents of one name (Python, npm) are compressed in the bucket: clients that do not take gzip get them from the server.",
		example: `'64KiB'`, setter: size(0, func(c *Config) *int64 { return &c.DirectMetadataSize }),
	},
	{
		group: rails, name: "s3_public_endpoint", computed: "the value of `s3_endpoint`",
		doc:     "The URL under which clients reach the storage service, if it is another one than that for the server. Links to packages are made with it.",
		example: `'https://downloads.example.com'`, setter: endpoint(func(c *Config) *string { return &c.S3PublicEndpoint }),
	},
	{
		group: rails, name: "s3_signature_version", initial: "4",
		doc:     "How links to the bucket are signed. 2 is for services that do not know 4; AWS refuses it for buckets made after June 2020.",
		example: `2`, setter: number([]int{4, 2}, func(c *Config) *int { return &c.S3SignatureVersion }),
	},
	{
		group: rails, name: "cloudfront_enabled", initial: "false",
		doc:     "Whether clients download through CloudFront. Needs `s3_bucket` and the three keys that follow.",
		example: `true`, setter: boolean(func(c *Config) *bool { return &c.CloudFrontEnabled }),
	},
	{
		group: rails, name: "cloudfront_secret", computed: "none", secret: true,
		doc:     "The secret that signs download links, at least 32 characters. `packagecloud-ctl generate-cloudfront-secret` makes one.",
		example: `'q2fXb8cVnR5tYw1zKdP0sLgHj3mA7uEo9iBv6xNrTkQ'`, setter: cloudFrontSecret(func(c *Config) *Secret { return &c.CloudFrontSecret }),
	},
	{
		group: rails, name: "cloudfront_distribution_id", computed: "none",
		doc:     "The id of the CloudFront distribution, as `packagecloud-ctl reconfigure-cloudfront-distribution` prints it.",
		example: `'E2EXAMPLE1DIST'`, setter: distributionID(),
	},
	{
		group: rails, name: "cloudfront_packages_domain", computed: "none",
		doc:     "The host name of the CloudFront distribution, as the same command prints it.",
		example: `'d111111abcdef8.cloudfront.net'`, setter: hostName(func(c *Config) *string { return &c.CloudFrontPackagesDomain }),
	},
	{
		group: rails, name: "cloudfront_second_secret", computed: "none", secret: true,
		doc:     "A second secret whose links are good as well, while the secret is replaced ([how](cloudfront.md#replace-the-secret)). It never signs.",
		example: `'Zt3kLq8WnB1xYc6vRj0uHs5gPe2mDa9oTf7iNrXwQzE'`, setter: cloudFrontSecret(func(c *Config) *Secret { return &c.CloudFrontSecondSecret }),
	},
	{
		group: rails, name: "cloudfront_check", initial: "lambda",
		doc:     "What checks download links at CloudFront: a Lambda@Edge function, or a CloudFront function, which costs a fifth of it and keeps the secrets in a key value store ([how to choose](cloudfront.md#choose-the-check)). Takes effect by `packagecloud-ctl setup-cloudfront`.",
		example: `'cloudfront-function'`, setter: choice([]string{"lambda", "cloudfront-function"}, func(c *Config) *string { return &c.CloudFrontCheck }),
	},
	{
		group: rails, name: "cloudfront_certificate_arn", computed: "none",
		doc:     "The certificate, in ACM of us-east-1, for a `cloudfront_packages_domain` of your own. With it `packagecloud-ctl setup-cloudfront` gives the distribution that name.",
		example: `'arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012'`, setter: text(func(c *Config) *string { return &c.CloudFrontCertificateARN }),
	},
	{
		group: rails, name: "cloudfront_price_class", computed: "as the distribution has it; `PriceClass_All` for a new one",
		doc:     "Where CloudFront serves from: everywhere, without the dearest regions, or in North America and Europe only. Takes effect by `packagecloud-ctl setup-cloudfront`.",
		example: `'PriceClass_100'`, setter: choice([]string{"PriceClass_All", "PriceClass_200", "PriceClass_100"}, func(c *Config) *string { return &c.CloudFrontPriceClass }),
	},
	{
		group: rails, name: "cloudfront_log_bucket", computed: "as the distribution has it; none for a new one",
		doc:     "A bucket that CloudFront writes its access logs to, under `cloudfront/`. It must allow ACLs. Takes effect by `packagecloud-ctl setup-cloudfront`.",
		example: `'example-logs'`, setter: bucket(func(c *Config) *string { return &c.CloudFrontLogBucket }),
	},
	{
		group: rails, name: "cloudfront_ipv6", computed: "as the distribution has it; `true` for a new one",
		doc:     "Whether CloudFront answers over IPv6. Takes effect by `packagecloud-ctl setup-cloudfront`.",
		example: `false`, setter: optional(func(c *Config) **bool { return &c.CloudFrontIPv6 }),
	},
	{
		group: rails, name: "cloudfront_http3", computed: "as the distribution has it; `true` for a new one",
		doc:     "Whether CloudFront speaks HTTP/3 beside HTTP/2. Takes effect by `packagecloud-ctl setup-cloudfront`.",
		example: `false`, setter: optional(func(c *Config) **bool { return &c.CloudFrontHTTP3 }),
	},
	{
		group: rails, name: "edge_url", computed: "none",
		doc:     "The address under which clients reach `packagecloud edge`, to which the server then sends them for packages. Its host name must differ from that of `external_url`, because some clients would send their token along. Needs `s3_bucket`, and `cloudfront_secret`, which signs the links. While `cloudfront_enabled` is true they go to CloudFront.",
		example: `'https://downloads.example.com'`, setter: originURL(func(c *Config) **url.URL { return &c.EdgeURL }),
	},
	{
		group: rails, name: "edge_listen_address", initial: "127.0.0.1:8081",
		doc:     "The address and port that `packagecloud edge` listens on.",
		example: `':8081'`, setter: address(func(c *Config) *string { return &c.EdgeListenAddress }),
	},
	{
		group: rails, name: "edge_cache_directory", computed: "`edge-cache` in the data folder",
		doc:     "The folder where `packagecloud edge` keeps copies of packages. Each process needs its own; nothing is lost with it.",
		example: `'/var/cache/packagecloud'`, setter: text(func(c *Config) *string { return &c.EdgeCacheDirectory }),
	},
	{
		group: rails, name: "edge_cache_size", initial: "10GiB",
		doc:     "How much of the disk these copies may take. An object larger than half of it is not kept.",
		example: `'500GiB'`, setter: size(1<<20, func(c *Config) *int64 { return &c.EdgeCacheSize }),
	},
	{
		group: rails, name: "edge_memory_size", initial: "128MiB",
		doc:     "How much memory `packagecloud edge` uses for the small files (up to 128 KiB) that are asked for most.",
		example: `'1GiB'`, setter: size(1<<20, func(c *Config) *int64 { return &c.EdgeMemorySize }),
	},
	{
		group: rails, name: "enterprise_license_key", computed: "none", secret: true,
		doc:     "Accepted from older configurations and ignored: there are no licences.",
		example: `'0123456789abcdef'`, setter: secret(nil),
	},
	{
		group: "packagecloud_gpg", name: "use_external_agent", initial: "false",
		doc:     "Accepted from older configurations if it is false: the server signs by itself, without a GnuPG agent.",
		example: `false`, setter: noAgent(),
	},
	{
		group: "packagecloud_gpg", name: "key_directory", computed: "none",
		doc:     "Accepted from older configurations and ignored: signing keys are kept in the database, encrypted to the master key.",
		example: `'/etc/packagecloud/gpgkey'`, setter: text(nil),
	},
}

func (k *key) path() []string {
	if k.group == "" {
		return []string{k.name}
	}
	return []string{k.group, k.name}
}

// String is the key as it stands in the file.
func (k *key) String() string { return spell(k.path()) }

// environment is the variable that overrides the key.
func (k *key) environment() string {
	name := k.name
	switch k.group {
	case "", rails:
	case "packagecloud_gpg":
		name = "gpg_" + name
	default:
		name = k.group + "_" + name
	}
	return environmentPrefix + strings.ToUpper(name)
}

// spell writes a path the way the file does.
func spell(path []string) string {
	var b strings.Builder
	b.WriteString(path[0])
	for _, p := range path[1:] {
		if q := strconv.Quote(p); q != `"`+p+`"` {
			b.WriteString("[" + q + "]")
			continue
		}
		b.WriteString("['" + p + "']")
	}
	return b.String()
}

// find is the key with a path, or nil.
func find(path []string) *key {
	i := slices.IndexFunc(keys, func(k key) bool { return slices.Equal(k.path(), path) })
	if i < 0 {
		return nil
	}
	return &keys[i]
}

// railsKey is a key of packagecloud_rails that exists.
func railsKey(name string) *key { return find([]string{rails, name}) }
