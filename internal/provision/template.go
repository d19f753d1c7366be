package provision

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// design is the desired state for a template. Where an AWS value is known only
// when the template is applied stands a reference such as ${Key.Arn}, in the
// manner of CloudFormation; each kind of template writes it in its own way.
type design struct {
	settings *Settings
	name     string // of the function and what it needs
	config   *types.DistributionConfig
	cache    *types.CachePolicyConfig
	control  *types.OriginAccessControlConfig // nil with an identity
	bucket   Policy

	edge *types.FunctionConfig // of the CloudFront function; nil for that of Lambda, which has what follows

	trust  Policy
	role   Policy
	key    Policy
	files  map[string]string // of the function; config.json with references
	codeID string            // differs if anything of the function does
}

const (
	// What stands in the package of a function until there is a key.
	templateKey        = "arn:aws:kms:" + edgeRegion + ":000000000000:key/packagecloud-template"
	templateCiphertext = "the ciphertext of the template"
)

// newDesign describes a new set-up.
func newDesign(s *Settings) (*design, error) {
	if err := s.check(Everything); err != nil {
		return nil, err
	}
	access := s.Access
	if access == "" {
		access = AccessControl
	}
	r := parts{
		version: "${Version}", cachePolicy: "${CachePolicy}", controlID: "${OriginAccessControl.Id}", access: access,
		identity: &Identity{ID: "${OriginAccessIdentity}", CanonicalUser: "${OriginAccessIdentity.S3CanonicalUserId}"},
	}
	name := Name(s.Bucket)
	if s.OldNames {
		name = OldName
	}
	o := &Observed{
		Name: name, Account: "${AWS::AccountId}", Key: &Key{ARN: "${Key.Arn}"},
		Distribution: &ObservedDistribution{ID: "", ARN: "arn:aws:cloudfront::${AWS::AccountId}:distribution/${Distribution}"},
	}
	if s.Check == CloudFrontFunction {
		r.version = o.edgeFunctionARN()
	}
	config, _, err := configure(s, nil, r)
	if err != nil {
		return nil, err
	}
	d := &design{settings: s, name: name, config: config, cache: cachePolicy(), bucket: policyOf(r.statement(s, o))}
	d.bucket.Statement[0].Sid = "PackagecloudCloudFront"
	if access == AccessControl {
		d.control = controlConfig(s)
	}
	if s.Check == CloudFrontFunction {
		d.edge = edgeConfig("${Store.Arn}")
		// Not the ARN as it will be: the distribution comes after the function.
		edgeAssociation(config.DefaultCacheBehavior).FunctionARN = aws.String("${Function.FunctionARN}")
		return d, nil
	}
	d.trust, d.role, d.key = policyOf(trustStatement()), policyOf(roleStatements(o)...), keyPolicy(o.Account)
	return d, d.code()
}

// code takes the package of the function apart.
func (d *design) code() error {
	secrets := d.settings.sortedSecrets()
	pack, err := d.settings.Code(d.name, templateKey, []byte(templateCiphertext), secrets...)
	if err != nil {
		return fmt.Errorf("make the function: %w", err)
	}
	sum := sha256.Sum256(pack)
	d.codeID = hex.EncodeToString(sum[:8])
	r, err := zip.NewReader(bytes.NewReader(pack), int64(len(pack)))
	if err != nil {
		return fmt.Errorf("read the function: %w", err)
	}
	d.files = map[string]string{}
	for _, f := range r.File {
		text, err := readFile(f)
		if err != nil {
			return fmt.Errorf("read %s of the function: %w", f.Name, err)
		}
		d.files[f.Name] = text
	}
	return nil
}

func readFile(f *zip.File) (string, error) {
	const most = 1 << 20
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, most))
	return string(text), err
}

// names are the files of the function in order.
func (d *design) names() []string { return slices.Sorted(maps.Keys(d.files)) }

// cut takes a text apart at what the key and the ciphertext stand in for.
func cut(text string) (pieces []string) {
	for _, mark := range []string{templateKey, base64.StdEncoding.EncodeToString([]byte(templateCiphertext))} {
		before, after, found := strings.Cut(text, mark)
		if !found {
			continue
		}
		pieces, text = append(pieces, before), after
	}
	return append(pieces, text)
}

// bundle puts all files into one, which CloudFormation can carry.
func (d *design) bundle() string {
	var b strings.Builder
	b.WriteString("'use strict';\n// The files of the function in one: CloudFormation carries no more.\nconst files = {\n")
	for _, name := range d.names() {
		if strings.HasSuffix(name, ".json") {
			fmt.Fprintf(&b, "'./%s': (module) => {\nmodule.exports = %s;\n},\n", name, strings.TrimSpace(d.files[name]))
			continue
		}
		fmt.Fprintf(&b, "'./%s': (module, exports, require) => {\n%s},\n", name, d.files[name])
	}
	b.WriteString(`};
const loaded = {};
function load(name) {
  if (!files[name]) { return require(name); }
  if (!loaded[name]) {
    const module = { exports: {} };
    files[name](module, module.exports, load);
    loaded[name] = module.exports;
  }
  return loaded[name];
}
module.exports = load('./index.js');
`)
	return b.String()
}

// plainJSON is a policy without HTML escapes.
func plainJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(err) // our own types
	}
	return strings.TrimSpace(b.String())
}

// Ciphertext encrypts the secrets with the key of a template, in base64.
func (r *Runner) Ciphertext(ctx context.Context, keyARN string) (string, error) {
	if err := r.Settings.check(Function); err != nil {
		return "", err
	}
	if r.Settings.Check == CloudFrontFunction {
		return "", errors.New("a CloudFront function has its secrets in a key value store: packagecloud-ctl bootstrap-cloudfront puts them there")
	}
	name := Name(r.Settings.Bucket)
	if r.Settings.OldNames {
		name = OldName
	}
	out, err := r.AWS.KMS.Encrypt(ctx, &kms.EncryptInput{
		KeyId: aws.String(keyARN), Plaintext: r.Settings.Plaintext(r.Settings.sortedSecrets()...), EncryptionContext: r.Settings.Context(name),
	})
	if err != nil {
		return "", denied(err, "kms:Encrypt", keyARN, "encrypt the secrets with %s", keyARN)
	}
	return base64.StdEncoding.EncodeToString(out.CiphertextBlob), nil
}
