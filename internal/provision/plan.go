package provision

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	kms "github.com/aws/aws-sdk-go-v2/service/kms/types"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// Verb is what an action does.
type Verb string

// The verbs. Each has its function in apply.go.
const (
	createKey           Verb = "create the key"
	nameKey             Verb = "name the key"
	createRole          Verb = "create the role"
	trustRole           Verb = "change who may assume the role"
	grantRole           Verb = "put the policy of the role"
	createFunction      Verb = "create the function"
	configureFunction   Verb = "configure the function"
	publishVersion      Verb = "publish a version of the function"
	createStore         Verb = "create the key value store"
	putKeys             Verb = "put secrets into the key value store"
	recordKeys          Verb = "record secrets in the key value store"
	waitKeys            Verb = "wait for the key value store"
	removeKeys          Verb = "take secrets out of the key value store"
	createEdgeFunction  Verb = "create the CloudFront function"
	updateEdgeFunction  Verb = "update the CloudFront function"
	publishEdgeFunction Verb = "test and publish the CloudFront function"
	createCachePolicy   Verb = "create the cache policy"
	createControl       Verb = "create the origin access control"
	createIdentity      Verb = "create the origin access identity"
	grantBucket         Verb = "add to the policy of the bucket"
	createDistribution  Verb = "create the distribution"
	updateDistribution  Verb = "update the distribution"
	tagDistribution     Verb = "tag the distribution"
	tagBucket           Verb = "tag the bucket"
	waitDeployed        Verb = "wait for the distribution"
	revokeBucket        Verb = "take out of the policy of the bucket"
)

// Action is one step from what is to what should be.
type Action struct {
	Verb    Verb     `json:"action"`
	Name    string   `json:"name"` // of what
	Reason  string   `json:"reason"`
	Changes []string `json:"changes,omitempty"` // what exactly, one a line
}

func (a Action) String() string { return string(a.Verb) + " " + a.Name }

// Plan is what is left to do, in order. Only the first action is sure: what
// others need may be known only when it is done.
type Plan struct {
	Actions []Action `json:"actions"`
	// Notices are what is not ours to change, but should be known.
	Notices []string `json:"notices"`
}

// Write writes a plan for people.
func (p *Plan) Write(w io.Writer) {
	if len(p.Actions) == 0 {
		fmt.Fprintln(w, "Nothing is to be changed.")
	}
	for i, a := range p.Actions {
		fmt.Fprintf(w, "%2d. %s\n    because %s\n", i+1, a, a.Reason)
		for _, c := range a.Changes {
			fmt.Fprintf(w, "      %s\n", c)
		}
	}
	for _, n := range p.Notices {
		fmt.Fprintf(w, "Note: %s\n", n)
	}
}

func (p *Plan) add(v Verb, name, reason string, changes ...string) {
	p.Actions = append(p.Actions, Action{v, name, reason, changes})
}

func (p *Plan) note(format string, args ...any) {
	p.Notices = append(p.Notices, fmt.Sprintf(format, args...))
}

// unknown stands in a plan for what an action before will tell.
const unknown = "(known then)"

// NewPlan compares what should be with what is. It does nothing else.
func NewPlan(s *Settings, o *Observed, scope Scope) (*Plan, error) {
	if err := s.check(scope); err != nil {
		return nil, err
	}
	p := &Plan{Actions: []Action{}, Notices: []string{}}
	if len(o.Sharers) > 0 {
		p.note("the function %s also checks links for %s, so another installation uses it: this one gets a function %s of its own, and that one stays as it is", OldName, strings.Join(o.Sharers, ", "), o.Name)
	}
	if scope&Function != 0 {
		plan := p.function
		if s.Check == CloudFrontFunction {
			plan = p.edgeFunction
		}
		if err := plan(s, o); err != nil {
			return nil, err
		}
	}
	if scope&Distribution != 0 {
		if err := p.distribution(s, o, scope); err != nil {
			return nil, err
		}
	}
	if s.Check == CloudFrontFunction && s.endsSecrets(scope) {
		p.takeKeys(s, o)
	}
	p.settle(o)
	return p, nil
}

