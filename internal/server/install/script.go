package install

import (
	"embed"
	"fmt"
	"regexp"
	"strings"
	"text/template"

	"packagecloud/internal/auth"
)

//go:embed scripts/*.sh
var scriptFiles embed.FS

// scripts are named like their files. common.sh and home.sh stand in others.
var scripts = template.Must(template.New("").Option("missingkey=error").ParseFS(scriptFiles, "scripts/*.sh"))

// plain is what may stand in a script, between single quotes or in a comment.
var plain = regexp.MustCompile(`^[A-Za-z0-9._~:/@%\[\]-]*$`)

// script fills in a script. Names, tokens and the URL of the server are plain
// (repo.ValidateRepositoryName, repo.TokenLength, config); that is checked again
// here, because what is not would run as root.
func (c *call) script(name string) (string, error) {
	token := ""
	if c.repository.Private {
		value, err := auth.Reveal(c.Sealer, c.master.Sealed)
		if err != nil {
			return "", err
		}
		token = value
	}
	values := map[string]string{
		"Repository": c.repository.FullName(), "Identifier": c.identifier(), "Token": token, "Password": auth.Password,
		"Keyring": c.keyring(), "RPMKey": c.rpmKey(), "Host": c.URL.Host, "Base": c.base(""),
		"Install": c.URL.JoinPath("install", "repositories", c.repository.Owner, c.repository.Name).String(),
	}
	for key, v := range values {
		if !plain.MatchString(v) {
			return "", fmt.Errorf("write the script: the value of %s cannot stand in it", key)
		}
	}
	var b strings.Builder
	if err := scripts.ExecuteTemplate(&b, name, values); err != nil {
		return "", fmt.Errorf("write the script: %w", err)
	}
	return b.String(), nil
}
