package awsfake

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// functionPrefix begins every ARN of a function: Lambda@Edge has one region.
const functionPrefix = "arn:aws:lambda:us-east-1:" + Account + ":function:"

// lambdaFunction is a function with its versions. versions[0] is $LATEST.
type lambdaFunction struct {
	name     string
	versions []functionVersion
	tags     map[string]string
	pending  int // polls until it is ready
	updating bool
}

type functionVersion struct {
	Number        string `json:"Version"`
	Role          string
	Runtime       string
	Handler       string
	Description   string
	MemorySize    int
	Timeout       int
	CodeSha256    string
	CodeSize      int
	RevisionID    string `json:"RevisionId"`
	LastModified  string
	LoggingConfig map[string]string
	code          []byte
}

// FunctionCode is the code of a published version, given its ARN.
func (f *Fake) FunctionCode(versionARN string) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, v := f.version(versionARN)
	if v == nil {
		return nil, false
	}
	return v.code, true
}

// FunctionVersions lists the ARNs of a function's published versions.
func (f *Fake) FunctionVersions(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var arns []string
	if fn := f.functions[name]; fn != nil {
		for _, v := range fn.versions[1:] {
			arns = append(arns, functionPrefix+name+":"+v.Number)
		}
	}
	return arns
}

// version finds a version by its ARN.
func (f *Fake) version(arn string) (*lambdaFunction, *functionVersion) {
	rest, ok := strings.CutPrefix(arn, functionPrefix)
	name, number, _ := strings.Cut(rest, ":")
	fn := f.functions[name]
	if !ok || fn == nil {
		return nil, nil
	}
	return fn, fn.find(number)
}

func (fn *lambdaFunction) find(number string) *functionVersion {
	if number == "" {
		number = "$LATEST"
	}
	i := slices.IndexFunc(fn.versions, func(v functionVersion) bool { return v.Number == number })
	if i < 0 {
		return nil
	}
	return &fn.versions[i]
}

// configuration is a version the way answers show it.
func (fn *lambdaFunction) configuration(v *functionVersion) map[string]any {
	state, update := "Active", "Successful"
	if fn.pending > 0 && fn.updating {
		update = "InProgress"
	} else if fn.pending > 0 {
		state = "Pending"
	}
	var m map[string]any
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		panic(err)
	}
	m["FunctionName"], m["FunctionArn"] = fn.name, functionPrefix+fn.name
	if v.Number != "$LATEST" {
		m["FunctionArn"] = functionPrefix + fn.name + ":" + v.Number
	}
	m["State"], m["LastUpdateStatus"], m["PackageType"], m["Architectures"] = state, update, "Zip", []string{"x86_64"}
	return m
}

// functionInput has the fields of all requests.
type functionInput struct {
	FunctionName, Role, Runtime, Handler, Description string
	MemorySize, Timeout                               int
	Code                                              struct{ ZipFile []byte }
	ZipFile                                           []byte
	CodeSha256                                        string
	Publish                                           bool
	Tags                                              map[string]string
	LoggingConfig                                     map[string]string
}

// serveLambda answers Lambda: JSON over paths.
func (f *Fake) serveLambda(w http.ResponseWriter, c *call) {
	c.service = "lambda"
	var in functionInput
	if len(c.body) > 0 {
		if err := json.Unmarshal(c.body, &in); err != nil {
			writeJSON(w, "application/json", 0, nil, fail(http.StatusBadRequest, "InvalidRequestContentException", "%v", err))
			return
		}
	}
	status := http.StatusOK
	var answer any
	var err error
	if arn, ok := strings.CutPrefix(c.r.URL.Path, "/2017-03-31/tags/"); ok {
		answer, status, err = f.functionTags(c, arn, &in)
		writeJSON(w, "application/json", status, answer, err)
		return
	}
	path := strings.TrimPrefix(c.r.URL.Path, "/2015-03-31/functions")
	name, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if unescaped, uerr := url.PathUnescape(name); uerr == nil {
		name = unescaped
	}
	name, qualifier := splitFunction(name)
	if q := c.r.URL.Query().Get("Qualifier"); q != "" {
		qualifier = q
	}
	switch c.r.Method + " " + rest {
	case "POST ":
		c.operation, status = "CreateFunction", http.StatusCreated
		answer, err = f.createFunction(c, &in)
	case "GET ":
		c.operation = "GetFunction"
		answer, err = f.getFunction(c, name, qualifier)
	case "PUT code":
		c.operation = "UpdateFunctionCode"
		answer, err = f.updateFunctionCode(c, name, &in)
	case "PUT configuration":
		c.operation = "UpdateFunctionConfiguration"
		answer, err = f.updateFunctionConfiguration(c, name, &in)
	case "POST versions":
		c.operation, status = "PublishVersion", http.StatusCreated
		answer, err = f.publishVersion(c, name, &in)
	case "GET versions":
		c.operation = "ListVersionsByFunction"
		answer, err = f.listVersions(c, name)
	default:
		err = fail(http.StatusNotFound, "UnknownOperationException", "%s %s", c.r.Method, c.r.URL.Path)
	}
	writeJSON(w, "application/json", status, answer, err)
}