// endsSecrets reports whether links of secrets that are none any more end: a
// store is not versioned, so they stay in it until the distribution was dealt
// with as well.
func (s *Settings) endsSecrets(scope Scope) bool {
	return scope == Everything || scope&Distribution != 0 && s.FunctionVersion != ""
}

// notOurs refuses to change what was found by name and does not carry the tag.
func notOurs(kind, name string) error {
	return fmt.Errorf("there is already a %s %s, which does not carry the tag %s: it is not ours, and stays untouched. If it is, give it the tag", kind, name, Tag)
}

// function plans the function and what it needs.
func (p *Plan) function(s *Settings, o *Observed) error {
	switch {
	case o.Key == nil:
		p.add(createKey, keyAlias(o.Name), "the secrets are encrypted with a key of their own")
	case !ours(o.Key.Tags):
		return notOurs("key", keyAlias(o.Name))
	case o.Key.State != kms.KeyStateEnabled:
		return fmt.Errorf("the key %s is %s: enable it, or let the alias %s name another", o.Key.ARN, o.Key.State, keyAlias(o.Name))
	}
	if o.Key == nil || !o.Key.Named {
		p.add(nameKey, keyAlias(o.Name), "the key is found by its alias")
	}
	if err := p.role(o); err != nil {
		return err
	}
	if o.Function == nil {
		p.add(createFunction, o.Name, "it checks the signatures of download links at the edge")
		p.add(publishVersion, o.Name, "CloudFront takes numbered versions only")
		return nil
	}
	if !ours(o.Function.Tags) {
		return notOurs("Lambda function", o.Name)
	}
	version, err := rightVersion(s, o)
	if err != nil || version != "" {
		return err
	}
	if changes := o.Function.drift(o); len(changes) > 0 {
		p.add(configureFunction, o.Name, "the next version must have these settings", changes...)
	}
	p.add(publishVersion, o.Name, "no version has this code with these secrets")
	return nil
}

func (p *Plan) role(o *Observed) error {
	if o.Role == nil {
		p.add(createRole, o.Name, "the function runs with it")
		p.add(grantRole, o.Name, "the function decrypts its secrets and writes its log")
		return nil
	}
	if !ours(o.Role.Tags) {
		return notOurs("role", o.Name)
	}
	_, changed, err := merge(o.Role.Trust, trustStatement())
	if err != nil {
		return fmt.Errorf("the trust policy of the role %s: %w", o.Name, err)
	}
	if changed {
		p.add(trustRole, o.Name, "Lambda and Lambda@Edge must be able to assume it")
	}
	_, changed, err = merge(o.Role.Policy, roleStatements(o)...)
	if err != nil {
		return fmt.Errorf("the policy of the role %s: %w", o.Name, err)
	}
	if changed || o.Key == nil {
		p.add(grantRole, o.Name, "the function decrypts its secrets and writes its log")
	}
	return nil
}

func trustStatement() Statement {
	return Statement{
		Sid: "PackagecloudEdge", Effect: "Allow", Action: []string{"sts:AssumeRole"},
		Principal: map[string]any{"Service": []string{"edgelambda.amazonaws.com", "lambda.amazonaws.com"}},
	}
}

// roleStatements is what the function may do. Its log is in the region of the
// edge that ran it.
func roleStatements(o *Observed) []Statement {
	key := unknown
	if o.Key != nil {
		key = o.Key.ARN
	}
	return []Statement{
		{
			Sid: "PackagecloudDecryptSecrets", Effect: "Allow", Action: []string{"kms:Decrypt"}, Resource: []string{key},
			Condition: map[string]map[string][]string{"StringEquals": {"kms:EncryptionContext:function": {o.Name}}},
		},
		{
			Sid: "PackagecloudWriteLog", Effect: "Allow", Action: []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"},
			Resource: []string{
				"arn:aws:logs:*:" + o.Account + ":log-group:/aws/lambda/*" + o.Name,
				"arn:aws:logs:*:" + o.Account + ":log-group:/aws/lambda/*" + o.Name + ":*",
			},
		},
	}
}

