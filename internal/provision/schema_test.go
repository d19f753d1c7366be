package provision_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"packagecloud/internal/provision"
	"packagecloud/internal/tooltest"
)

// TestTerraformSchema compares what is written for Terraform with the schema of
// its AWS provider: every resource, block, attribute and reference exists there,
// with a value of its type, and none that is required is missing.
func TestTerraformSchema(t *testing.T) {
	types := tooltest.Output(t, "terraform-schema")
	for name, s := range variants() {
		t.Run(name, func(t *testing.T) {
			text, err := provision.Terraform(s)
			if err != nil {
				t.Fatal(err)
			}
			c := newConfiguration(t, types, string(text))
			c.check()
			if c.resources < 5 {
				t.Errorf("%d resources were compared", c.resources)
			}
		})
	}
}

// TestSchemaJudges shows that mistakes are found.
func TestSchemaJudges(t *testing.T) {
	types := tooltest.Output(t, "terraform-schema")
	text, err := provision.Terraform(real(provision.AccessControl))
	if err != nil {
		t.Fatal(err)
	}
	for old, planted := range map[string]string{
		`resource "aws_kms_alias"`:        `resource "aws_kms_name"`,
		"min_ttl ":                        "minimum_ttl ",
		`restriction_type = "none"`:       ``,
		"compress               = false":  `compress = "no"`,
		"memory_size      = ":             `memory_size = "much" #`,
		"aws_kms_key.packagecloud.key_id": "aws_kms_key.packagecloud.id_of_key",
		"geo_restriction {":               "region_restriction {",
		"restrictions {":                  "restrictions {}\nrestrictions {",
		`allowed_methods        = [`:      `allowed_methods        = [1, `,
	} {
		t.Run(planted, func(t *testing.T) {
			if !strings.Contains(string(text), old) {
				t.Fatalf("%q is not in the configuration", old)
			}
			c := newConfiguration(t, types, strings.ReplaceAll(string(text), old, planted))
			found := 0
			c.report = func(string, ...any) { found++ }
			c.check()
			if found == 0 {
				t.Error("it is not found")
			}
		})
	}
}

// configuration is one of Terraform, beside the types of the provider.
type configuration struct {
	report    func(format string, args ...any)
	folder    string // of the types
	body      *hclsyntax.Body
	known     map[string]*schema
	resources int
}

// schema is what the types say of one kind of resource: the fields of what is
// written by interface, the first one being the resource, and what can be read.
type schema struct {
	root   string
	fields map[string]map[string]property
	reads  map[string]bool
}

type property struct {
	required bool
	kind     string // as in TypeScript
}

func newConfiguration(t *testing.T, folder, text string) *configuration {
	t.Helper()
	file, problems := hclsyntax.ParseConfig([]byte(text), "main.tf", hcl.InitialPos)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	return &configuration{report: t.Errorf, folder: folder, body: file.Body.(*hclsyntax.Body), known: make(map[string]*schema)}
}

func (c *configuration) check() {
	for _, b := range c.body.Blocks {
		if (b.Type == "resource" || b.Type == "data") && strings.HasPrefix(b.Labels[0], "aws_") {
			s := c.schema(b.Type, b.Labels[0])
			if s == nil {
				c.report("%s is no %s of the provider", b.Labels[0], b.Type)
				continue
			}
			c.resources++
			c.compare(s, s.root, b.Labels[0], b.Body)
		}
	}
	c.references()
}

var (
	interfaces = regexp.MustCompile(`(?ms)^export interface (\w+)[^{]*\{\n(.*?)^\}`)
	fields     = regexp.MustCompile(`(?m)^    readonly (\w+)(\??): (.*)$`)
	getters    = regexp.MustCompile(`(?m)^    get (\w+)\(\)`)
)

