package awsfake

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
)

type role struct {
	name, id, trust, description string
	policies                     map[string]string
	tags                         map[string]string
}

func (r *role) arn() string { return "arn:aws:iam::" + Account + ":role/" + r.name }

// RolePolicy is the inline policy of a role.
func (f *Fake) RolePolicy(role, policy string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.roles[role]
	if !ok {
		return "", false
	}
	document, ok := r.policies[policy]
	return document, ok
}

// serveQuery answers IAM and STS, whose calls are forms and whose answers XML.
func (f *Fake) serveQuery(w http.ResponseWriter, c *call) {
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.service, c.operation = "iam", form.Get("Action")
	namespace := "https://iam.amazonaws.com/doc/2010-05-08/"
	if form.Get("Version") == "2011-06-15" {
		c.service, namespace = "sts", "https://sts.amazonaws.com/doc/2011-06-15/"
	}
	operations := map[string]func(*call, url.Values) (string, error){
		"GetCallerIdentity": f.getCallerIdentity,
		"GetRole":           f.getRole, "CreateRole": f.createRole, "UpdateAssumeRolePolicy": f.updateAssumeRolePolicy,
		"TagRole": f.tagRole, "ListRoleTags": f.listRoleTags,
		"GetRolePolicy": f.getRolePolicy, "PutRolePolicy": f.putRolePolicy,
		"SimulatePrincipalPolicy": f.simulatePrincipalPolicy,
	}
	run, ok := operations[c.operation]
	if !ok {
		run = func(c *call, _ url.Values) (string, error) {
			return "", fail(http.StatusBadRequest, "InvalidAction", "Could not find operation %s", c.operation)
		}
	}
	result, err := run(c, form)
	w.Header().Set("Content-Type", "text/xml")
	if err != nil {
		e := asAPIError(err)
		kind := "Sender"
		w.WriteHeader(e.status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="%s"><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
			namespace, kind, e.code, escape(e.message))
		return
	}
	fmt.Fprintf(w, `<%sResponse xmlns="%s"><%sResult>%s</%sResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></%sResponse>`,
		c.operation, namespace, c.operation, result, c.operation, c.operation)
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

func (f *Fake) getCallerIdentity(*call, url.Values) (string, error) {
	return "<Arn>" + Caller + "</Arn><UserId>AIDAOPERATOR</UserId><Account>" + Account + "</Account>", nil
}

func (f *Fake) role(c *call, form url.Values, action string) (*role, error) {
	name := form.Get("RoleName")
	if err := f.may(c, action, "arn:aws:iam::"+Account+":role/"+name); err != nil {
		return nil, err
	}
	r, ok := f.roles[name]
	if !ok {
		return nil, fail(http.StatusNotFound, "NoSuchEntity", "The role with name %s cannot be found.", name)
	}
	return r, nil
}

func (f *Fake) roleXML(r *role) string {
	var tags strings.Builder
	for _, k := range sortedKeys(r.tags) {
		fmt.Fprintf(&tags, "<member><Key>%s</Key><Value>%s</Value></member>", escape(k), escape(r.tags[k]))
	}
	return fmt.Sprintf(`<Role><Path>/</Path><RoleName>%s</RoleName><RoleId>%s</RoleId><Arn>%s</Arn><CreateDate>2026-11-01T00:00:00Z</CreateDate><AssumeRolePolicyDocument>%s</AssumeRolePolicyDocument><Description>%s</Description><MaxSessionDuration>3600</MaxSessionDuration><Tags>%s</Tags></Role>`,
		r.name, r.id, r.arn(), url.PathEscape(r.trust), escape(r.description), tags.String())
}

func (f *Fake) getRole(c *call, form url.Values) (string, error) {
	r, err := f.role(c, form, "iam:GetRole")
	if err != nil {
		return "", err
	}
	return f.roleXML(r), nil
}

func (f *Fake) createRole(c *call, form url.Values) (string, error) {
	r := &role{
		name: form.Get("RoleName"), trust: form.Get("AssumeRolePolicyDocument"), description: form.Get("Description"),
		policies: map[string]string{}, tags: formTags(form),
	}
	if err := f.may(c, "iam:CreateRole", r.arn()); err != nil {
		return "", err
	}
	if len(r.tags) > 0 {
		if err := f.may(c, "iam:TagRole", r.arn()); err != nil {
			return "", err
		}
	}
	if _, ok := f.roles[r.name]; ok {
		return "", fail(http.StatusConflict, "EntityAlreadyExists", "Role with name %s already exists.", r.name)
	}
	if err := checkPolicy(r.trust, "MalformedPolicyDocument"); err != nil {
		return "", err
	}
	r.id = f.id("AROA")
	f.roles[r.name] = r
	f.changed = true
	return f.roleXML(r), nil
}

func (f *Fake) updateAssumeRolePolicy(c *call, form url.Values) (string, error) {
	r, err := f.role(c, form, "iam:UpdateAssumeRolePolicy")
	if err != nil {
		return "", err
	}
	if err := checkPolicy(form.Get("PolicyDocument"), "MalformedPolicyDocument"); err != nil {
		return "", err
	}
	r.trust = form.Get("PolicyDocument")
	f.changed = true
	return "", nil
}

func (f *Fake) tagRole(c *call, form url.Values) (string, error) {
	r, err := f.role(c, form, "iam:TagRole")
	if err != nil {
		return "", err
	}
	for k, v := range formTags(form) {
		r.tags[k] = v
	}
	f.changed = true
	return "", nil
}

func (f *Fake) listRoleTags(c *call, form url.Values) (string, error) {
	r, err := f.role(c, form, "iam:ListRoleTags")
	if err != nil {
		return "", err
	}
	xml := f.roleXML(r)
	_, xml, _ = strings.Cut(xml, "<Tags>")
	xml, _, _ = strings.Cut(xml, "</Tags>")
	return "<IsTruncated>false</IsTruncated><Tags>" + xml + "</Tags>", nil
}

func (f *Fake) getRolePolicy(c *call, form url.Values) (string, error) {
	r, err := f.role(c, form, "iam:GetRolePolicy")
	if err != nil {
		return "", err
	}
	name := form.Get("PolicyName")
	document, ok := r.policies[name]
	if !ok {
		return "", fail(http.StatusNotFound, "NoSuchEntity", "The role policy with name %s cannot be found.", name)
	}
	return fmt.Sprintf("<RoleName>%s</RoleName><PolicyName>%s</PolicyName><PolicyDocument>%s</PolicyDocument>", r.name, name, url.PathEscape(document)), nil
}

func (f *Fake) putRolePolicy(c *call, form url.Values) (string, error) {
	r, err := f.role(c, form, "iam:PutRolePolicy")
	if err != nil {
		return "", err
	}
	if err := checkPolicy(form.Get("PolicyDocument"), "MalformedPolicyDocument"); err != nil {
		return "", err
	}
	r.policies[form.Get("PolicyName")] = form.Get("PolicyDocument")
	f.changed = true
	return "", nil
}

// simulatePrincipalPolicy tells what Authorize would say.
func (f *Fake) simulatePrincipalPolicy(c *call, form url.Values) (string, error) {
	if form.Get("PolicySourceArn") != Caller {
		return "", fail(http.StatusNotFound, "NoSuchEntity", "no such principal")
	}
	if err := f.may(c, "iam:SimulatePrincipalPolicy", Caller); err != nil {
		return "", err
	}
	context := map[string]string{}
	for i := 1; form.Has("ContextEntries.member." + strconv.Itoa(i) + ".ContextKeyName"); i++ {
		prefix := "ContextEntries.member." + strconv.Itoa(i) + "."
		context[form.Get(prefix+"ContextKeyName")] = form.Get(prefix + "ContextKeyValues.member.1")
	}
	resources := formList(form, "ResourceArns.member.")
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	var b strings.Builder
	for _, action := range formList(form, "ActionNames.member.") {
		if strings.Contains(action, "*") {
			return "", fail(http.StatusBadRequest, "InvalidInput", "Invalid Action: %s. Wildcards are not supported in action names.", action)
		}
		for _, resource := range resources {
			decision, detail := f.simulate(Check{Action: action, Resource: resource, Context: context})
			fmt.Fprintf(&b, "<member><EvalActionName>%s</EvalActionName><EvalResourceName>%s</EvalResourceName><EvalDecision>%s</EvalDecision>%s</member>", action, resource, decision, detail)
		}
	}
	return "<IsTruncated>false</IsTruncated><EvaluationResults>" + b.String() + "</EvaluationResults>", nil
}

// simulate is what IAM foretells of a call. It does not see the policies of
// resources.
func (f *Fake) simulate(c Check) (decision, detail string) {
	if c.Action == "lambda:EnableReplication" || c.Action == "lambda:DisableReplication" {
		c.Action += "*" // as their names are in policies
	}
	kind := ""
	if f.Forbid != nil {
		kind = f.Forbid(c)
	}
	switch {
	case kind == "service control policy":
		return "explicitDeny", "<OrganizationsDecisionDetail><AllowedByOrganizations>false</AllowedByOrganizations></OrganizationsDecisionDetail>"
	case kind == "permissions boundary":
		return "explicitDeny", "<PermissionsBoundaryDecisionDetail><AllowedByPermissionsBoundary>false</AllowedByPermissionsBoundary></PermissionsBoundaryDecisionDetail>"
	case kind == "identity-based policy":
		return "explicitDeny", ""
	case f.Authorize == nil || f.Authorize(c):
		return "allowed", ""
	}
	return "implicitDeny", ""
}

func formTags(form url.Values) map[string]string {
	tags := map[string]string{}
	for i := 1; form.Has("Tags.member." + strconv.Itoa(i) + ".Key"); i++ {
		prefix := "Tags.member." + strconv.Itoa(i)
		tags[form.Get(prefix+".Key")] = form.Get(prefix + ".Value")
	}
	return tags
}

func formList(form url.Values, prefix string) []string {
	var list []string
	for i := 1; form.Has(prefix + strconv.Itoa(i)); i++ {
		list = append(list, form.Get(prefix+strconv.Itoa(i)))
	}
	return list
}

// checkPolicy refuses what is no policy at all.
func checkPolicy(document, code string) error {
	var p struct {
		Version   string
		Statement json.RawMessage
	}
	if err := json.Unmarshal([]byte(document), &p); err != nil || len(p.Statement) == 0 {
		return fail(http.StatusBadRequest, code, "This policy contains invalid Json")
	}
	if !slices.Contains([]string{"", "2012-10-17", "2008-10-17"}, p.Version) {
		return fail(http.StatusBadRequest, code, "The policy must contain a valid version string")
	}
	return nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
