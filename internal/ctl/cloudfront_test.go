package ctl_test

import (
	"fmt"
	"net"
	"net/http/httptest"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"packagecloud/internal/provision/awsfake"
)

// awsCommand is the command aws of scripts:
//
//	aws start BUCKET      begins an account of its own, at AWS_ENDPOINT_URL
//	aws deny ACTION       takes a permission from the caller
//	aws calls             sends what was called since to standard output
//	aws port              sets $PORT to a free port
//	aws fill FILE NAME    sets $NAME to the contents of a file without what
//	                      stands around it
func awsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: aws start|deny|calls|port|fill")
	}
	fake, _ := ts.Value(fakeKey{}).(*account)
	switch args[0] {
	case "start":
		fake.Fake = awsfake.New("eu-central-1", args[1])
		fake.DeployPolls = 1
		fake.Authorize = func(c awsfake.Check) bool {
			return c.Action != fake.denied && c.Action != "iam:SimulatePrincipalPolicy"
		}
		server := httptest.NewServer(fake.Fake)
		ts.Defer(server.Close)
		ts.Setenv("AWS_ENDPOINT_URL", server.URL)
		ts.Setenv("AWS_ENDPOINT_URL_S3", server.URL)
	case "deny":
		fake.denied = args[1]
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
	default:
		ts.Fatalf("aws: what is %s?", args[0])
	}
}

// account is the AWS of one script.
type account struct {
	*awsfake.Fake
	denied string
	seen   int
}

type fakeKey struct{}
