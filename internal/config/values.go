package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"packagecloud/internal/edge"
)

// valueError says what a value must be, as the rest of a sentence that begins
// with the key. It holds no value of a secret.
type valueError struct{ message, hint string }

func (e *valueError) Error() string { return e.message }

// mustBe refuses a value that may be shown.
func mustBe(what string, value any, hint string) error {
	return &valueError{message: fmt.Sprintf("must be %s, not %s", what, show(value)), hint: hint}
}

// show prints a value the way it is written in the file, if it is short.
func show(value any) string {
	switch v := value.(type) {
	case string:
		if len(v) > 100 {
			v = strings.ToValidUTF8(v[:100], "") + "..."
		}
		return strconv.Quote(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a hash"
	case nil:
		return "nil"
	}
	return fmt.Sprint(value)
}

// A setter with a nil field checks the value and keeps nothing.

func text(field func(*Config) *string) setter {
	return textThat("text", field, func(string) error { return nil })
}

// textThat is a text that passes a check.
func textThat(kind string, field func(*Config) *string, check func(string) error) setter {
	return setter{kind, func(c *Config, value any) error {
		s, ok := value.(string)
		if !ok {
			return mustBe("text in quotes", value, "")
		}
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return &valueError{"holds a line break or another control character", "remove it"}
		}
		if err := check(s); err != nil {
			return err
		}
		if field != nil {
			*field(c) = s
		}
		return nil
	}}
}

// secret is a text that no message shows.
func secret(field func(*Config) *Secret) setter {
	return secretThat("text", field, func(string) error { return nil })
}

func secretThat(kind string, field func(*Config) *Secret, check func(string) error) setter {
	return setter{kind, func(c *Config, value any) error {
		s, ok := value.(string)
		if !ok {
			return &valueError{"must be text in quotes", ""}
		}
		if err := check(s); err != nil {
			return err
		}
		if field != nil {
			*field(c) = Secret(s)
		}
		return nil
	}}
}

func boolean(field func(*Config) *bool) setter {
	return setter{"true or false", func(c *Config, value any) error {
		switch value {
		case true, "true":
			*field(c) = true
		case false, "false":
			*field(c) = false
		default:
			return mustBe("true or false", value, "")
		}
		return nil
	}}
}

// optional is true, false, or not set.
func optional(field func(*Config) **bool) setter {
	return setter{"true or false", func(c *Config, value any) error {
		on := false
		err := boolean(func(*Config) *bool { return &on }).set(c, value)
		if err == nil {
			*field(c) = &on
		}
		return err
	}}
}

func noAgent() setter {
	return setter{"false", func(_ *Config, value any) error {
		switch value {
		case false, "false":
			return nil
		case true, "true":
			return &valueError{"cannot be true: the server signs by itself", "remove the line"}
		}
		return mustBe("false", value, "")
	}}
}

func integer(low, high int, field func(*Config) *int) setter {
	return setter{"whole number", func(c *Config, value any) error {
		n, ok := whole(value)
		if !ok || n < int64(low) || n > int64(high) {
			return mustBe(fmt.Sprintf("a whole number from %d to %d", low, high), value, "")
		}
		if field != nil {
			*field(c) = int(n)
		}
		return nil
	}}
}

// number is one of some numbers.
func number(numbers []int, field func(*Config) *int) setter {
	words := make([]string, 0, len(numbers))
	for _, n := range numbers {
		words = append(words, strconv.Itoa(n))
	}
	return setter{kindOf(words), func(c *Config, value any) error {
		n, ok := whole(value)
		if !ok || !slices.Contains(numbers, int(n)) {
			return mustBe("one of "+strings.Join(words, ", "), value, "")
		}
		*field(c) = int(n)
		return nil
	}}
}

// whole is an integer, from the file or the environment.
func whole(value any) (int64, bool) {
	switch v := value.(type) {
	case int64:
		return v, true
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	}
	return 0, false
}

func choice(words []string, field func(*Config) *string) setter {
	return setter{kindOf(words), func(c *Config, value any) error {
		s, _ := value.(string)
		if !slices.Contains(words, s) {
			return mustBe("one of "+strings.Join(words, ", "), value, "")
		}
		*field(c) = s
		return nil
	}}
}

func logLevel() setter {
	words := []string{"debug", "info", "warn", "error"}
	return setter{kindOf(words), func(c *Config, value any) error {
		s, _ := value.(string)
		if !slices.Contains(words, s) {
			return mustBe("one of "+strings.Join(words, ", "), value, "")
		}
		return c.LogLevel.UnmarshalText([]byte(s))
	}}
}

// kindOf is the type of a value that is one of some words.
func kindOf(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }

var units = map[string]int64{
	"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}

var sizePattern = regexp.MustCompile(`^([0-9][0-9_]*) ?([A-Za-z]*)$`)

// size is a number of bytes, at least low, or a number with a unit.
func size(low int64, field func(*Config) *int64) setter {
	const most = 1 << 50 // a petabyte; more is a typing error
	return setter{"size", func(c *Config, value any) error {
		const hint = "write a number of bytes, or a size such as '20GiB' or '500MB'"
		n, ok := whole(value)
		if s, isText := value.(string); isText && !ok {
			if m := sizePattern.FindStringSubmatch(s); m != nil {
				unit, known := units[strings.ToUpper(m[2])]
				count, err := strconv.ParseInt(strings.ReplaceAll(m[1], "_", ""), 10, 64)
				if known && err == nil && count <= most/unit {
					n, ok = count*unit, true
				}
			}
		}
		if !ok || n < low || n > most {
			return mustBe("a size", value, hint)
		}
		*field(c) = n
		return nil
	}}
}

// duration is a time such as "1h30m" or "7d".
func duration(low time.Duration, field func(*Config) *time.Duration) setter {
	const most = 3650 * 24 * time.Hour
	return setter{"duration", func(c *Config, value any) error {
		s, _ := value.(string)
		d, err := time.ParseDuration(s)
		if days, ok := strings.CutSuffix(s, "d"); ok {
			var n uint64
			n, err = strconv.ParseUint(days, 10, 12)
			d = time.Duration(n) * 24 * time.Hour
		}
		if err != nil {
			return mustBe("a duration", value, "write it with a unit, such as '30m', '24h' or '7d'")
		}
		if d < low || d > most {
			return mustBe(fmt.Sprintf("from %s to 3650d", short(low)), value, "")
		}
		*field(c) = d
		return nil
	}}
}

// short is a duration without zeros behind it.
func short(d time.Duration) string {
	if d%time.Minute == 0 && d > 0 {
		return strings.TrimSuffix(d.String(), "0s")
	}
	return d.String()
}

func address(field func(*Config) *string) setter {
	return textThat("address", field, func(s string) error {
		_, port, err := net.SplitHostPort(s)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || strconv.FormatUint(n, 10) != port {
			return mustBe("an address with a port", s, "write '127.0.0.1:8080', or ':8080' for all addresses")
		}
		return nil
	})
}

// originURL is a URL without a path.
func originURL(field func(*Config) **url.URL) setter {
	return setter{"URL", func(c *Config, value any) error {
		s, ok := value.(string)
		if !ok {
			return mustBe("text in quotes", value, "")
		}
		u, err := parseHTTP(s)
		if err != nil {
			return err
		}
		if u.Path = strings.TrimRight(u.Path, "/"); u.Path != "" {
			return &valueError{fmt.Sprintf("has the path %s: the server is at the root of its host", show(u.Path)), "give the server a host name of its own, such as https://packages.example.com"}
		}
		u.RawPath = ""
		*field(c) = u
		return nil
	}}
}

// parseHTTP parses a URL of HTTP or HTTPS without user, query and fragment. Its
// messages do not show the URL, which may hold a password by mistake.
func parseHTTP(s string) (*url.URL, error) {
	const hint = "write it as https://host or http://host:port"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return nil, &valueError{"must be a URL", hint}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, &valueError{"must begin with http:// or https://", hint}
	case u.User != nil:
		return nil, &valueError{"must not hold a user or password", hint}
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, &valueError{"must not hold ? or #", hint}
	}
	return u, nil
}

func endpoint(field func(*Config) *string) setter {
	return textThat("URL", field, func(s string) error {
		_, err := parseHTTP(s)
		return err
	})
}

func databaseURL() setter {
	return secretThat("URL", func(c *Config) *Secret { return &c.DatabaseURL }, func(s string) error {
		// The error of Parse holds the URL, and that the password.
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return &valueError{"must be a URL that begins with postgres://", "write postgres://user:password@host/database, with other characters than letters and digits of the password as %XX; leave it out for SQLite"}
		}
		return nil
	})
}

func networks() setter {
	return setter{"list of networks", func(c *Config, value any) error {
		list, ok := value.([]any)
		if s, isText := value.(string); isText {
			for part := range strings.SplitSeq(s, ",") {
				list = append(list, strings.TrimSpace(part))
			}
			ok = true
		}
		if !ok {
			return mustBe("a list", value, "write %w[10.0.0.0/8 192.0.2.1]")
		}
		prefixes := []netip.Prefix{}
		for _, entry := range list {
			s, _ := entry.(string)
			p, err := netip.ParsePrefix(s)
			if a, aerr := netip.ParseAddr(s); aerr == nil && a.Zone() == "" {
				p, err = a.Prefix(a.BitLen())
			}
			if err != nil {
				return &valueError{fmt.Sprintf("has %s, which is no network", show(entry)), "write networks such as '10.0.0.0/8' and addresses such as '192.0.2.1'"}
			}
			prefixes = append(prefixes, p.Masked())
		}
		c.TrustedProxies = prefixes
		return nil
	}}
}

var (
	bucketPattern       = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	distributionPattern = regexp.MustCompile(`^[A-Z0-9]{1,64}$`)
	hostPattern         = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$`)
)

func bucket(field func(*Config) *string) setter {
	return textThat("text", field, func(s string) error {
		if !bucketPattern.MatchString(s) {
			return mustBe("the name of a bucket", s, "3 to 63 small letters, digits, dots and dashes, without s3://")
		}
		return nil
	})
}

func cloudFrontSecret(field func(*Config) *Secret) setter {
	return secretThat("text", field, func(s string) error {
		const hint = "run packagecloud-ctl generate-cloudfront-secret"
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return &valueError{"must not hold spaces or characters other than ASCII", hint}
		}
		if len(s) < edge.MinSecret {
			return &valueError{fmt.Sprintf("is too short: it has %d characters and needs %d", len(s), edge.MinSecret), hint}
		}
		if len(s) > edge.MaxSecret {
			return &valueError{fmt.Sprintf("is too long: it has %d characters, and may have %d", len(s), edge.MaxSecret), hint}
		}
		return nil
	})
}

func distributionID() setter {
	return textThat("text", func(c *Config) *string { return &c.CloudFrontDistributionID }, func(s string) error {
		if !distributionPattern.MatchString(s) {
			return mustBe("the id of a distribution", s, "it has capital letters and digits, such as E2EXAMPLE1DIST")
		}
		return nil
	})
}

func hostName(field func(*Config) *string) setter {
	return textThat("host name", field, func(s string) error {
		if len(s) > 253 || !hostPattern.MatchString(s) {
			return mustBe("a host name", s, "write it without https:// and path, such as d111111abcdef8.cloudfront.net")
		}
		return nil
	})
}
