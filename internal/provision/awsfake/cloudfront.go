package awsfake

import (
	"fmt"
	"net/http"
	"sort"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	cloudfront "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
)

const cloudFrontARN = "arn:aws:cloudfront::" + Account + ":"

// answer is what a call of CloudFront returns: a document and its ETag.
type answer struct {
	status int
	root   string
	value  any
	etag   string
}

// serveCloudFront answers CloudFront: XML over paths.
func (f *Fake) serveCloudFront(w http.ResponseWriter, c *call) {
	c.service = "cloudfront"
	a, err := f.routeCloudFront(c)
	w.Header().Set("Content-Type", "text/xml")
	if err != nil {
		e := asAPIError(err)
		w.WriteHeader(e.status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`, e.code, escape(e.message))
		return
	}
	if a.etag != "" {
		w.Header().Set("Etag", a.etag)
	}
	if c.operation == "UpdateFunction" {
		w.Header().Set("Ettag", a.etag) // which AWS spells like this
	}
	if code, ok := a.value.(raw); ok {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(code)
		return
	}
	if a.value == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(encode(a.root, a.value))
}

func (f *Fake) routeCloudFront(c *call) (answer, error) {
	path := strings.TrimPrefix(c.r.URL.Path, "/2020-05-31/")
	kind, rest, _ := strings.Cut(path, "/")
	if kind == "origin-access-identity" {
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "cloudfront"), "/")
	}
	id, part, _ := strings.Cut(rest, "/")
	shape := c.r.Method + " " + kind
	if id != "" {
		shape += "/ID"
	}
	if part != "" {
		shape += "/" + part
	}
	run, ok := map[string]func(*call, string) (answer, error){
		"POST distribution":             f.createDistribution,
		"GET distribution":              f.listDistributions,
		"GET distribution/ID":           f.getDistribution,
		"GET distribution/ID/config":    f.getDistributionConfig,
		"PUT distribution/ID/config":    f.updateDistribution,
		"GET tagging":                   f.listCloudFrontTags,
		"POST tagging":                  f.tagCloudFront,
		"POST function":                 f.createEdgeFunction,
		"GET function/ID":               f.getEdgeFunction,
		"PUT function/ID":               f.updateEdgeFunction,
		"GET function/ID/describe":      f.describeEdgeFunction,
		"POST function/ID/test":         f.testEdgeFunction,
		"POST function/ID/publish":      f.publishEdgeFunction,
		"POST key-value-store":          f.createStore,
		"GET key-value-store/ID":        f.describeStore,
		"POST origin-access-identity":   f.createIdentity,
		"GET origin-access-identity":    f.listIdentities,
		"GET origin-access-identity/ID": f.getIdentity,
		"POST origin-access-control":    f.createControl,
		"GET origin-access-control":     f.listControls,
		"GET origin-access-control/ID":  f.getControl,
		"POST cache-policy":             f.createCachePolicy,
		"GET cache-policy":              f.listCachePolicies,
		"GET cache-policy/ID":           f.getCachePolicy,
		"GET origin-request-policy/ID":  f.getRequestPolicy,
	}[shape]
	if !ok {
		return answer{}, fail(http.StatusNotFound, "UnknownOperationException", "%s", shape)
	}
	return run(c, id)
}

// parse reads the body of a call.
func parse(c *call, root string, into any) error {
	if err := decode(c.body, root, into); err != nil {
		return fail(http.StatusBadRequest, "MalformedXML", "%v", err)
	}
	return nil
}

// page cuts a listing to what a call asks for.
func page[T any](f *Fake, c *call, all map[string]T) (list []T, next *string) {
	ids := make([]string, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	marker := c.r.URL.Query().Get("Marker")
	for _, id := range ids {
		if id <= marker && marker != "" {
			continue
		}
		if len(list) == f.pageSize() {
			return list, next
		}
		list, next = append(list, all[id]), aws.String(id)
	}
	return list, nil
}

func count(n int) *int32 { return aws.Int32(int32(n)) }

// OriginAccessIdentity is an identity by its id.
func (f *Fake) OriginAccessIdentity(id string) (cloudfront.CloudFrontOriginAccessIdentity, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if identity := f.identities[id]; identity != nil {
		return *identity, true
	}
	return cloudfront.CloudFrontOriginAccessIdentity{}, false
}

// OriginAccessControl is the configuration of a control by its id.
func (f *Fake) OriginAccessControl(id string) (cloudfront.OriginAccessControlConfig, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if control := f.controls[id]; control != nil {
		return *control.OriginAccessControlConfig, true
	}
	return cloudfront.OriginAccessControlConfig{}, false
}

// CachePolicy is the configuration of a cache policy by its id.
func (f *Fake) CachePolicy(id string) (cloudfront.CachePolicyConfig, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if policy := f.policies[id]; policy != nil {
		return *policy.CachePolicyConfig, true
	}
	return cloudfront.CachePolicyConfig{}, false
}

// AddOriginRequestPolicy adds an origin request policy of somebody else.
func (f *Fake) AddOriginRequestPolicy(config cloudfront.OriginRequestPolicyConfig) (id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id = uuid()
	f.requests[id] = &config
	return id
}

func (f *Fake) getRequestPolicy(c *call, id string) (answer, error) {
	c.operation = "GetOriginRequestPolicy"
	if err := f.may(c, "cloudfront:GetOriginRequestPolicy", cloudFrontARN+"origin-request-policy/"+id); err != nil {
		return answer{}, err
	}
	config := f.requests[id]
	if config == nil {
		return answer{}, fail(http.StatusNotFound, "NoSuchOriginRequestPolicy", "The origin request policy does not exist.")
	}
	return answer{http.StatusOK, "OriginRequestPolicy", &cloudfront.OriginRequestPolicy{Id: &id, LastModifiedTime: &f.now, OriginRequestPolicyConfig: config}, f.id("E")}, nil
}

func (f *Fake) createIdentity(c *call, _ string) (answer, error) {
	c.operation = "CreateCloudFrontOriginAccessIdentity"
	if err := f.may(c, "cloudfront:CreateCloudFrontOriginAccessIdentity", "*"); err != nil {
		return answer{}, err
	}
	config := &cloudfront.CloudFrontOriginAccessIdentityConfig{}
	if err := parse(c, "CloudFrontOriginAccessIdentityConfig", config); err != nil {
		return answer{}, err
	}
	for _, have := range f.identities {
		if *have.CloudFrontOriginAccessIdentityConfig.CallerReference != *config.CallerReference {
			continue
		}
		if *have.CloudFrontOriginAccessIdentityConfig.Comment != *config.Comment {
			return answer{}, fail(http.StatusConflict, "CloudFrontOriginAccessIdentityAlreadyExists", "the caller reference is in use")
		}
		return answer{http.StatusCreated, "CloudFrontOriginAccessIdentity", have, *have.Id}, nil
	}
	id := f.id("E")
	identity := &cloudfront.CloudFrontOriginAccessIdentity{
		Id: &id, S3CanonicalUserId: aws.String(strings.Repeat("c", 60) + id[len(id)-4:]), CloudFrontOriginAccessIdentityConfig: config,
	}
	f.identities[id] = identity
	f.changed = true
	return answer{http.StatusCreated, "CloudFrontOriginAccessIdentity", identity, id}, nil
}

func (f *Fake) getIdentity(c *call, id string) (answer, error) {
	c.operation = "GetCloudFrontOriginAccessIdentity"
	if err := f.may(c, "cloudfront:GetCloudFrontOriginAccessIdentity", cloudFrontARN+"origin-access-identity/"+id); err != nil {
		return answer{}, err
	}
	identity := f.identities[id]
	if identity == nil {
		return answer{}, fail(http.StatusNotFound, "NoSuchCloudFrontOriginAccessIdentity", "The specified origin access identity does not exist.")
	}
	return answer{http.StatusOK, "CloudFrontOriginAccessIdentity", identity, id}, nil
}

func (f *Fake) listIdentities(c *call, _ string) (answer, error) {
	c.operation = "ListCloudFrontOriginAccessIdentities"
	if err := f.may(c, "cloudfront:ListCloudFrontOriginAccessIdentities", "*"); err != nil {
		return answer{}, err
	}
	all, next := page(f, c, f.identities)
	list := &cloudfront.CloudFrontOriginAccessIdentityList{
		IsTruncated: aws.Bool(next != nil), Marker: aws.String(c.r.URL.Query().Get("Marker")), NextMarker: next, MaxItems: count(f.pageSize()), Quantity: count(len(all)),
	}
	for _, i := range all {
		list.Items = append(list.Items, cloudfront.CloudFrontOriginAccessIdentitySummary{
			Id: i.Id, S3CanonicalUserId: i.S3CanonicalUserId, Comment: i.CloudFrontOriginAccessIdentityConfig.Comment,
		})
	}
	return answer{http.StatusOK, "CloudFrontOriginAccessIdentityList", list, ""}, nil
}

func (f *Fake) createControl(c *call, _ string) (answer, error) {
	c.operation = "CreateOriginAccessControl"
	if err := f.may(c, "cloudfront:CreateOriginAccessControl", "*"); err != nil {
		return answer{}, err
	}
	config := &cloudfront.OriginAccessControlConfig{}
	if err := parse(c, "OriginAccessControlConfig", config); err != nil {
		return answer{}, err
	}
	if n := len(aws.ToString(config.Name)); n == 0 || n > 64 {
		return answer{}, fail(http.StatusBadRequest, "InvalidArgument", "the name must have 1 to 64 characters")
	}
	for _, have := range f.controls {
		if *have.OriginAccessControlConfig.Name == *config.Name {
			return answer{}, fail(http.StatusConflict, "OriginAccessControlAlreadyExists", "An origin access control with the same name already exists.")
		}
	}
	id := f.id("E")
	control := &cloudfront.OriginAccessControl{Id: &id, OriginAccessControlConfig: config}
	f.controls[id] = control
	f.changed = true
	return answer{http.StatusCreated, "OriginAccessControl", control, id}, nil
}

func (f *Fake) getControl(c *call, id string) (answer, error) {
	c.operation = "GetOriginAccessControl"
	if err := f.may(c, "cloudfront:GetOriginAccessControl", cloudFrontARN+"origin-access-control/"+id); err != nil {
		return answer{}, err
	}
	control := f.controls[id]
	if control == nil {
		return answer{}, fail(http.StatusNotFound, "NoSuchOriginAccessControl", "The specified origin access control does not exist.")
	}
	return answer{http.StatusOK, "OriginAccessControl", control, id}, nil
}

func (f *Fake) listControls(c *call, _ string) (answer, error) {
	c.operation = "ListOriginAccessControls"
	if err := f.may(c, "cloudfront:ListOriginAccessControls", "*"); err != nil {
		return answer{}, err
	}
	all, next := page(f, c, f.controls)
	list := &cloudfront.OriginAccessControlList{
		IsTruncated: aws.Bool(next != nil), Marker: aws.String(c.r.URL.Query().Get("Marker")), NextMarker: next, MaxItems: count(f.pageSize()), Quantity: count(len(all)),
	}
	for _, control := range all {
		o := control.OriginAccessControlConfig
		list.Items = append(list.Items, cloudfront.OriginAccessControlSummary{
			Id: control.Id, Name: o.Name, Description: aws.String(aws.ToString(o.Description)), SigningProtocol: o.SigningProtocol,
			SigningBehavior: o.SigningBehavior, OriginAccessControlOriginType: o.OriginAccessControlOriginType,
		})
	}
	return answer{http.StatusOK, "OriginAccessControlList", list, ""}, nil
}

func (f *Fake) createCachePolicy(c *call, _ string) (answer, error) {
	c.operation = "CreateCachePolicy"
	if err := f.may(c, "cloudfront:CreateCachePolicy", "*"); err != nil {
		return answer{}, err
	}
	config := &cloudfront.CachePolicyConfig{}
	if err := parse(c, "CachePolicyConfig", config); err != nil {
		return answer{}, err
	}
	if config.Name == nil || config.MinTTL == nil {
		return answer{}, fail(http.StatusBadRequest, "InvalidArgument", "Name and MinTTL are required")
	}
	for _, have := range f.policies {
		if *have.CachePolicyConfig.Name == *config.Name {
			return answer{}, fail(http.StatusConflict, "CachePolicyAlreadyExists", "A cache policy with the same name already exists.")
		}
	}
	policy := &cloudfront.CachePolicy{Id: aws.String(uuid()), LastModifiedTime: &f.now, CachePolicyConfig: config}
	f.policies[*policy.Id] = policy
	f.changed = true
	return answer{http.StatusCreated, "CachePolicy", policy, f.id("E")}, nil
}

func (f *Fake) getCachePolicy(c *call, id string) (answer, error) {
	c.operation = "GetCachePolicy"
	if err := f.may(c, "cloudfront:GetCachePolicy", cloudFrontARN+"cache-policy/"+id); err != nil {
		return answer{}, err
	}
	policy := f.policies[id]
	if policy == nil {
		return answer{}, fail(http.StatusNotFound, "NoSuchCachePolicy", "The cache policy does not exist.")
	}
	return answer{http.StatusOK, "CachePolicy", policy, f.id("E")}, nil
}

func (f *Fake) listCachePolicies(c *call, _ string) (answer, error) {
	c.operation = "ListCachePolicies"
	if err := f.may(c, "cloudfront:ListCachePolicies", "*"); err != nil {
		return answer{}, err
	}
	all, next := page(f, c, f.policies)
	list := &cloudfront.CachePolicyList{NextMarker: next, MaxItems: count(f.pageSize()), Quantity: count(len(all))}
	for _, policy := range all {
		list.Items = append(list.Items, cloudfront.CachePolicySummary{Type: cloudfront.CachePolicyTypeCustom, CachePolicy: policy})
	}
	return answer{http.StatusOK, "CachePolicyList", list, ""}, nil
}
