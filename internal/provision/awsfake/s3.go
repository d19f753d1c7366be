package awsfake

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

type bucket struct {
	region, policy string
	tags           []s3Tag
	access         *publicAccessBlock
	key            string // of KMS; empty if S3 encrypts with its own
}

type s3Tag struct{ Key, Value string }

type publicAccessBlock struct {
	XMLName                                                                     xml.Name `xml:"PublicAccessBlockConfiguration"`
	BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets bool
}

// BucketPolicy is the policy of a bucket as S3 keeps it, empty for none.
func (f *Fake) BucketPolicy(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.buckets[name].policy
}

// SetEncryption lets a bucket encrypt with a key of KMS, or with that of AWS for
// S3 if it is "aws/s3".
func (f *Fake) SetEncryption(name, key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buckets[name].key = key
}

func (f *Fake) getEncryption(_ *call, b *bucket) ([]byte, error) {
	rule := "<SSEAlgorithm>AES256</SSEAlgorithm>"
	switch b.key {
	case "":
	case "aws/s3": // which S3 does not name
		rule = "<SSEAlgorithm>aws:kms</SSEAlgorithm>"
	default:
		rule = "<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>" + escape(b.key) + "</KMSMasterKeyID>"
	}
	return []byte(xml.Header + "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>" + rule + "</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"), nil
}

// SetBucket gives a bucket a policy and tags, as somebody else would.
func (f *Fake) SetBucket(name, policy string, tags map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.buckets[name]
	b.policy, b.tags = policy, nil
	for _, k := range sortedKeys(tags) {
		b.tags = append(b.tags, s3Tag{k, tags[k]})
	}
}

// BucketTags are the tags of a bucket.
func (f *Fake) BucketTags(name string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	tags := map[string]string{}
	for _, t := range f.buckets[name].tags {
		tags[t.Key] = t.Value
	}
	return tags
}

