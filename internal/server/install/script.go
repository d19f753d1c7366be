package install

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"

	"packagecloud/internal/auth"
	"packagecloud/internal/repo"
)

//go:embed scripts/deb.sh
var debText string

//go:embed scripts/rpm.sh
var rpmText string

//go:embed scripts/node.sh
var nodeText string

//go:embed scripts/python.sh
var pythonText string

var (
	debScript    = template.Must(template.New("deb.sh").Option("missingkey=error").Parse(debText))
	nodeScript   = template.Must(template.New("node.sh").Option("missingkey=error").Parse(nodeText))
	pythonScript = template.Must(template.New("python.sh").Option("missingkey=error").Parse(pythonText))
	rpmScript    = template.Must(template.New("rpm.sh").Option("missingkey=error").Parse(rpmText))
)

// script fills in a script. Everything that goes into it is safe between
// single quotes: names have no quotes (repo.ValidateRepositoryName), tokens
// are hexadecimal, and the URL was checked with the configuration.
func (c *call) script(t *template.Template) (string, error) {
	token := ""
	if c.repository.Private {
		value, err := auth.Reveal(c.Sealer, c.master.Sealed)
		if err != nil {
			return "", err
		}
		token = value
	}
	values := map[string]string{
		"Repository": c.repository.FullName(), "Identifier": c.identifier(), "Token": token, "Keyring": c.keyring(),
		"Install": c.URL.JoinPath("install", "repositories", c.repository.Owner, c.repository.Name).String(), "Host": c.URL.Host, "Base": c.base(""),
	}
	for _, v := range values {
		if strings.ContainsAny(v, "'\n\\") {
			return "", fmt.Errorf("%q cannot stand in a script: %w", v, repo.ErrNotFound)
		}
	}
	var b strings.Builder
	if err := t.Execute(&b, values); err != nil {
		return "", fmt.Errorf("write the script: %w", err)
	}
	return b.String(), nil
}
