package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxBucketPolicy is the limit of S3 in bytes.
const maxBucketPolicy = 20 << 10

// Policy is a policy of IAM.
type Policy struct {
	Version   string
	Statement []Statement
}

// Statement is one statement of a policy.
type Statement struct {
	Sid       string
	Effect    string
	Principal map[string]any `json:",omitempty"`
	Action    []string
	Resource  []string                       `json:",omitempty"`
	Condition map[string]map[string][]string `json:",omitempty"`
}

func (p Policy) String() string {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		panic(err) // strings and maps of them
	}
	return string(b)
}

// policyOf is a document with statements.
func policyOf(statements ...Statement) Policy { return Policy{"2012-10-17", statements} }

// document is a policy that others may have written: what we do not know in it
// stays as it is.
type document struct {
	fields     map[string]json.RawMessage
	statements []json.RawMessage
}

func parseDocument(text string) (*document, error) {
	d := &document{fields: map[string]json.RawMessage{}}
	if text == "" {
		d.fields["Version"] = json.RawMessage(`"2012-10-17"`)
		return d, nil
	}
	if err := json.Unmarshal([]byte(text), &d.fields); err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	statement := d.fields["Statement"]
	if len(statement) > 0 && statement[0] == '{' { // one needs no list
		d.statements = []json.RawMessage{statement}
		return d, nil
	}
	if len(statement) > 0 {
		if err := json.Unmarshal(statement, &d.statements); err != nil {
			return nil, fmt.Errorf("read the statements of the policy: %w", err)
		}
	}
	return d, nil
}

func (d *document) String() string {
	b, err := json.Marshal(d.statements)
	if err == nil {
		d.fields["Statement"] = b
		b, err = json.Marshal(d.fields)
	}
	if err != nil {
		panic(err) // what was read can be written
	}
	return string(b)
}

// put adds a statement, or replaces the one with its Sid. It reports whether
// that changed anything.
func (d *document) put(s Statement) bool {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	for i, have := range d.statements {
		if sid(have) != s.Sid {
			continue
		}
		if canonical(have) == canonical(b) {
			return false
		}
		d.statements[i] = b
		return true
	}
	d.statements = append(d.statements, b)
	return true
}

// remove takes out the statement with a Sid.
func (d *document) remove(name string) bool {
	before := len(d.statements)
	d.statements = slices.DeleteFunc(d.statements, func(s json.RawMessage) bool { return sid(s) == name })
	return len(d.statements) != before
}

func sid(statement json.RawMessage) string {
	var s struct{ Sid string }
	_ = json.Unmarshal(statement, &s)
	return s.Sid
}

// merge puts statements into a policy. changed is false if they are there.
func merge(text string, statements ...Statement) (merged string, changed bool, err error) {
	d, err := parseDocument(text)
	if err != nil {
		return "", false, err
	}
	for _, s := range statements {
		if d.put(s) {
			changed = true
		}
	}
	return d.String(), changed, nil
}

// canonical writes JSON so that policies with the same meaning are the same:
// AWS returns lists of one entry as that entry, and reorders others.
func canonical(text []byte) string {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return string(text)
	}
	b, err := json.Marshal(simplify(v))
	if err != nil {
		return string(text)
	}
	return string(b)
}

func simplify(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = simplify(e)
		}
	case []any:
		texts := make([]string, 0, len(v))
		for i, e := range v {
			v[i] = simplify(e)
			if s, ok := v[i].(string); ok {
				texts = append(texts, s)
			}
		}
		if len(v) == 1 {
			return v[0]
		}
		if len(texts) == len(v) {
			slices.Sort(texts)
			return texts
		}
	}
	return v
}

// identityARN begins the principal that S3 makes of an origin access identity.
const identityARN = "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity "

// controlStatement lets a distribution read the bucket by origin access
// control.
func controlStatement(bucket string, d *ObservedDistribution) Statement {
	return Statement{
		Sid: "PackagecloudCloudFront" + d.ID, Effect: "Allow", Principal: map[string]any{"Service": "cloudfront.amazonaws.com"},
		Action: []string{"s3:GetObject"}, Resource: []string{"arn:aws:s3:::" + bucket + "/*"},
		Condition: map[string]map[string][]string{"StringEquals": {"AWS:SourceArn": {d.ARN}}},
	}
}

// identityStatement lets an origin access identity read the bucket.
func identityStatement(bucket string, i *Identity) Statement {
	return Statement{
		Sid: "PackagecloudCloudFront" + i.ID, Effect: "Allow", Principal: map[string]any{"CanonicalUser": i.CanonicalUser},
		Action: []string{"s3:GetObject"}, Resource: []string{"arn:aws:s3:::" + bucket + "/*"},
	}
}

// reader is a statement as far as one that lets CloudFront read is concerned.
type reader struct {
	Effect, Principal, Action, Resource, Condition any
}

// allows reports whether a policy has a statement that does what s does,
// whoever wrote it. identity is the one that s is about, if any: S3 shows it in
// another form than it was given.
func (d *document) allows(s Statement, identity *Identity) bool {
	want, err := json.Marshal(s)
	if err != nil {
		return false
	}
	for _, have := range d.statements {
		if read(have, identity) == read(want, identity) {
			return true
		}
	}
	return false
}

// read writes a statement without its Sid, and its principal in one form.
func read(statement json.RawMessage, identity *Identity) string {
	var r reader
	if err := json.Unmarshal(statement, &r); err != nil {
		return ""
	}
	if principal, ok := simplify(r.Principal).(map[string]any); ok && identity != nil {
		arn, _ := principal["AWS"].(string)
		if principal["CanonicalUser"] == identity.CanonicalUser || strings.ReplaceAll(arn, "_", " ") == identityARN+identity.ID {
			r.Principal = identity.ID
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		return ""
	}
	return canonical(b)
}

// checkSize refuses a policy that S3 would refuse.
func checkSize(policy string) error {
	if len(policy) > maxBucketPolicy {
		return errors.New("the policy of the bucket would be larger than the 20 KB that S3 allows: shorten what others put there")
	}
	return nil
}
