package awsfake

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

const storePrefix = cloudFrontARN + "key-value-store/"

// The limits of a store, in bytes, and of a page of its keys.
const (
	maxKey, maxValue, maxStore = 512, 1024, 5 << 20
	maxKeyPage                 = 50
)

// keyValueStore is a store of CloudFront: the control plane knows its name, and
// a service of its own its keys.
type keyValueStore struct {
	id, name, comment string
	etag, keysETag    string
	keys              map[string]string
	created, modified time.Time
	polls             int // until it is ready
	tags              map[string]string
}

func (s *keyValueStore) arn() string { return storePrefix + s.id }

func (s *keyValueStore) status() string {
	if s.polls > 0 {
		return "PROVISIONING"
	}
	return "READY"
}

func (s *keyValueStore) size() (n int) {
	for k, v := range s.keys {
		n += len(k) + len(v)
	}
	return n
}

func (f *Fake) storeByARN(arn string) *keyValueStore {
	for _, s := range f.stores {
		if s.arn() == arn {
			return s
		}
	}
	return nil
}

// KeyValues are the keys of a store, given its name; nil if there is none.
func (f *Fake) KeyValues(name string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.stores[name]; s != nil {
		return maps.Clone(s.keys)
	}
	return nil
}

// ChangeKeyValues changes the keys of a store as somebody else would.
func (f *Fake) ChangeKeyValues(name string, change func(keys map[string]string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stores[name]
	change(s.keys)
	s.keysETag, s.modified = f.id("KV"), f.now
}

func (f *Fake) createStore(c *call, _ string) (answer, error) {
	c.operation = "CreateKeyValueStore"
	if err := f.may(c, "cloudfront:CreateKeyValueStore", "*"); err != nil {
		return answer{}, err
	}
	in := &struct {
		Name, Comment *string
		Tags          *cloudfront.Tags
	}{}
	if err := parse(c, "CreateKeyValueStoreRequest", in); err != nil {
		return answer{}, err
	}
	name := aws.ToString(in.Name)
	s := &keyValueStore{id: uuid(), name: name, comment: aws.ToString(in.Comment), keys: map[string]string{}, created: f.now, modified: f.now, polls: f.StorePolls}
	var err error
	if s.tags, err = f.newTags(c, s.arn(), in.Tags); err != nil {
		return answer{}, err
	}
	if f.stores[name] != nil {
		return answer{}, fail(http.StatusConflict, "EntityAlreadyExists", "The entity already exists. You must provide a unique entity.")
	}
	s.etag, s.keysETag = f.id("ETV"), f.id("KV")
	f.stores[name] = s
	f.changed = true
	return answer{http.StatusCreated, "KeyValueStore", s.value(), s.etag}, nil
}

func (s *keyValueStore) value() *cloudfront.KeyValueStore {
	return &cloudfront.KeyValueStore{
		Name: &s.name, Id: &s.id, Comment: &s.comment, ARN: aws.String(s.arn()), Status: aws.String(s.status()), LastModifiedTime: &s.modified,
	}
}

func (f *Fake) describeStore(c *call, name string) (answer, error) {
	c.operation = "DescribeKeyValueStore"
	if err := f.may(c, "cloudfront:DescribeKeyValueStore", storePrefix+name); err != nil {
		return answer{}, err
	}
	s := f.stores[name]
	if s == nil {
		return answer{}, fail(http.StatusNotFound, "EntityNotFound", "The entity was not found.")
	}
	shown := answer{http.StatusOK, "KeyValueStore", s.value(), s.etag}
	s.polls = max(0, s.polls-1)
	return shown, nil
}

// serveKeyValues answers CloudFront KeyValueStore, the service of the keys: JSON
// over paths, with the number of the account before the host, and signed for
// all regions by SigV4A.
func (f *Fake) serveKeyValues(w http.ResponseWriter, c *call) {
	c.service = "cloudfront-keyvaluestore"
	answer, etag, err := f.routeKeyValues(c)
	w.Header().Set("Date", f.now.Format(http.TimeFormat)) // by which changes are old or new
	if etag != "" {
		w.Header().Set("Etag", etag)
	}
	writeJSON(w, "application/json", http.StatusOK, answer, err)
}

func (f *Fake) routeKeyValues(c *call) (answer any, etag string, err error) {
	if !strings.HasPrefix(c.r.Header.Get("Authorization"), "AWS4-ECDSA-P256-SHA256 ") || c.r.Header.Get("X-Amz-Region-Set") != "*" {
		return nil, "", fail(http.StatusForbidden, "AccessDeniedException", "the request is not signed by SigV4A for all regions")
	}
	if f.BadToken {
		return nil, "", fail(http.StatusForbidden, "AccessDeniedException", "Authentication failed")
	}
	if host, _, _ := strings.Cut(c.r.Host, "."); host != Account {
		return nil, "", fail(http.StatusForbidden, "AccessDeniedException", "the host %s does not begin with the account", c.r.Host)
	}
	parts := strings.Split(strings.TrimPrefix(c.r.URL.EscapedPath(), "/key-value-stores/"), "/")
	for i := range parts {
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return nil, "", fail(http.StatusBadRequest, "ValidationException", "%v", err)
		}
	}
	shape := c.r.Method + " " + []string{"", "keys", "key"}[min(len(parts)-1, 2)]
	operation, ok := map[string]string{
		"GET ": "DescribeKeyValueStore", "GET keys": "ListKeys", "POST keys": "UpdateKeys",
		"GET key": "GetKey", "PUT key": "PutKey", "DELETE key": "DeleteKey",
	}[shape]
	if !ok {
		return nil, "", fail(http.StatusNotFound, "UnknownOperationException", "%s", shape)
	}
	c.operation = operation
	if err := f.may(c, "cloudfront-keyvaluestore:"+operation, parts[0]); err != nil {
		return nil, "", err
	}
	s := f.storeByARN(parts[0])
	switch {
	case s == nil:
		return nil, "", fail(http.StatusNotFound, "ResourceNotFoundException", "The key value store does not exist.")
	case s.polls > 0 && operation != "DescribeKeyValueStore":
		return nil, "", fail(http.StatusConflict, "ConflictException", "The key value store is not ready.")
	}
	switch operation {
	case "DescribeKeyValueStore":
		return map[string]any{
			"KvsARN": s.arn(), "ItemCount": len(s.keys), "TotalSizeInBytes": s.size(), "Created": s.created.Unix(), "LastModified": s.modified.Unix(), "Status": s.status(),
		}, s.keysETag, nil
	case "ListKeys":
		answer, err = f.listKeyValues(c, s)
		return answer, "", err
	case "GetKey":
		v, ok := s.keys[parts[2]]
		if !ok {
			return nil, "", fail(http.StatusNotFound, "ResourceNotFoundException", "The key does not exist.")
		}
		return map[string]any{"Key": parts[2], "Value": v, "ItemCount": len(s.keys), "TotalSizeInBytes": s.size()}, "", nil
	}
	key := ""
	if len(parts) > 2 {
		key = parts[2]
	}
	return f.writeKeyValues(c, s, key)
}

