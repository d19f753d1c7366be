package npm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"packagecloud/internal/format"
)

// Frame implements format.Format: what stands around the version objects of a
// packument. The oldest one is in the head, without its comma.
func (Format) Frame(f format.Framing) (head, tail []byte) {
	if f.Entries == 0 {
		return nil, nil
	}
	var h bytes.Buffer
	if f.Kind == kindFull {
		fmt.Fprintf(&h, `{"_id":%s,"name":%s,"versions":{`, must(f.List), must(f.List))
	} else {
		fmt.Fprintf(&h, `{"name":%s,"versions":{`, must(f.List))
	}
	h.Write(bytes.Replace(f.First, []byte(","), nil, 1))

	t := object{{"dist-tags", must(f.Tags)}}
	if f.Kind == kindFull {
		t = append(t, field{"time", times(f.Versions)}, field{"_rev", must(Revision(f.Versions, f.Tags))})
	} else {
		t = append(t, field{"modified", must(modified(f.Versions))})
	}
	return h.Bytes(), slices.Concat([]byte("\n},"), must(t)[1:], []byte("\n"))
}

// stamp is how registries write a time.
func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

const stampLayout = "2006-01-02T15:04:05.000Z"

func modified(versions []format.Version) string {
	var last time.Time
	for _, v := range versions {
		if v.CreatedAt.After(last) {
			last = v.CreatedAt
		}
	}
	return stamp(last)
}

// times tells when each version was pushed. Versions need no escapes.
func times(versions []format.Version) json.RawMessage {
	first := time.Time{}
	if len(versions) > 0 {
		first = versions[0].CreatedAt
	}
	out := make([]byte, 0, 100+50*len(versions))
	out = fmt.Appendf(out, `{"created":%q,"modified":%q`, stamp(first), modified(versions))
	for _, v := range versions {
		out = append(append(append(out, ',', '"'), v.Version...), `":"`...)
		out = append(v.CreatedAt.UTC().AppendFormat(out, stampLayout), '"')
	}
	return append(out, '}')
}

// Revision names a state of a packument. A client that changes one says of
// which revision it read it.
func Revision(versions []format.Version, tags map[string]string) string {
	var state []byte
	for _, v := range versions {
		state = strconv.AppendQuote(state, v.Version)
		state = strconv.AppendInt(state, v.CreatedAt.UnixMilli(), 10)
		state = strconv.AppendQuote(state, v.Attributes[Deprecated])
	}
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		state = strconv.AppendQuote(strconv.AppendQuote(state, tag), tags[tag])
	}
	sum := sha256.Sum256(state)
	return fmt.Sprintf("%d-%s", len(versions), hex.EncodeToString(sum[:16]))
}

// Amend implements format.Amender: it writes the message of a deprecation into
// the version objects, or takes it out.
func (Format) Amend(entries []format.Entry, attributes map[string]string) ([]format.Entry, error) {
	amended := make([]format.Entry, 0, len(entries))
	for _, e := range entries {
		version, o, err := readEntry(e.Text)
		if err != nil {
			return nil, fmt.Errorf("read the %s entry: %w", e.Kind, err)
		}
		o.drop(Deprecated)
		if message := attributes[Deprecated]; message != "" {
			if err := o.set(Deprecated, message); err != nil {
				return nil, err
			}
		}
		if e.Text, err = entry(version, o); err != nil {
			return nil, err
		}
		amended = append(amended, e)
	}
	return amended, nil
}

// readEntry takes an entry apart.
func readEntry(text []byte) (version string, o object, err error) {
	member, err := parseObject([]byte("{" + strings.TrimPrefix(string(text), "\n,") + "}"))
	if err != nil {
		return "", nil, err
	}
	if len(member) != 1 {
		return "", nil, fmt.Errorf("it has %d members", len(member))
	}
	return member[0].name, members(member[0].value), nil
}
