package api

import (
	"encoding/json"
	"net/http"

	"packagecloud/internal/auth"
	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// token answers the API token to whoever knows address and password.
func (a *API) token(w http.ResponseWriter, r *http.Request) error {
	login, password, ok := r.BasicAuth()
	if !ok {
		return repo.ErrUnauthenticated
	}
	value, err := a.Passwords.Token(r.Context(), login, password)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, map[string]string{"token": value})
}

// gemVersion answers packagecloud-ruby, which asks whether it is too old.
func (a *API) gemVersion(w http.ResponseWriter, _ *http.Request) error {
	return WriteJSON(w, http.StatusOK, map[string]int{"major": 1, "minor": 0, "patch": 0})
}

func (a *API) distributions(w http.ResponseWriter, _ *http.Request, _ repo.User) error {
	return WriteJSON(w, http.StatusOK, json.RawMessage(a.Catalog().JSON()))
}

// repositoryJSON is a repository in lists, and alone.
type repositoryJSON struct {
	Name          string     `json:"name"`
	FullName      string     `json:"fqname"`
	Path          string     `json:"path"`
	RepoType      string     `json:"repo_type"`
	Private       bool       `json:"private"`
	URL           string     `json:"url"`
	CreatedAt     timestamp  `json:"created_at"`
	UpdatedAt     timestamp  `json:"updated_at"`
	LastPush      string     `json:"last_push_human"`
	PackageCount  string     `json:"package_count_human"`
	TotalInstalls *int64     `json:"total_installs_count"` // null: installations are not counted
	Paths         *pathsJSON `json:"paths,omitempty"`
	URLs          *urlsJSON  `json:"urls,omitempty"`
}

type pathsJSON struct {
	Self              string `json:"self"`
	CreatePackage     string `json:"create_package"`
	PackageContents   string `json:"package_contents"`
	MasterTokens      string `json:"master_tokens"`
	CreateMasterToken string `json:"create_master_token"`
	GPGKeys           string `json:"gpg_keys"`
}

type urlsJSON struct {
	InstallScript string `json:"install_script"`
}

func (a *API) repositoryJSON(s db.RepositoryStatus) repositoryJSON {
	last := "never"
	if s.Packages > 0 {
		last = human(a.Now(), s.LastPush)
	}
	return repositoryJSON{
		Name: s.Name, FullName: s.FullName(), Path: join(s.Owner, s.Name), RepoType: "multi", Private: s.Private,
		URL: a.URL.String() + join(s.Owner, s.Name), CreatedAt: timestamp(s.CreatedAt), UpdatedAt: timestamp(s.UpdatedAt),
		LastPush: last, PackageCount: count(s.Packages, "package"),
	}
}

// self is the API path of a repository.
func self(r repo.Repository) string { return "/api/v1/repos" + join(r.Owner, r.Name) }

func (a *API) listRepositories(w http.ResponseWriter, r *http.Request, u repo.User) error {
	p, err := readParams(w, r)
	if err != nil {
		return err
	}
	collaborations, err := p.flag("include_collaborations")
	if err != nil {
		return err
	}
	pg := page(p)
	all, total, err := a.DB.RepositoriesOf(r.Context(), u.ID, collaborations, pg)
	if err != nil {
		return err
	}
	list := make([]repositoryJSON, 0, len(all))
	for _, s := range all {
		list = append(list, a.repositoryJSON(s))
	}
	return a.writePage(w, r, list, pg, total)
}

func (a *API) createRepository(w http.ResponseWriter, r *http.Request, u repo.User) error {
	p, err := readParams(w, r)
	if err != nil {
		return err
	}
	private, err := p.flag("repository[private]", "private")
	if err != nil {
		return err
	}
	rp := repo.Repository{OwnerID: u.ID, Owner: u.Name, Name: p.get("repository[name]", "name"), Private: private, CreatedAt: a.Now()}
	if err := repo.ValidateRepositoryName(rp.Name); err != nil {
		return err
	}
	err = a.DB.Update(r.Context(), func(tx *db.Tx) error { return auth.CreateRepository(r.Context(), tx, a.Sealer, &rp) })
	if err != nil {
		return err
	}
	a.Auth.Forget()
	return WriteJSON(w, http.StatusCreated, map[string]string{"url": a.URL.String() + join(rp.Owner, rp.Name)})
}

func (a *API) showRepository(w http.ResponseWriter, r *http.Request, c *call) error {
	s, err := a.DB.RepositoryStatus(r.Context(), c.repository.ID)
	if err != nil {
		return err
	}
	script, err := a.installScript(r, c)
	if err != nil {
		return err
	}
	v, base := a.repositoryJSON(s), self(c.repository)
	v.Paths = &pathsJSON{
		Self: base, CreatePackage: base + "/packages.json", PackageContents: base + "/packages/contents",
		MasterTokens: base + "/master_tokens", CreateMasterToken: base + "/master_tokens", GPGKeys: base + "/gpg_keys.json",
	}
	v.URLs = &urlsJSON{InstallScript: script}
	return WriteJSON(w, http.StatusOK, v)
}

// installScript is the URL of install scripts, with the literal :package_type
// in it. Only who manages a private repository sees its master token there.
func (a *API) installScript(r *http.Request, c *call) (string, error) {
	u := *a.URL
	if c.repository.Private {
		tokens, err := a.DB.MasterTokens(r.Context(), c.repository.ID)
		if err != nil {
			return "", err
		}
		for _, t := range tokens {
			if t.Name != repo.DefaultMasterToken {
				continue
			}
			value, err := auth.Reveal(a.Sealer, t.Sealed)
			if err != nil {
				return "", err
			}
			u.User = auth.Userinfo(value)
		}
	}
	return u.String() + "/install/repositories" + join(c.repository.Owner, c.repository.Name) + "/script.:package_type.sh", nil
}