// keyValue is a key as requests and answers have it.
type keyValue struct{ Key, Value string }

func (f *Fake) listKeyValues(c *call, s *keyValueStore) (any, error) {
	after, items := c.r.URL.Query().Get("NextToken"), []keyValue{}
	for _, k := range slices.Sorted(maps.Keys(s.keys)) {
		switch {
		case k <= after:
		case len(items) == min(f.pageSize(), maxKeyPage):
			return map[string]any{"Items": items, "NextToken": items[len(items)-1].Key}, nil
		default:
			items = append(items, keyValue{k, s.keys[k]})
		}
	}
	return map[string]any{"Items": items}, nil
}

// writeKeyValues changes keys, all or none.
func (f *Fake) writeKeyValues(c *call, s *keyValueStore, key string) (any, string, error) {
	var in struct {
		Value         string
		Puts, Deletes []keyValue
	}
	if len(c.body) > 0 {
		if err := json.Unmarshal(c.body, &in); err != nil {
			return nil, "", fail(http.StatusBadRequest, "ValidationException", "%v", err)
		}
	}
	switch c.operation {
	case "PutKey":
		in.Puts = []keyValue{{key, in.Value}}
	case "DeleteKey":
		in.Deletes = []keyValue{{Key: key}}
	}
	if got := c.r.Header.Get("If-Match"); got != s.keysETag {
		return nil, "", fail(http.StatusConflict, "ConflictException", "Pre-Condition failed: the ETag %q is not that of the key value store", got)
	}
	after := *s
	after.keys = maps.Clone(s.keys)
	for _, p := range in.Puts {
		if p.Key == "" || len(p.Key) > maxKey || p.Value == "" || len(p.Value) > maxValue {
			return nil, "", fail(http.StatusBadRequest, "ValidationException", "a key has 1 to %d bytes and a value 1 to %d", maxKey, maxValue)
		}
		after.keys[p.Key] = p.Value
	}
	for _, d := range in.Deletes {
		if _, ok := after.keys[d.Key]; !ok {
			return nil, "", fail(http.StatusNotFound, "ResourceNotFoundException", "The key does not exist.")
		}
		delete(after.keys, d.Key)
	}
	if after.size() > maxStore {
		return nil, "", fail(http.StatusPaymentRequired, "ServiceQuotaExceededException", "the store has more than 5 MB")
	}
	after.keysETag, after.modified = f.id("KV"), f.now
	*s = after
	f.changed = true
	return map[string]any{"ItemCount": len(s.keys), "TotalSizeInBytes": s.size()}, s.keysETag, nil
}