// keyPolicy lets policies of IAM decide who may use the key. It does not name
// the role: KMS may not know a new one yet.
func keyPolicy(account string) Policy {
	return policyOf(Statement{
		Sid: "PackagecloudAccount", Effect: "Allow", Principal: map[string]any{"AWS": "arn:aws:iam::" + account + ":root"},
		Action: []string{"kms:*"}, Resource: []string{"*"},
	})
}

// drift is how the settings of the function differ from the right ones.
func (f *ObservedFunction) drift(o *Observed) (changes []string) {
	for _, c := range []struct{ name, have, want string }{
		{"role", f.Role, o.roleARN()},
		{"runtime", f.Runtime, string(runtime)},
		{"handler", f.Handler, handler},
		{"memory", fmt.Sprint(f.Memory, " MB"), fmt.Sprint(memory, " MB")},
		{"timeout", fmt.Sprint(f.Timeout, " s"), fmt.Sprint(timeout, " s")},
	} {
		if c.have != c.want {
			changes = append(changes, change(c.name, c.have, c.want))
		}
	}
	if want := logLevels(logging()); f.Log != "" && f.Log != want { // emulators of AWS do not tell it
		changes = append(changes, change("log", f.Log, want))
	}
	return changes
}

// logLevels is how a function logs, in words, empty if that is not known.
func logLevels(c *lambdatypes.LoggingConfig) string {
	if c == nil {
		return ""
	}
	if c.LogFormat != lambdatypes.LogFormatJson {
		return "text, of each request"
	}
	return fmt.Sprintf("%s, %s and above (of Lambda itself %s)", c.LogFormat, c.ApplicationLogLevel, c.SystemLogLevel)
}

// rightVersion is the version with the right code and secrets: the one in use
// if it is, else the newest. Empty for none.
func rightVersion(s *Settings, o *Observed) (string, error) {
	if s.Check == CloudFrontFunction {
		return rightEdgeFunction(s, o), nil
	}
	if o.Key == nil || o.Function == nil {
		return "", nil
	}
	want, err := s.fingerprint(o)
	if err != nil {
		return "", err
	}
	inUse, version := "", ""
	if o.Distribution != nil {
		inUse = s.viewerRequest(o.Distribution.Config)
	}
	for _, v := range o.Function.Versions {
		if v.Description == want && (version == "" || version != inUse) {
			version = v.ARN
		}
	}
	return version, nil
}

// distribution plans the distribution and the settings of the bucket.
func (p *Plan) distribution(s *Settings, o *Observed, scope Scope) error {
	parts, err := p.parts(s, o, scope)
	if err != nil {
		return err
	}
	if err := p.encryption(s, o, &parts); err != nil {
		return err
	}
	d := o.Distribution
	if d == nil {
		if parts.access == AccessIdentity {
			p.grant(s, o, parts) // before anybody can ask
		}
		_, changes, err := configure(s, nil, parts)
		if err != nil {
			return err
		}
		p.add(createDistribution, s.reference(), "packages go out through it", changes...)
		if parts.access == AccessControl {
			p.grant(s, o, parts) // the statement names the distribution
		}
		p.tagBucket(s, o)
		p.add(waitDeployed, s.reference(), "a change takes CloudFront some minutes")
		return nil
	}
	p.grant(s, o, parts)
	if err := s.obstacles(o); err != nil {
		return err
	}
	_, changes, err := configure(s, d.Config, parts)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		p.add(updateDistribution, d.ID, "its configuration is not the right one", changes...)
	}
	if !ours(d.Tags) {
		p.add(tagDistribution, d.ID, "its costs are found by the tag", Tag+" = "+tagValue)
	}
	p.tagBucket(s, o)
	if len(changes) > 0 || !d.Deployed {
		p.add(waitDeployed, d.ID, "a change takes CloudFront some minutes")
	}
	p.revoke(s, o, parts)
	p.look(s, d.Config, parts)
	return nil
}

// parts are the things that a distribution refers to, or unknown.
type parts struct {
	version, cachePolicy string
	access               Access
	controlID            string
	identity             *Identity
}