// serveS3 answers what concerns buckets, in path style.
func (f *Fake) serveS3(w http.ResponseWriter, c *call) {
	c.service = "s3"
	name, key, _ := strings.Cut(strings.TrimPrefix(c.r.URL.Path, "/"), "/")
	query := c.r.URL.Query()
	settings := []struct {
		query    string
		get, put string // operations
		read     func(*call, *bucket) ([]byte, error)
		write    func(*call, *bucket) error
		actions  [2]string
	}{
		{"policy", "GetBucketPolicy", "PutBucketPolicy", f.getPolicy, f.putPolicy, [2]string{"s3:GetBucketPolicy", "s3:PutBucketPolicy"}},
		{"tagging", "GetBucketTagging", "PutBucketTagging", f.getTagging, f.putTagging, [2]string{"s3:GetBucketTagging", "s3:PutBucketTagging"}},
		{"publicAccessBlock", "GetPublicAccessBlock", "PutPublicAccessBlock", f.getAccess, f.putAccess, [2]string{"s3:GetBucketPublicAccessBlock", "s3:PutBucketPublicAccessBlock"}},
		{"encryption", "GetBucketEncryption", "", f.getEncryption, nil, [2]string{"s3:GetEncryptionConfiguration"}},
		{"location", "GetBucketLocation", "", f.getLocation, nil, [2]string{"s3:GetBucketLocation"}},
	}
	for _, s := range settings {
		if !query.Has(s.query) || key != "" {
			continue
		}
		var body []byte
		c.operation = s.get
		action := s.actions[0]
		if c.r.Method == http.MethodPut {
			c.operation, action = s.put, s.actions[1]
		}
		b := f.buckets[name]
		if b != nil && elsewhere(w, c, b) {
			return
		}
		err := f.may(c, action, "arn:aws:s3:::"+name)
		switch {
		case err != nil:
		case b == nil:
			err = fail(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
		case c.r.Method == http.MethodGet:
			body, err = s.read(c, b)
		case c.r.Method == http.MethodPut && s.write != nil:
			if err = checksummed(c.r); err == nil {
				err = s.write(c, b)
			}
			f.changed = err == nil
		default:
			err = fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
		}
		writeS3(w, body, err)
		return
	}
	if c.r.Method == http.MethodGet && key == "" && query.Get("list-type") == "2" && f.buckets[name] != nil {
		c.operation = "ListObjectsV2" // it holds nothing
		writeS3(w, []byte(xml.Header+"<ListBucketResult><Name>"+name+"</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>"), nil)
		return
	}
	c.operation = c.r.Method
	writeS3(w, nil, fail(http.StatusNotImplemented, "NotImplemented", "%s %s", c.r.Method, c.r.URL))
}

var scopeRegion = regexp.MustCompile(`Credential=[^/]+/[0-9]+/([a-z0-9-]+)/s3/`)

// elsewhere refuses a request that was signed for another region than that of
// the bucket, as S3 does. The endpoint of us-east-1 alone knows where all buckets
// are.
func elsewhere(w http.ResponseWriter, c *call, b *bucket) bool {
	m := scopeRegion.FindStringSubmatch(c.r.Header.Get("Authorization"))
	switch {
	case m == nil, m[1] == b.region, m[1] == "us-east-1" && c.operation == "GetBucketLocation":
		return false
	case b.region == "us-east-1":
		writeS3(w, nil, fail(http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region '%s' is wrong; expecting 'us-east-1'", m[1]))
	default:
		w.Header().Set("X-Amz-Bucket-Region", b.region)
		writeS3(w, nil, fail(http.StatusMovedPermanently, "PermanentRedirect", "The bucket you are attempting to access must be addressed using the specified endpoint. Please send all future requests to this endpoint."))
	}
	return true
}

// checksummed refuses a body without a digest, as S3 does for these calls.
func checksummed(r *http.Request) error {
	if r.Header.Get("Content-Md5") != "" {
		return nil
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Checksum-") {
			return nil
		}
	}
	return fail(http.StatusBadRequest, "InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
}

func writeS3(w http.ResponseWriter, body []byte, err error) {
	if err != nil {
		e := asAPIError(err)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(e.status)
		fmt.Fprintf(w, "%s<Error><Code>%s</Code><Message>%s</Message></Error>", xml.Header, e.code, escape(e.message))
		return
	}
	if body == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if body[0] == '<' {
		w.Header().Set("Content-Type", "application/xml")
	}
	_, _ = w.Write(body)
}

func (f *Fake) getLocation(_ *call, b *bucket) ([]byte, error) {
	region := b.region
	if region == "us-east-1" {
		region = "" // the oldest region has no name here
	}
	return []byte(xml.Header + `<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + region + "</LocationConstraint>"), nil
}

func (f *Fake) getPolicy(_ *call, b *bucket) ([]byte, error) {
	if b.policy == "" {
		return nil, fail(http.StatusNotFound, "NoSuchBucketPolicy", "The bucket policy does not exist")
	}
	return []byte(b.policy), nil
}

// putPolicy stores a policy the way S3 does: origin access identities get the
// form of an ARN, and lists of one entry become that entry.
func (f *Fake) putPolicy(c *call, b *bucket) error {
	if err := checkPolicy(string(c.body), "MalformedPolicy"); err != nil {
		return err
	}
	var document map[string]any
	if err := json.Unmarshal(c.body, &document); err != nil {
		return fail(http.StatusBadRequest, "MalformedPolicy", "%v", err)
	}
	statements, ok := document["Statement"].([]any)
	if !ok {
		statements = []any{document["Statement"]}
	}
	sids := []any{}
	for _, s := range statements {
		statement, ok := s.(map[string]any)
		if !ok {
			return fail(http.StatusBadRequest, "MalformedPolicy", "Statement is not an object")
		}
		if sid := statement["Sid"]; sid != nil && slices.Contains(sids, sid) {
			return fail(http.StatusBadRequest, "MalformedPolicy", "Policy has duplicate Sid %v", sid)
		} else if sid != nil {
			sids = append(sids, sid)
		}
		if err := f.storePrincipal(statement, b); err != nil {
			return err
		}
		for _, field := range []string{"Action", "Resource"} {
			if list, ok := statement[field].([]any); ok && len(list) == 1 {
				statement[field] = list[0]
			}
		}
	}
	if len(c.body) > 20<<10 {
		return fail(http.StatusBadRequest, "PolicyTooLarge", "Policy exceeds the maximum allowed document size.")
	}
	stored, err := json.Marshal(document)
	if err != nil {
		return err
	}
	b.policy = string(stored)
	return nil
}

const identityPrefix = "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity "

func (f *Fake) storePrincipal(statement map[string]any, b *bucket) error {
	invalid := fail(http.StatusBadRequest, "MalformedPolicy", "Invalid principal in policy")
	principal, ok := statement["Principal"].(map[string]any)
	if !ok {
		if statement["Principal"] == "*" && b.access != nil && b.access.BlockPublicPolicy && statement["Effect"] == "Allow" {
			return fail(http.StatusForbidden, "AccessDenied", "User: %s is not authorized to perform: s3:PutBucketPolicy because public policies are blocked by the BlockPublicPolicy block public access setting.", Caller)
		}
		return nil
	}
	if canonical, ok := principal["CanonicalUser"].(string); ok {
		for id, identity := range f.identities {
			if *identity.S3CanonicalUserId == canonical {
				delete(principal, "CanonicalUser")
				principal["AWS"] = identityPrefix + id
			}
		}
	}
	arn, _ := principal["AWS"].(string)
	id, ok := strings.CutPrefix(strings.ReplaceAll(arn, "_", " "), identityPrefix)
	switch {
	case principal["CanonicalUser"] != nil:
		return invalid
	case ok && f.identities[id] == nil:
		return invalid
	case ok && f.PrincipalDelay > 0:
		f.PrincipalDelay--
		return invalid
	}
	return nil
}

func (f *Fake) getTagging(_ *call, b *bucket) ([]byte, error) {
	if len(b.tags) == 0 {
		return nil, fail(http.StatusNotFound, "NoSuchTagSet", "The TagSet does not exist")
	}
	var t strings.Builder
	for _, tag := range b.tags {
		fmt.Fprintf(&t, "<Tag><Key>%s</Key><Value>%s</Value></Tag>", escape(tag.Key), escape(tag.Value))
	}
	return []byte(xml.Header + "<Tagging><TagSet>" + t.String() + "</TagSet></Tagging>"), nil
}

func (f *Fake) putTagging(c *call, b *bucket) error {
	var in struct {
		Tags []s3Tag `xml:"TagSet>Tag"`
	}
	if err := xml.Unmarshal(c.body, &in); err != nil {
		return fail(http.StatusBadRequest, "MalformedXML", "%v", err)
	}
	if len(in.Tags) > 50 {
		return fail(http.StatusBadRequest, "BadRequest", "Bucket tag count cannot be greater than 50")
	}
	b.tags = in.Tags
	return nil
}

func (f *Fake) getAccess(_ *call, b *bucket) ([]byte, error) {
	if b.access == nil {
		return nil, fail(http.StatusNotFound, "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")
	}
	return xml.Marshal(b.access)
}

func (f *Fake) putAccess(c *call, b *bucket) error {
	access := &publicAccessBlock{}
	if err := xml.Unmarshal(c.body, access); err != nil {
		return fail(http.StatusBadRequest, "MalformedXML", "%v", err)
	}
	b.access = access
	return nil
}
