package npm

import (
	"context"
	"fmt"
	"strings"

	"packagecloud/internal/format"
)

// absent are the parts of the public registry's API that there are not here, by
// how their paths begin below npm/-/; the last one that fits counts. A client that
// asks for one shows its user what is told here.
var absent = []struct{ prefix, what string }{
	{"npm/v1/attestations/", "provenance"},
	{"npm/v1/hooks", "hooks"},
	{"npm/v1/keys", "signatures"},
	{"npm/v1/oidc/", "trusted publishing"},
	{"npm/v1/security/", "audit"},
	{"npm/v1/tokens", "token management by npm: packagecloud has an API for it"},
	{"npm/v1/user", "profiles: accounts are managed with packagecloud-ctl"},
	{"org/", "organizations and teams"},
	{"stage", "staged publishing: publish without a stage"},
	{"team/", "organizations and teams"},
	{"user/", "lists of what users have: use npm search"},
	{"user/package/", "stars"},
	{"user/v1/star", "stars"},
	{"user/org.couchdb.user:", "users to look up: who may publish is said by the repository's collaborators"},
	{"v1/done", "login in a browser: use npm login --auth-type=legacy"},
	{"v1/login", "login in a browser: use npm login --auth-type=legacy"},
}

// absentOfPackage are those behind npm/-/package/<name>/.
var absentOfPackage = map[string]string{
	"access":        "access settings of packages: the repository has them",
	"collaborators": "collaborators of packages: the repository has them",
	"owners":        "owners of packages: the repository has collaborators",
	"trust":         "trusted publishing",
	"visibility":    "access settings of packages: the repository has them",
}

// absentRoute is for every path below npm/ that is nothing else. Its answer is
// 404, upon which clients fall back on what older registries have, and for which
// they show the words.
func absentRoute(path string) route {
	r := route{access: format.ReadAccess, receive: receiveAbsent}
	own, isOwn := strings.CutPrefix(path, "-/")
	if !isOwn {
		return r
	}
	for _, a := range absent {
		if strings.HasPrefix(own, a.prefix) {
			r.tag = a.what
		}
	}
	if tagged, ok := strings.CutPrefix(own, "package/"); ok {
		if _, rest, ok := cutName(tagged); ok {
			rest, _, _ = strings.Cut(rest, "/")
			r.tag = absentOfPackage[rest]
		}
	}
	if strings.HasPrefix(own, "v1/") { // who logs in has no token yet
		r.access = format.OpenAccess
	}
	return r
}

func receiveAbsent(_ context.Context, _ format.Call, r route) (a format.Action, err error) {
	message := notFound
	if r.tag != "" {
		message = fmt.Sprintf("this registry has no %s", r.tag)
	}
	a.Answer = answer(404, map[string]string{"error": message})
	return a, nil
}

// notFound is the word of the public registry for what is not there.
const notFound = "not_found"

// noStars answers who reads stars: they cannot be given, so there are none.
var noStars = map[string]any{
	"_view/starredByUser": map[string]any{"total_rows": 0, "offset": 0, "rows": []any{}}, // npm
	"user/v1/star":        []any{},                                                       // pnpm
}

func receiveStars(_ context.Context, _ format.Call, r route) (a format.Action, err error) {
	a.Answer = answer(0, noStars[r.tag])
	return a, nil
}