// parts plans what the distribution refers to.
func (p *Plan) parts(s *Settings, o *Observed, scope Scope) (parts, error) {
	r := parts{version: unknown, cachePolicy: unknown, controlID: unknown}
	var err error
	if r.version, err = chooseVersion(s, o, scope); err != nil {
		return r, err
	}
	if i := slices.IndexFunc(o.CachePolicies, func(c types.CachePolicy) bool { return aws.ToString(c.CachePolicyConfig.Name) == cachePolicyName }); i < 0 {
		p.add(createCachePolicy, cachePolicyName, "packages are cached for as long as their headers say, and indexes never")
	} else if err := checkCachePolicy(o.CachePolicies[i].CachePolicyConfig); err != nil {
		return r, err
	} else {
		r.cachePolicy = aws.ToString(o.CachePolicies[i].Id)
	}
	have, current, err := currentAccess(s, o)
	if err != nil {
		return r, err
	}
	r.access = s.Access
	if r.access == "" {
		r.access = have
	}
	if r.access == "" {
		r.access = AccessControl
	}
	if have != "" && r.access != have && !s.Migrate {
		return r, fmt.Errorf("the distribution %s has %s: run packagecloud-ctl migrate-cloudfront-access %s, which changes it without an outage", o.Distribution.ID, have, r.access)
	}
	if r.access != have {
		current = "" // of the other kind
	}
	if r.access == AccessControl {
		r.controlID = p.control(s, o, current)
	} else {
		r.identity = p.identity(s, o, current)
	}
	return r, nil
}

// chooseVersion is the version of the function that the distribution should
// have.
func chooseVersion(s *Settings, o *Observed, scope Scope) (string, error) {
	switch {
	case s.FunctionVersion != "" && edgePattern.MatchString(s.FunctionVersion) != (s.Check == CloudFrontFunction):
		return "", fmt.Errorf("%s is not what packagecloud_rails['cloudfront_check'] asks for: packagecloud-ctl bootstrap-cloudfront prints the right ARN", s.FunctionVersion)
	case s.Check == CloudFrontFunction && (s.FunctionVersion != "" || scope&Function != 0):
		return s.chooseEdgeFunction(o, scope)
	case s.FunctionVersion != "":
		known := o.Function != nil && slices.ContainsFunc(o.Function.Versions, func(v Version) bool { return v.ARN == s.FunctionVersion })
		if !known {
			return "", fmt.Errorf("there is no version %s of the function %s in the account %s: packagecloud-ctl bootstrap-cloudfront prints the right one", s.FunctionVersion, o.Name, o.Account)
		}
		if !ours(o.Function.Tags) {
			return "", notOurs("Lambda function", o.Name)
		}
		return s.FunctionVersion, nil
	case scope&Function != 0:
		version, err := rightVersion(s, o)
		if version == "" {
			version = unknown
		}
		return version, err
	case o.Distribution != nil && s.viewerRequest(o.Distribution.Config) != "":
		return s.viewerRequest(o.Distribution.Config), nil
	}
	return "", fmt.Errorf("no distribution for the bucket %s has our function yet: run packagecloud-ctl setup-cloudfront", s.Bucket)
}

// control is the id of the origin access control to use: the one in use, or
// ours.
func (p *Plan) control(s *Settings, o *Observed, current string) string {
	for _, c := range o.AccessControls {
		if id := aws.ToString(c.Id); id == current || current == "" && aws.ToString(c.Name) == s.reference() {
			if c.SigningBehavior != types.OriginAccessControlSigningBehaviorsAlways {
				p.note("the origin access control %s signs %s: it must be always, or the bucket refuses CloudFront", id, c.SigningBehavior)
			}
			return id
		}
	}
	p.add(createControl, s.reference(), "CloudFront signs its requests to the bucket")
	return unknown
}

// identity is the origin access identity to use.
func (p *Plan) identity(s *Settings, o *Observed, current string) *Identity {
	for _, i := range o.Identities {
		if i.ID == current || current == "" && i.Comment == s.reference() {
			return &i
		}
	}
	p.add(createIdentity, s.reference(), "CloudFront shows the bucket who it is")
	return &Identity{ID: unknown, CanonicalUser: unknown}
}