// splitFunction takes a name or an ARN apart.
func splitFunction(s string) (name, qualifier string) {
	s = strings.TrimPrefix(s, functionPrefix)
	name, qualifier, _ = strings.Cut(s, ":")
	return name, qualifier
}

// function finds a function and checks a permission on it.
func (f *Fake) function(c *call, action, name, qualifier string) (*lambdaFunction, error) {
	resource := functionPrefix + name
	if qualifier != "" {
		resource += ":" + qualifier
	}
	if err := f.may(c, action, resource); err != nil {
		return nil, err
	}
	fn := f.functions[name]
	if fn == nil || fn.find(qualifier) == nil {
		return nil, fail(http.StatusNotFound, "ResourceNotFoundException", "Function not found: %s", resource)
	}
	return fn, nil
}

func checkZip(code []byte) error {
	if len(code) > 1<<20 {
		return fail(http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "more than 1 MB, the limit of viewer events")
	}
	if _, err := zip.NewReader(bytes.NewReader(code), int64(len(code))); err != nil {
		return fail(http.StatusBadRequest, "InvalidParameterValueException", "Could not unzip uploaded file. Please check your file, then try to upload again.")
	}
	return nil
}

func (v *functionVersion) setCode(f *Fake, code []byte) {
	sum := sha256.Sum256(code)
	v.code, v.CodeSize, v.CodeSha256 = code, len(code), base64.StdEncoding.EncodeToString(sum[:])
	v.touch(f)
}

func (v *functionVersion) touch(f *Fake) {
	v.RevisionID, v.LastModified = uuid(), f.now.Format("2006-01-02T15:04:05.000+0000")
}

func (f *Fake) createFunction(c *call, in *functionInput) (any, error) {
	arn := functionPrefix + in.FunctionName
	if err := f.may(c, "lambda:CreateFunction", arn); err != nil {
		return nil, err
	}
	if err := f.may(c, "iam:PassRole", in.Role, "iam:PassedToService", "lambda.amazonaws.com"); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := f.may(c, "lambda:TagResource", arn); err != nil {
			return nil, err
		}
	}
	if f.functions[in.FunctionName] != nil {
		return nil, fail(http.StatusConflict, "ResourceConflictException", "Function already exist: %s", in.FunctionName)
	}
	_, name, _ := strings.Cut(in.Role, ":role/")
	r := f.roles[name]
	if r == nil || !strings.Contains(r.trust, "lambda.amazonaws.com") || f.RoleDelay > 0 {
		f.RoleDelay--
		return nil, fail(http.StatusBadRequest, "InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda.")
	}
	if !slices.Contains([]string{"nodejs24.x", "nodejs22.x"}, in.Runtime) {
		return nil, fail(http.StatusBadRequest, "InvalidParameterValueException", "The runtime parameter of %s is no longer supported for creating or updating AWS Lambda functions.", in.Runtime)
	}
	if err := checkZip(in.Code.ZipFile); err != nil {
		return nil, err
	}
	v := functionVersion{
		Number: "$LATEST", Role: in.Role, Runtime: in.Runtime, Handler: in.Handler, Description: in.Description,
		MemorySize: max(in.MemorySize, 128), Timeout: max(in.Timeout, 1), LoggingConfig: in.LoggingConfig,
	}
	if v.LoggingConfig == nil {
		v.LoggingConfig = map[string]string{"LogFormat": "Text"}
	}
	v.setCode(f, in.Code.ZipFile)
	fn := &lambdaFunction{name: in.FunctionName, versions: []functionVersion{v}, tags: in.Tags, pending: f.PendingPolls}
	if fn.tags == nil {
		fn.tags = map[string]string{}
	}
	f.functions[fn.name] = fn
	f.changed = true
	return fn.configuration(&fn.versions[0]), nil
}

func (f *Fake) getFunction(c *call, name, qualifier string) (any, error) {
	fn, err := f.function(c, "lambda:GetFunction", name, qualifier)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{
		"Configuration": fn.configuration(fn.find(qualifier)),
		"Code":          map[string]string{"RepositoryType": "S3", "Location": "https://example.com/code"},
	}
	if err := f.may(c, "lambda:ListTags", functionPrefix+name); err != nil {
		answer["TagsError"] = map[string]string{"ErrorCode": asAPIError(err).code, "Message": asAPIError(err).message}
	} else {
		answer["Tags"] = fn.tags
	}
	fn.pending = max(0, fn.pending-1)
	return answer, nil
}