// schema reads the types of a kind of resource. Of one that does not exist it is
// nil.
func (c *configuration) schema(block, kind string) *schema {
	name := strings.ReplaceAll(strings.TrimPrefix(kind, "aws_"), "_", "-")
	if block == "data" {
		name = "data-aws-" + name
	}
	if s, ok := c.known[name]; ok {
		return s
	}
	text, err := os.ReadFile(filepath.Join(c.folder, name, "index.d.ts"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.report("%v", err)
		return nil
	}
	s := &schema{fields: make(map[string]map[string]property), reads: make(map[string]bool)}
	for _, i := range interfaces.FindAllStringSubmatch(string(text), -1) {
		if s.root == "" {
			s.root = i[1]
		}
		s.fields[i[1]] = make(map[string]property)
		for _, f := range fields.FindAllStringSubmatch(i[2], -1) {
			s.fields[i[1]][f[1]] = property{required: f[2] == "", kind: strings.TrimSuffix(strings.TrimSuffix(f[3], ";"), " | cdktn.IResolvable")}
		}
	}
	for _, g := range getters.FindAllStringSubmatch(string(text), -1) {
		s.reads[g[1]] = true
	}
	c.known[name] = s
	return s
}

// meta are the attributes and blocks that every resource can have.
var meta = map[string]bool{"count": true, "provider": true, "lifecycle": true}

// compare compares a block with the interface that describes it.
func (c *configuration) compare(s *schema, name, where string, body *hclsyntax.Body) {
	known := s.fields[name]
	times := make(map[string]int)
	for attribute, a := range body.Attributes {
		f, ok := known[camel(attribute)]
		switch {
		case meta[attribute]:
		case !ok || s.fields[strings.TrimSuffix(f.kind, "[]")] != nil:
			c.report("%s has no attribute %s", where, attribute)
		case !fits(a.Expr, f.kind):
			c.report("%s.%s is a %s", where, attribute, f.kind)
		}
		times[camel(attribute)]++
	}
	for _, b := range body.Blocks {
		f := known[camel(b.Type)]
		inner := strings.TrimSuffix(f.kind, "[]")
		times[camel(b.Type)]++
		switch {
		case meta[b.Type]:
			continue
		case s.fields[inner] == nil:
			c.report("%s has no block %s", where, b.Type)
			continue
		case inner == f.kind && times[camel(b.Type)] > 1:
			c.report("%s has a second block %s", where, b.Type)
		}
		c.compare(s, inner, where+"."+b.Type, b.Body)
	}
	for n, f := range known {
		if f.required && times[n] == 0 {
			c.report("%s needs %s", where, n)
		}
	}
}

// fits reports whether an expression can be of a type. Of what is not written out
// nothing is known but that it is one value.
func fits(e hclsyntax.Expression, kind string) bool {
	value, problems := e.Value(nil)
	switch list := strings.HasSuffix(kind, "[]"); x := e.(type) {
	case *hclsyntax.TupleConsExpr:
		for _, item := range x.Exprs {
			if !fits(item, strings.TrimSuffix(kind, "[]")) {
				return false
			}
		}
		return list
	case *hclsyntax.ObjectConsExpr:
		return kind == "{"
	default:
		if list || kind == "{" {
			return false
		}
	}
	if problems.HasErrors() {
		return true // it refers to something
	}
	return map[string]string{"string": "string", "number": "number", "bool": "boolean"}[value.Type().FriendlyName()] == kind
}

// references looks for those that lead nowhere.
func (c *configuration) references() {
	_ = hclsyntax.VisitAll(c.body, func(n hclsyntax.Node) hcl.Diagnostics {
		x, ok := n.(*hclsyntax.ScopeTraversalExpr)
		if !ok {
			return nil
		}
		var names []string
		for _, step := range x.Traversal {
			switch step := step.(type) {
			case hcl.TraverseRoot:
				names = append(names, step.Name)
			case hcl.TraverseAttr:
				names = append(names, step.Name)
			}
		}
		block := "resource"
		if names[0] == "data" {
			block, names = "data", names[1:]
		}
		if !strings.HasPrefix(names[0], "aws_") || len(names) < 3 {
			return nil
		}
		s := c.schema(block, names[0])
		if s == nil || !s.reads[camel(names[2])] || !c.declares(block, names[0], names[1]) {
			c.report("%s refers to nothing", strings.Join(names, "."))
		}
		return nil
	})
}

func (c *configuration) declares(block, kind, name string) bool {
	for _, b := range c.body.Blocks {
		if b.Type == block && b.Labels[0] == kind && b.Labels[1] == name {
			return true
		}
	}
	return false
}

// camel is a name of Terraform as TypeScript has it.
func camel(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words[1:] {
		if w != "" {
			words[i+1] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}
