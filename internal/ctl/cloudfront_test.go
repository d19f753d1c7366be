package ctl_test

import (
	"fmt"
	"net"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rogpeppe/go-internal/testscript"

	"packagecloud/internal/edge"
	"packagecloud/internal/edge/function"
	"packagecloud/internal/provision/awsfake"
)

// awsCommand is the command aws of scripts:
//
//	aws start BUCKET      begins an account of its own, at AWS_ENDPOINT_URL
//	aws deny ACTION       takes a permission from the caller
//	aws allow FILE        gives the caller what a policy allows, and nothing else
//	aws calls             sends what was called since to standard output
//	aws port              sets $PORT to a free port
//	aws fill FILE NAME    sets $NAME to the contents of a file without what
//	                      stands around it
//	aws hang ACTION       does not answer the next call that needs a permission
//	aws hung              waits for that call
//	aws go                refuses it, and answers others from now on
//	aws knows FILE...     fails unless the function that the distribution runs
//	                      knows the cloudfront_secret of each file
//	aws forgot FILE...    fails unless it knows none
func awsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: aws start|deny|calls|port|fill")
	}
	fake, _ := ts.Value(fakeKey{}).(*account)
	switch args[0] {
	case "start":
		fake.Fake = awsfake.New("eu-central-1", args[1])
		fake.DeployPolls, fake.Tick, fake.RunEdgeFunction = 1, time.Minute, fake.test
		fake.Authorize = func(c awsfake.Check) bool {
			if may := fake.policy.Load(); may != nil && !(*may)(c) {
				return false
			}
			return !fake.lost(c.Action) && c.Action != fake.denied.Load() && c.Action != "iam:SimulatePrincipalPolicy"
		}
		server := httptest.NewServer(fake.Fake)
		ts.Defer(server.Close)
		ts.Setenv("AWS_ENDPOINT_URL", server.URL)
		ts.Setenv("AWS_ENDPOINT_URL_S3", server.URL)
		// The number of the account stands before this name, whatever it is.
		ts.Setenv("AWS_ENDPOINT_URL_CLOUDFRONT_KEYVALUESTORE", "http://kvs.test")
		ts.Setenv("HTTP_PROXY", server.URL)
	case "allow":
		may, err := awsfake.Evaluate(ts.ReadFile(args[1]))
		ts.Check(err)
		fake.policy.Store(&may)
	case "deny":
		fake.denied.Store(args[1])
	case "calls":
		fmt.Fprintln(ts.Stdout(), "calls") // else what was there before would stay
		for _, c := range fake.Checks()[fake.seen:] {
			fmt.Fprintln(ts.Stdout(), c.Action)
		}
		fake.seen = len(fake.Checks())
	case "port":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Setenv("PORT", fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
		ts.Check(l.Close())
	case "fill":
		ts.Setenv(args[2], strings.TrimSpace(ts.ReadFile(args[1])))
	case "hang":
		h := &hang{action: args[1], begun: make(chan struct{}), end: make(chan struct{})}
		fake.hang.Store(h)
		ts.Defer(h.release)
	case "hung":
		select {
		case <-fake.hang.Load().begun:
		case <-time.After(time.Minute):
			ts.Fatalf("there was no call for %s", fake.hang.Load().action)
		}
	case "go":
		fake.hang.Load().release()
	case "knows", "forgot":
		for _, file := range args[1:] {
			if fake.knows(ts, ts.ReadFile(file)) != (args[0] == "knows") {
				ts.Fatalf("the edges: not %s the secret of %s", args[0], file)
			}
		}
	default:
		ts.Fatalf("aws: what is %s?", args[0])
	}
}

// account is the AWS of one script.
type account struct {
	*awsfake.Fake
	test   func(code []byte, keys map[string]string, event []byte) ([]byte, error) // of CloudFront functions
	denied atomic.Value                                                            // the action that is not allowed, a string
	policy atomic.Pointer[func(awsfake.Check) bool]                                // all that is allowed; nil for everything
	seen   int
	hang   atomic.Pointer[hang]
}

// hang is a call that gets no answer.
type hang struct {
	action      string
	begun, end  chan struct{}
	begin, over sync.Once
}

func (h *hang) release() { h.over.Do(func() { close(h.end) }) }

// lost holds a call that is to hang back, and tells whether it did: then it does
// nothing, as if it had never come.
func (a *account) lost(action string) (lost bool) {
	if h := a.hang.Load(); h != nil && h.action == action {
		h.begin.Do(func() { close(h.begun); <-h.end; lost = true })
	}
	return lost
}

var secretLine = regexp.MustCompile(`cloudfront_secret'\] = '([^']+)'`)

// knows reports whether the edges know the secret of a configuration.
func (a *account) knows(ts *testscript.TestScript, text string) bool {
	secret := secretLine.FindStringSubmatch(text)[1]
	b := a.AtEdges(a.Distributions()[0])[0].DefaultCacheBehavior
	if len(b.FunctionAssociations.Items) > 0 {
		_, keys, _ := a.EdgeFunction(aws.ToString(b.FunctionAssociations.Items[0].FunctionARN))
		return keys[edge.KeyID(secret)] == secret
	}
	pack, _ := a.FunctionCode(aws.ToString(b.LambdaFunctionAssociations.Items[0].LambdaFunctionARN))
	c, err := function.ReadConfig(pack)
	ts.Check(err)
	return slices.Contains(c.KeyIDs, edge.KeyID(secret))
}

type fakeKey struct{}