// ready refuses a change while another is going on.
func (fn *lambdaFunction) ready() error {
	if fn.pending > 0 {
		return fail(http.StatusConflict, "ResourceConflictException", "The operation cannot be performed at this time. An update is in progress for resource: %s%s", functionPrefix, fn.name)
	}
	return nil
}

func (f *Fake) updateFunctionCode(c *call, name string, in *functionInput) (any, error) {
	fn, err := f.function(c, "lambda:UpdateFunctionCode", name, "")
	if err != nil {
		return nil, err
	}
	if err := fn.ready(); err != nil {
		return nil, err
	}
	if err := checkZip(in.ZipFile); err != nil {
		return nil, err
	}
	fn.versions[0].setCode(f, in.ZipFile)
	fn.pending, fn.updating, f.changed = f.PendingPolls, true, true
	return fn.configuration(&fn.versions[0]), nil
}

func (f *Fake) updateFunctionConfiguration(c *call, name string, in *functionInput) (any, error) {
	fn, err := f.function(c, "lambda:UpdateFunctionConfiguration", name, "")
	if err != nil {
		return nil, err
	}
	if in.Role != "" {
		if err := f.may(c, "iam:PassRole", in.Role, "iam:PassedToService", "lambda.amazonaws.com"); err != nil {
			return nil, err
		}
	}
	if err := fn.ready(); err != nil {
		return nil, err
	}
	v := &fn.versions[0]
	for _, s := range []struct {
		to   *string
		from string
	}{{&v.Role, in.Role}, {&v.Runtime, in.Runtime}, {&v.Handler, in.Handler}, {&v.Description, in.Description}} {
		if s.from != "" {
			*s.to = s.from
		}
	}
	if in.LoggingConfig != nil {
		v.LoggingConfig = in.LoggingConfig
	}
	if in.MemorySize != 0 {
		v.MemorySize = in.MemorySize
	}
	if in.Timeout != 0 {
		v.Timeout = in.Timeout
	}
	v.touch(f)
	fn.pending, fn.updating, f.changed = f.PendingPolls, true, true
	return fn.configuration(v), nil
}

// publishVersion makes a version of $LATEST, or tells the last one if nothing
// changed since.
func (f *Fake) publishVersion(c *call, name string, in *functionInput) (any, error) {
	fn, err := f.function(c, "lambda:PublishVersion", name, "")
	if err != nil {
		return nil, err
	}
	if err := fn.ready(); err != nil {
		return nil, err
	}
	latest := fn.versions[0]
	if in.CodeSha256 != "" && in.CodeSha256 != latest.CodeSha256 {
		return nil, fail(http.StatusBadRequest, "InvalidParameterValueException", "CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", in.CodeSha256, latest.CodeSha256)
	}
	last := &fn.versions[len(fn.versions)-1]
	if len(fn.versions) > 1 && latest.RevisionID == last.RevisionID {
		return fn.configuration(last), nil
	}
	latest.Number = strconv.Itoa(len(fn.versions))
	if in.Description != "" {
		latest.Description = in.Description
	}
	fn.versions = append(fn.versions, latest)
	f.changed = true
	return fn.configuration(&fn.versions[len(fn.versions)-1]), nil
}

func (f *Fake) listVersions(c *call, name string) (any, error) {
	fn, err := f.function(c, "lambda:ListVersionsByFunction", name, "")
	if err != nil {
		return nil, err
	}
	first, _ := strconv.Atoi(c.r.URL.Query().Get("Marker"))
	last := min(len(fn.versions), first+f.pageSize())
	list := []map[string]any{}
	for i := first; i < last; i++ {
		list = append(list, fn.configuration(&fn.versions[i]))
	}
	answer := map[string]any{"Versions": list}
	if last < len(fn.versions) {
		answer["NextMarker"] = strconv.Itoa(last)
	}
	return answer, nil
}

func (f *Fake) pageSize() int {
	if f.PageSize > 0 {
		return f.PageSize
	}
	return 100
}

func (f *Fake) functionTags(c *call, arn string, in *functionInput) (any, int, error) {
	name, _ := splitFunction(arn)
	if c.r.Method == http.MethodGet {
		c.operation = "ListTags"
		fn, err := f.function(c, "lambda:ListTags", name, "")
		if err != nil {
			return nil, 0, err
		}
		return map[string]any{"Tags": fn.tags}, http.StatusOK, nil
	}
	c.operation = "TagResource"
	fn, err := f.function(c, "lambda:TagResource", name, "")
	if err != nil {
		return nil, 0, err
	}
	for k, v := range in.Tags {
		fn.tags[k] = v
	}
	f.changed = true
	return nil, http.StatusNoContent, nil
}