// grant plans the statement that lets CloudFront read the bucket.
func (p *Plan) grant(s *Settings, o *Observed, r parts) {
	st := r.statement(s, o)
	d, err := parseDocument(o.Bucket.Policy)
	if err == nil && d.allows(st, r.identity) {
		return
	}
	p.add(grantBucket, s.Bucket, "the bucket is private, and CloudFront must read it", "Allow s3:GetObject to "+r.reader(o))
}

// statement is what lets CloudFront read the bucket.
func (r *parts) statement(s *Settings, o *Observed) Statement {
	if r.access == AccessIdentity {
		return identityStatement(s.Bucket, r.identity)
	}
	d := o.Distribution
	if d == nil {
		d = &ObservedDistribution{ID: unknown, ARN: unknown}
	}
	return controlStatement(s.Bucket, d)
}

func (r *parts) reader(o *Observed) string {
	switch {
	case r.access == AccessIdentity:
		return "the origin access identity " + r.identity.ID
	case o.Distribution == nil:
		return "the new distribution"
	}
	return "the distribution " + o.Distribution.ID
}

// revoke plans to take out our statement for the other way of access, when no
// edge needs it.
func (p *Plan) revoke(s *Settings, o *Observed, r parts) {
	if sids := oldStatements(s, o, r); s.RemoveOld && len(sids) > 0 {
		p.add(revokeBucket, s.Bucket, "no edge uses the former access any more", sids...)
	}
}

// oldStatements are the Sids of our statements in the bucket's policy that this
// distribution does not need.
func oldStatements(s *Settings, o *Observed, r parts) (sids []string) {
	var candidates []string
	if r.access == AccessControl {
		for _, i := range o.Identities {
			if i.Comment == s.reference() {
				candidates = append(candidates, identityStatement(s.Bucket, &i).Sid)
			}
		}
	} else if o.Distribution != nil {
		candidates = append(candidates, controlStatement(s.Bucket, o.Distribution).Sid)
	}
	d, err := parseDocument(o.Bucket.Policy)
	if err != nil {
		return nil
	}
	for _, have := range d.statements {
		if slices.Contains(candidates, sid(have)) {
			sids = append(sids, sid(have))
		}
	}
	return sids
}

func (p *Plan) tagBucket(s *Settings, o *Observed) {
	if !ours(o.Bucket.Tags) {
		p.add(tagBucket, s.Bucket, "its costs are found by the tag", Tag+" = "+tagValue)
	}
	if !o.Bucket.Private {
		p.note("public access to the bucket %s is not blocked: nothing of ours needs it, so block it in all four ways", s.Bucket)
	}
}

// look tells what others put into the distribution that may surprise.
func (p *Plan) look(s *Settings, g *types.DistributionConfig, r parts) {
	p.restrictions(g)
	if g.CacheBehaviors != nil {
		target := aws.ToString(g.DefaultCacheBehavior.TargetOriginId)
		for _, b := range g.CacheBehaviors.Items {
			if aws.ToString(b.TargetOriginId) == target {
				p.note("the behaviour %q of the distribution sends requests to the bucket as well, and is not ours: whoever matches it is not checked by our function", aws.ToString(b.PathPattern))
			}
		}
	}
	if s.Domain != "" && s.CertificateARN == "" && (g.Aliases == nil || !slices.Contains(g.Aliases.Items, s.Domain)) {
		p.note("cloudfront_packages_domain is %s, which is not a name of the distribution: set cloudfront_certificate_arn to have it added", s.Domain)
	}
	if r.access == AccessIdentity {
		p.note("origin access identities are the older way: packagecloud-ctl migrate-cloudfront-access oac changes to origin access control without an outage")
	}
}

func change(name, from, to string) string {
	if from == "" {
		from = "nothing"
	}
	return fmt.Sprintf("%s: %s -> %s", name, strings.TrimSpace(from), to)
}
